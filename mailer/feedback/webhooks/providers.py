"""Every provider whose webhooks are understood."""

from __future__ import annotations

from mailer.feedback.webhooks import (
    brevo,
    directmail,
    mailgun,
    mailjet,
    postmark,
    resend,
    sendgrid,
    ses,
    sparkpost,
    tencent,
)
from mailer.feedback.webhooks.provider import Provider

PROVIDERS: dict[str, Provider] = {
    each.PROVIDER.name: each.PROVIDER
    for each in (
        ses, sendgrid, mailgun, postmark, brevo, sparkpost, mailjet, resend, directmail, tencent,
    )
}  # fmt: skip
