"""Echo: what a letter carries so that the provider it goes through tells us which letter its news are of.

Some providers write a Message-ID of their own over ours, or leave it out of part of their news, but repeat
what a header of theirs holds. Only letters to such a provider carry it, once each; the provider takes it out
again. It is the signed token of the Message-ID, which the letter shows anyway.

Amazon SES, Mailgun: none, their news hold our Message-ID. Sources stand in ``feedback.webhooks``.
"""

from __future__ import annotations

from collections.abc import Iterable

NAME = "mailer"  # of the argument, metadata or variable, where a provider wants one
HEADER = "X-Mailer-Letter"
NOTIFY = "X-Notify-Message-ID"
CALLBACK = "X-Tencentcloudses-Cb-Custom"

_FIELDS = {  # by the end of a relay's name
    "sendgrid.net": f'X-SMTPAPI: {{"unique_args": {{"{NAME}": "%s"}}}}',
    "postmarkapp.com": f"X-PM-Metadata-{NAME}: %s",  # a value has at most 80 characters
    "brevo.com": "X-Mailin-custom: %s",
    "sendinblue.com": "X-Mailin-custom: %s",
    "sparkpostmail.com": f'X-MSYS-API: {{"metadata": {{"{NAME}": "%s"}}}}',
    "mailjet.com": "X-MJ-CustomID: %s",
    "resend.com": f"{HEADER}: %s",
    "aliyun.com": f"{NOTIFY}: %s",
    "aliyuncs.com": f"{NOTIFY}: %s",
    "qcloudmail.com": f"{CALLBACK}: %s",
}


def fields(hosts: Iterable[str], token: str) -> str:
    """Return the header fields for letters to these relays, whole lines; "" for most relays.

    ``token`` is that of the Message-ID, or the place where it comes to stand.
    """
    ends = {end for host in hosts for end in _FIELDS if f".{host.lower()}".endswith(f".{end}")}
    return "".join(f"{line % f'm-{token}@{NAME}'}\r\n" for line in sorted({_FIELDS[end] for end in ends}))
