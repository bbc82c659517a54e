"""What can be wrong with a mailbox, as an administrator is told."""

from __future__ import annotations

from mailer.errors import MailerError
from mailer.feedback.boxes.account import Account


class MailboxTrouble(MailerError):
    """The mailbox cannot be read now; nothing in it was lost. The message says why and what to do.

    ``lasting``: a person must do something; asking again soon would only get the account locked.
    """

    http_status = 502

    def __init__(self, template: str = "", /, *, lasting: bool = False, **values: object) -> None:
        super().__init__(template, **values)
        self.lasting = lasting

    @property
    def reply(self) -> str:
        """What the server said; "" when it said nothing."""
        return str(self.sentence.values.get("reply", ""))


class Refused(MailboxTrouble):
    """The mailbox's server refuses a command."""


def said(line: bytes) -> str:
    """Return a server's words as they may be kept and shown."""
    text = "".join(sign for sign in line.decode(errors="replace") if sign.isprintable() or sign.isspace())
    return " ".join(text.split())[:200]


def refused(account: Account, verb: str, reply: str) -> Refused:
    """A command is answered with no."""
    return Refused(
        "The mailbox server {server} refuses {verb} for {user} ({reply}): look into the mailbox's settings"
        " there, or ask its operator.",
        server=account.name,
        verb=verb,
        user=account.user,
        reply=reply,
    )


def not_let_in(account: Account, reply: str, *, lasting: bool) -> MailboxTrouble:
    """User or password are refused."""
    return MailboxTrouble(
        "The mailbox server {server} does not let {user} sign in ({reply}): give the password anew with"
        " `mailer mailbox add`; many providers want one of its own for programs, and IMAP or POP3 switched on"
        " in their settings.",
        lasting=lasting,
        server=account.name,
        user=account.user,
        reply=reply,
    )


def no_token(account: Account, error: MailerError) -> MailboxTrouble:
    """No access token can be had."""
    why = error.sentence
    return MailboxTrouble("The mailbox of {user} cannot be opened: {why}", user=account.user, why=why)


def in_the_clear(account: Account) -> MailboxTrouble:
    """A password would be sent for all to read."""
    return MailboxTrouble(
        "The mailbox server {server} is not reached by TLS, so the password was not sent: use imaps:// or"
        " pop3s://.",
        lasting=True,
        server=account.name,
    )


def no_starttls(account: Account) -> MailboxTrouble:
    """The server cannot be asked to speak TLS."""
    return MailboxTrouble(
        "The mailbox server {server} does not offer STARTTLS: use imaps:// or pop3s://.",
        lasting=True,
        server=account.name,
    )
