"""Mail to accounts: sign-in links. Sent once the answer has left, in the name of the first publication."""

from __future__ import annotations

import logging
from datetime import datetime
from urllib.parse import urlencode

from limits import RateLimitItemPerHour

from mailer.accounts import sessions
from mailer.accounts import store as accounts
from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import User
from mailer.web import i18n, post
from mailer.web.house import House, TooMany
from mailer.web.i18n import _

_PER_ACCOUNT = RateLimitItemPerHour(6)  # mails: enough for a person, too few to flood a mailbox
_log = logging.getLogger(__name__)


def send_link(house: House, email: str, path: str, now: datetime) -> None:
    """Mail a sign-in link to the account of that address, if there is one that may sign in."""
    try:
        with house.database.write() as session:
            user = accounts.user_by_email(session, email)
            if user is None or user.disabled_at is not None:
                return
            house.doorkeeper.count(_PER_ACCOUNT, "sign-in link", str(user.id))
            token = sessions.make_link(session, user_id=user.id, now=now, actor=SYSTEM)
    except TooMany:
        _log.warning("too many sign-in links were asked for by mail")
        return
    i18n.use(user.language)
    subject = _("Your sign-in link")
    text = "\n\n".join(
        (
            _("Somebody, we hope you, asked to be signed in to mailer. Open this page and press its button:"),
            link(house, token, path),
            _("It works once, within the hour. If it was not you, you need do nothing: without this mail"
              " nobody gets in."),
        )
    )  # fmt: skip
    post.send(house, to=user.email, language=user.language, subject=subject, text=text, now=now)


def send_invitation(house: House, user: User, inviter: str, token: str, now: datetime) -> None:
    """Tell somebody that they have an account, and mail their first sign-in link; ``inviter`` made it."""
    i18n.use(user.language)
    subject = _("Your account for the newsletter")
    text = "\n\n".join(
        (
            _("%(inviter)s has opened an account for you, with which you help to send our newsletter.",
              inviter=inviter),
            _("Open this page and press its button to sign in. It works once, within the hour:"),
            link(house, token, "/account"),
            _("Too late? Ask for another link here, with this mail address:"),
            f"{house.settings.public_url}/sign-in/link",
        )
    )  # fmt: skip
    post.send(house, to=user.email, language=user.language, subject=subject, text=text, now=now)


def link(house: House, token: str, path: str = "/") -> str:
    """Return the address of a sign-in link that leads to ``path``."""
    onward = f"?{urlencode({'next': path})}" if path != "/" else ""
    return f"{house.settings.public_url}/sign-in/{token}{onward}"
