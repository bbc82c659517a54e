"""Whom a relay's no is about: the recipient, the letter, or us."""

from __future__ import annotations

import pytest

from mailer.delivery.refusals import is_of_content, is_own_no, speaks_of_sender
from mailer.delivery.smtp import Kind, Outcome


def said(reply: str, command: str, kind: Kind | None = None) -> Outcome:
    """What ``reply`` makes of a letter, unless another ``kind`` is said."""
    code, _, text = reply.partition(" ")
    status = text.split(" ")[0] if text[1:2] == "." else None
    kind = kind or (Kind.REJECTED if code.startswith("5") else Kind.DEFERRED)
    return Outcome(1, kind, int(code), status, text, command, "relay.test:25")


@pytest.mark.parametrize(
    ("reply", "command", "own"),
    [
        ("550 5.7.1 No", "MAIL", True),
        ("451 Later", "MAIL", True),
        ("554 5.7.1 No", "BODY", True),
        ("450 4.7.26 No", "DATA", True),
        ("554 Sending paused for this account", "BODY", True),
        ("554 Message rejected: address is not verified", "DATA", True),
        ("552 5.3.4 Message too big", "BODY", True),
        ("550 5.1.1 User unknown", "BODY", False),  # a relay that asks on before it answers
        ("552 5.2.2 Mailbox full", "BODY", False),
        ("451 4.3.0 Later", "BODY", False),
        ("553 5.1.3 Bad address", "", False),
    ],
)
def test_a_refusal_that_may_be_about_us(reply: str, command: str, own: bool) -> None:
    """Of the sender, of policy, or of a body for good; never what is said of a recipient."""
    assert is_own_no(said(reply, command)) is own


def test_what_is_no_refusal_is_not_about_us() -> None:
    """Nor is a reply that never came."""
    assert not is_own_no(said("250 2.7.0 Ok", "BODY", Kind.ACCEPTED))
    assert not is_own_no(Outcome(1, Kind.UNCERTAIN, None, None, "", "BODY", "relay.test:25"))


@pytest.mark.parametrize(
    "reply",
    [
        "554 5.7.1 <ann@example.org>: Relay access denied",
        "454 4.7.1 <ann@example.org>: Relay access denied",
        "553 5.7.1 <b@lists.test>: Sender address rejected: not owned by user desk",
        "450 4.1.8 <b@lists.test>: Sender address rejected: Domain not found",
        "554 5.7.1 <client.test[192.0.2.1]>: Client host rejected: Access denied",
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example",
        "504 5.5.2 <desk>: Helo command rejected: need fully-qualified hostname",
        "550 5.7.1 <ann@example.org>... Relaying denied. Proper authentication required",
        "553 5.1.8 <b@lists.test>... Domain of sender address b@lists.test does not exist",
        "550 relay not permitted",
        "550 Sender verify failed",
        "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
        "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        "530 Authentication required",
        "550 5.7.25 The address has no name",
        "550 Domain lists.test has exceeded the max emails per hour (500/500 (100%)) allowed",
    ],
)
def test_a_relay_may_say_at_rcpt_what_it_has_against_us(reply: str) -> None:
    """Postfix does for all its checks, unless smtpd_delay_reject is off."""
    assert speaks_of_sender(said(reply, "RCPT"))
    assert is_own_no(said(reply, "RCPT"))
    assert not speaks_of_sender(said(reply, "BODY"))


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown in virtual mailbox table",
        "550 5.1.1 No such user; relay access denied",
        "554 5.7.1 <ann@example.org>: Recipient address rejected: Access denied",
        "450 4.2.0 <ann@example.org>: Recipient address rejected: Greylisted",
        "550 5.7.1 No such user here",
        "550 No such user; relaying denied",
        "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required",  # of a group
        "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup",
        "552 5.2.2 Mailbox full",
        "550 5.7.1 Message refused",
        "550 Unknown",
        "250 2.1.5 Relay access denied",
    ],
)
def test_whatever_else_is_said_at_rcpt_is_about_the_recipient(reply: str) -> None:
    """Above all that there is nobody of that name."""
    assert not speaks_of_sender(said(reply, "RCPT"))
    assert not is_own_no(said(reply, "RCPT"))


@pytest.mark.parametrize(
    ("reply", "command", "content"),
    [
        ("554 5.7.1 Spam", "BODY", True),
        ("550 Message contains a virus", "DATA", True),
        ("552 5.3.4 Message too big", "BODY", True),
        ("554 5.7.1 No", "BODY", False),
        ("554 5.7.1 Client host blocked using zen.example", "BODY", False),
        ("451 4.7.1 Looks like spam", "BODY", False),
        ("554 5.7.1 Spam", "MAIL", False),
    ],
)
def test_a_refusal_of_what_a_letter_says(reply: str, command: str, content: bool) -> None:
    """For good, after the relay has seen it."""
    assert is_of_content(said(reply, command)) is content
