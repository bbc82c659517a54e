"""POP3 mailboxes, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailer.accounts.audit import Actor
from mailer.audience.store import Subscription
from mailer.feedback.boxes import mailboxes
from mailer.feedback.boxes.watch import Watcher
from tests.feedback import samples
from tests.feedback.boxes.conftest import Desk, bounce
from tests.mailhost import Pop3Host
from tests.make import NOON, Make
from tests.shell import until


@pytest.fixture
def host() -> Iterator[Pop3Host]:
    with Pop3Host() as host:
        yield host


def test_a_bounce_is_heard_and_kept(host: Pop3Host, desk: Desk, make: Make) -> None:
    """Nothing is deleted unless that is asked for; nothing is fetched twice."""
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url())
    assert [desk.read(mailbox).stored for _ in range(2)] == [1, 0]  # type: ignore[union-attr]
    assert desk.events() == ["bad_mailbox"]
    assert (len(host.mails), host.commands.count("RETR 1")) == (1, 1)


def test_mail_is_deleted_only_after_it_is_stored(host: Pop3Host, desk: Desk, make: Make) -> None:
    """The database goes away under it; then it is back."""
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url("?then=delete"))
    with desk.database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE returned_mail RENAME TO away")
    desk.read(mailbox)
    assert (len(host.mails), "DELE 1" in host.commands) == (1, False)
    with desk.database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE away RENAME TO returned_mail")
    desk.try_again(mailbox)
    desk.read(mailbox)
    assert (len(host.mails), desk.events()) == (0, ["bad_mailbox"])


def test_a_connection_that_breaks_before_its_end_deletes_nothing_and_reads_nothing_twice(
    host: Pop3Host, desk: Desk, make: Make
) -> None:
    """RFC 1939 §6: what was marked goes at QUIT. What is gone is forgotten."""
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url("?then=delete"))
    host.answers("QUIT", None)
    desk.read(mailbox)
    assert (len(host.mails), len(desk.events()), desk.seen(mailbox)) == (1, 1, {"u1x"})
    host.mails.clear()
    desk.try_again(mailbox)
    desk.read(mailbox)
    assert (desk.seen(mailbox), len(desk.events()), host.commands.count("RETR 1")) == (set(), 1, 1)


def test_what_was_heard_and_not_deleted_is_deleted_at_the_next_look(
    host: Pop3Host, desk: Desk, make: Make
) -> None:
    """DELE counts only after QUIT (RFC 1939 §6); the mail is not fetched again for it."""
    host.put(bounce(make.delivery("ann@example.org")))
    host.put(samples.answer("See you on Friday.").replace(b"\n", b"\r\n"))
    mailbox = desk.add(host.url("?then=delete"))
    for _ in range(2):
        host.answers("QUIT", None)
        desk.read(mailbox)
        assert len(host.mails) == 2
        desk.try_again(mailbox)
    desk.read(mailbox)
    assert (list(host.mails), host.commands.count("RETR 1")) == (["u2x"], 1)
    desk.read(mailbox)
    assert (desk.seen(mailbox), desk.trouble(mailbox)) == ({"u2x"}, "")


def test_a_mail_that_could_not_be_stored_is_not_fetched_at_every_look(
    host: Pop3Host, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, tried again in an hour, and given up when somebody says so."""
    monkeypatch.setattr("mailer.feedback.record.take_in", lambda *_: 1 / 0)
    host.put(samples.answer().replace(b"\n", b"\r\n"))
    mailbox = desk.add(host.url())
    for _ in range(3):
        desk.read(mailbox)
    [row] = desk.unstored(mailbox)
    assert (row.uid, row.why, host.commands.count("RETR 1")) == ("u1x", "ZeroDivisionError", 1)
    assert "1 mails of this mailbox could not be stored" in desk.trouble(mailbox)
    with desk.database.write() as session:
        mailboxes.dismiss(session, mailbox, "u1x", now=NOON, actor=Actor(None, "test"))
    desk.read(mailbox)
    assert (desk.trouble(mailbox), host.commands.count("RETR 1")) == ("", 1)


def test_peoples_own_mail_is_not_deleted(host: Pop3Host, desk: Desk) -> None:
    """Only what came back for us is."""
    host.put(samples.answer("See you on Friday.").replace(b"\n", b"\r\n"))
    desk.read(desk.add(host.url("?then=delete")))
    assert len(host.mails) == 1


def test_long_lines_and_dots_arrive_as_they_are(host: Pop3Host, desk: Desk, make: Make) -> None:
    """Bounces that quote HTML have lines of any length; a line of a dot ends a mail only on the wire."""
    delivery = make.delivery("ann@example.org")
    raw = bounce(delivery) + b"." * 3 + b"\r\n.\r\n" + b"<td>" * 50_000 + b"\r\n"
    host.put(raw)
    desk.read(desk.add(host.url()))
    assert desk.events() == ["bad_mailbox"]


def test_a_mail_to_the_leave_address_leaves(host: Pop3Host, desk: Desk, make: Make) -> None:
    """List-Unsubscribe by mail."""
    to = f"Delivered-To: {samples.leave_address(make.delivery())}\r\n".encode()
    host.put(to + samples.answer("unsubscribe").replace(b"\n", b"\r\n"))
    desk.read(desk.add(host.url()))
    assert [row.state for row in desk.rows(Subscription)] == ["left"]  # type: ignore[attr-defined]


def test_a_wrong_password_is_told(host: Pop3Host, desk: Desk) -> None:
    """And it stands in no sentence."""
    mailbox = desk.add(host.url().replace("hush-hush", "s3cret"))
    desk.read(mailbox)
    assert "does not let desk@example.org sign in" in desk.trouble(mailbox)
    assert "s3cret" not in desk.trouble(mailbox)


def test_a_mailbox_that_another_program_holds_is_tried_again_soon(host: Pop3Host, desk: Desk) -> None:
    """[IN-USE] speaks of the moment, not of the password (RFC 3206)."""
    host.answers("PASS", "-ERR [IN-USE] locked")
    mailbox = desk.add(host.url())
    desk.read(mailbox)
    row = desk.row(mailbox)
    assert row.retry_at
    assert row.trouble_since
    assert (row.retry_at - row.trouble_since).total_seconds() == 60


@pytest.mark.parametrize("scheme", ["pop3s", "pop3"])
def test_tls_is_verified(desk: Desk, certificate: Path, scheme: str) -> None:
    """From the first byte, or after STLS."""
    with Pop3Host(certificate=certificate, tls=scheme == "pop3s") as host:
        options = f"?starttls={'no' if host.tls else 'yes'}"
        strict = desk.add(host.url(options, scheme=scheme))
        desk.read(strict)
        assert "cannot be trusted" in desk.trouble(strict)
        trusting = desk.add(host.url(f"{options}&ca={certificate}", scheme=scheme))
        desk.read(trusting)
        assert desk.trouble(trusting) == ""
        assert host.commands.count("PASS") == 1


def test_an_access_token_signs_in(desk: Desk) -> None:
    """XOAUTH2."""
    with Pop3Host(token="acc3ss") as host:
        mailbox = desk.add(host.url("?auth=xoauth2").replace("hush-hush", "acc3ss"))
        desk.read(mailbox)
        assert (desk.trouble(mailbox), "USER" in " ".join(host.commands)) == ("", False)


def test_it_is_looked_into_again_and_again(
    host: Pop3Host, watch: Watcher, desk: Desk, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POP3 tells nobody that mail has come."""
    from mailer.feedback.boxes import account

    monkeypatch.setitem(account._POLLS, account.Protocol.POP3, 1)
    desk.add(host.url())
    until(lambda: "UIDL" in host.commands)
    host.put(bounce(make.delivery("ann@example.org")))
    desk.heard(1)
