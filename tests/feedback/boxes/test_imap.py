"""IMAP mailboxes, over real sockets: what is heard, what becomes of a mail then, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailer.accounts.audit import Actor
from mailer.audience.store import Subscription
from mailer.database import clock
from mailer.feedback import record
from mailer.feedback.boxes import account, collect, imap, mailboxes
from mailer.feedback.boxes.watch import Watcher
from mailer.feedback.listener import SIZE_LIMIT
from mailer.feedback.store import Answer, ReturnedMail, mail_content
from tests.feedback import samples
from tests.feedback.boxes.conftest import Desk, addressed, bounce
from tests.mailhost import ImapHost
from tests.make import NOON, Make
from tests.shell import until


@pytest.fixture
def host() -> Iterator[ImapHost]:
    with ImapHost() as host:
        yield host


def test_a_bounce_in_a_mailbox_is_heard_and_moved(host: ImapHost, desk: Desk, make: Make) -> None:
    """To a folder that is made for it."""
    delivery = make.delivery("ann@example.org")
    host.put(bounce(delivery))
    mailbox = desk.add(host.url())
    assert desk.read(mailbox).stored == 1  # type: ignore[union-attr]
    assert desk.events() == ["bad_mailbox"]
    assert (host.raws("INBOX"), host.raws("Heard")) == ([], [bounce(delivery)])
    assert (desk.row(mailbox).heard, desk.trouble(mailbox)) == (1, "")


def test_mail_is_moved_only_after_it_is_stored(host: ImapHost, desk: Desk, make: Make) -> None:
    """The database goes away under it: the mail lies where it lay, and is heard once the database is back."""
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url("/INBOX?then=delete"))
    with desk.database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE returned_mail RENAME TO away")
    desk.read(mailbox)
    assert len(host.raws()) == 1
    assert not any(command.startswith(("UID STORE", "UID EXPUNGE")) for command in host.commands)
    with desk.database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE away RENAME TO returned_mail")
    desk.try_again(mailbox)
    desk.read(mailbox)
    assert (desk.events(), host.raws()) == (["bad_mailbox"], [])


def test_peoples_own_mail_stays_where_it_is(host: ImapHost, desk: Desk, make: Make) -> None:
    """The mailbox may be somebody's: only what came back for us leaves it, and nothing is read twice."""
    host.put(samples.answer("See you on Friday."))
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url("/INBOX?then=delete"))
    desk.read(mailbox)
    assert host.raws() == [samples.answer("See you on Friday.")]
    host.commands.clear()
    desk.read(mailbox)
    assert not any("BODY" in command for command in host.commands)


@pytest.mark.parametrize(("option", "left"), [("", 1), ("&alone=yes", 0)])
def test_somebody_elses_bounce_is_left_unless_the_mailbox_is_ours_alone(
    host: ImapHost, desk: Desk, option: str, left: int
) -> None:
    """A colleague's own letter came back to them: it is stored as backscatter, and theirs to see."""
    host.put(samples.dsn(("friend@example.org", samples.GONE)))
    desk.read(desk.add(host.url(f"/INBOX?then=delete{option}")))
    assert (len(host.raws()), len(desk.rows(ReturnedMail)), desk.events()) == (left, 1, [])


@pytest.mark.parametrize(("then", "left"), [("delete", 1), ("move", 0)])
def test_a_strangers_letter_is_never_deleted(host: ImapHost, desk: Desk, then: str, left: int) -> None:
    """We keep its beginning only; where nobody else uses the mailbox it may be moved."""
    host.put(samples.answer("See you on Friday."))
    desk.read(desk.add(host.url(f"/INBOX?then={then}&alone=yes")))
    assert len(host.raws()) == left


def test_a_mail_that_is_not_stored_whole_is_not_deleted(host: ImapHost, desk: Desk, make: Make) -> None:
    """A reader's answer with enormous files: what we have is its beginning."""
    host.put(addressed(make.delivery("ann@example.org"), samples.answer()) + b"x" * SIZE_LIMIT)
    desk.read(desk.add(host.url("/INBOX?then=delete")))
    assert (len(host.raws()), len(desk.rows(ReturnedMail))) == (1, 1)


def test_what_a_server_says_can_always_be_kept(host: ImapHost, desk: Desk) -> None:
    """PostgreSQL takes no NUL."""
    host.answers("LOGIN", "NO \0 wr\x07ong")
    mailbox = desk.add(host.url())
    desk.read(mailbox)
    assert "(NO wrong)" in desk.trouble(mailbox)


def test_a_person_who_reads_the_mailbox_hides_nothing(host: ImapHost, desk: Desk, make: Make) -> None:
    """Marked as read by somebody else, it is heard all the same; we mark it too."""
    uid = host.put(bounce(make.delivery("ann@example.org")))
    [stored] = host.folders["INBOX"]
    stored.flags.add(r"\Seen")
    desk.read(desk.add(host.url("/INBOX?then=mark")))
    assert desk.events() == ["bad_mailbox"]
    assert stored.uid == uid
    assert stored.flags == {r"\Seen"}


def test_kept_mail_is_not_touched(host: ImapHost, desk: Desk, make: Make) -> None:
    """And read once."""
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url("/INBOX?then=keep"))
    assert [desk.read(mailbox).stored for _ in range(2)] == [1, 0]  # type: ignore[union-attr]
    [stored] = host.folders["INBOX"]
    assert stored.flags == set()


def test_a_mailbox_that_was_made_anew_is_read_anew_and_changes_nothing(
    host: ImapHost, desk: Desk, make: Make
) -> None:
    """UIDVALIDITY differs: its numbers mean nothing any more (RFC 3501 §2.3.1.1)."""
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url("/INBOX?then=keep"))
    desk.read(mailbox)
    host.validity += 1
    again = desk.read(mailbox)
    assert again is not None
    assert (again.stored, again.known, len(desk.events())) == (0, 1, 1)


def test_netease_is_told_who_we_are_before_a_folder_is_opened(desk: Desk, make: Make) -> None:
    """163.com and 126.com refuse SELECT otherwise: "Unsafe Login"."""
    with ImapHost(netease=True) as host:
        host.put(bounce(make.delivery("ann@example.org")))
        mailbox = desk.add(host.url())
        desk.read(mailbox)
        assert (desk.trouble(mailbox), desk.events()) == ("", ["bad_mailbox"])
        assert '"name" "mailer"' in host.ids[0]


@pytest.mark.parametrize("offers", [(), ("UIDPLUS",), ("MOVE",), ("ID", "IDLE", "MOVE", "UIDPLUS")])
def test_mail_is_moved_with_whatever_a_server_can_do(desk: Desk, make: Make, offers: tuple[str, ...]) -> None:
    """Without UIDPLUS the original stays, marked: EXPUNGE would take what others have marked as well."""
    with ImapHost(offers=offers) as host:
        host.put(bounce(make.delivery("ann@example.org")))
        desk.read(desk.add(host.url("/INBOX?to=退信")))
        assert len(host.raws("&kABP4Q-")) == 1
        assert [one.flags for one in host.folders["INBOX"]] == ([] if offers else [{r"\Deleted"}])
        assert "EXPUNGE" not in host.commands


def test_folders_may_live_below_the_inbox_only(desk: Desk, make: Make) -> None:
    """As on Courier."""
    with ImapHost(lower=True) as host:
        host.put(bounce(make.delivery("ann@example.org")))
        mailbox = desk.add(host.url())
        desk.read(mailbox)
        assert (len(host.raws("INBOX.Heard")), desk.trouble(mailbox)) == (1, "")


def test_a_full_folder_stops_nobody_from_hearing(host: ImapHost, desk: Desk, make: Make) -> None:
    """What is stored lies in the mailbox still, an administrator is told, and it goes on."""
    host.answers("UID MOVE", *["NO [OVERQUOTA] mailbox is full"] * 4)
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url())
    desk.read(mailbox)
    assert "mailbox is full" in desk.trouble(mailbox)
    host.put(bounce(make.delivery("bob@example.org")))
    desk.read(mailbox)
    assert len(desk.events()) == 2
    assert desk.row(mailbox).retry_at is None


def test_a_mail_to_the_leave_address_in_a_mailbox_leaves(host: ImapHost, desk: Desk, make: Make) -> None:
    """List-Unsubscribe by mail, where the bounce domain's mail is delivered to a mailbox."""
    delivery = make.delivery("ann@example.org")
    to = f"To: {samples.leave_address(delivery)}\r\n".encode()
    host.put(to + samples.answer("unsubscribe").replace(b"To: news@example.net\n", b""))
    desk.read(desk.add(host.url()))
    assert [row.state for row in desk.rows(Subscription)] == ["left"]  # type: ignore[attr-defined]
    assert len(host.raws("Heard")) == 1


def test_of_a_huge_mail_the_beginning_is_fetched(host: ImapHost, desk: Desk, make: Make) -> None:
    """A server may hold mails of any size; no more than 20 MB come over the wire."""
    huge = bounce(make.delivery("ann@example.org")) + b"x" * SIZE_LIMIT
    host.put(huge)
    desk.read(desk.add(host.url()))
    assert desk.events() == ["bad_mailbox"]
    assert f"UID FETCH 1 (UID BODY.PEEK[]<0.{SIZE_LIMIT}>)" in host.commands


# -- what goes wrong --------------------------------------------------------------------------------------


def test_a_wrong_password_is_told_and_not_tried_again_soon(host: ImapHost, desk: Desk) -> None:
    """Providers lock accounts; a new password is tried at once."""
    mailbox = desk.add(host.url().replace("hush-hush", "wrong"))
    assert desk.read(mailbox) is None
    assert "does not let desk@example.org sign in" in desk.trouble(mailbox)
    assert "wrong" not in desk.trouble(mailbox).replace("FAILED] wrong", "")
    host.commands.clear()
    assert desk.read(mailbox) is None
    assert host.commands == []
    assert desk.add(host.url()) == mailbox
    assert desk.read(mailbox) is not None
    assert desk.trouble(mailbox) == ""


def test_one_mailbox_has_one_row(host: ImapHost, desk: Desk) -> None:
    """Added again with other options it is changed: else two would read it and move each other's mail."""
    first = desk.add(host.url("/INBOX?then=keep"))
    assert desk.add(host.url("/INBOX?then=delete&poll=600")) == first
    assert "then=delete&poll=600" in desk.row(first).url
    assert desk.add(host.url("/Spam")) != first
    desk.read(first)
    assert desk.trouble(first) == ""


def test_waits_between_failures_grow(host: ImapHost, desk: Desk) -> None:
    """1, 2, 4 minutes for a server that hangs up; 15 minutes where a person must do something."""
    waits = []
    mailbox = desk.add(host.url())
    for _ in range(3):
        host.answers("CONNECT", None)
        desk.read(mailbox)
        row = desk.row(mailbox)
        assert row.retry_at
        with desk.database.read() as session:
            waits.append(round((row.retry_at - clock(session)).total_seconds() / 60))
        desk.try_again(mailbox)
    assert waits == [1, 2, 4]
    assert "broke off" in desk.trouble(mailbox)


def test_a_missing_folder_is_told_with_those_there_are(host: ImapHost, desk: Desk) -> None:
    """With the names a person may choose from."""
    mailbox = desk.add(host.url("/Bounces"))
    desk.read(mailbox)
    assert "has no folder “Bounces” (NO no such folder): it has INBOX" in desk.trouble(mailbox)


def test_a_certificate_is_verified(desk: Desk, certificate: Path, make: Make) -> None:
    """Unless its authority is given, or the administrator says not to."""
    with ImapHost(certificate=certificate, tls=True) as host:
        host.put(bounce(make.delivery("ann@example.org")))
        plain = desk.add(host.url(scheme="imaps"))
        desk.read(plain)
        assert "cannot be trusted" in desk.trouble(plain)
        assert host.commands == []
        trusted = desk.add(host.url(f"/INBOX?ca={certificate}", scheme="imaps"))
        desk.read(trusted)
        assert (desk.trouble(trusted), len(desk.events())) == ("", 1)
        careless = desk.add(host.url("/INBOX?tls_verify=no", scheme="imaps"))
        desk.read(careless)
        assert desk.trouble(careless) == ""


def test_starttls_comes_before_the_password(desk: Desk, certificate: Path) -> None:
    """And a server without it gets none."""
    with ImapHost(certificate=certificate) as host:
        mailbox = desk.add(host.url(f"/INBOX?starttls=yes&ca={certificate}"))
        desk.read(mailbox)
        assert desk.trouble(mailbox) == ""
        assert host.commands.index("STARTTLS") < host.commands.index("LOGIN")
    with ImapHost() as host:
        mailbox = desk.add(host.url("/INBOX?starttls=yes"))
        desk.read(mailbox)
        assert "does not offer STARTTLS" in desk.trouble(mailbox)
        assert "LOGIN" not in host.commands


@pytest.mark.parametrize(("token", "trouble"), [("acc3ss", False), ("another", True)])
def test_an_access_token_signs_in(desk: Desk, token: str, trouble: bool) -> None:
    """XOAUTH2, as Google and Microsoft want it."""
    with ImapHost(token=token) as host:
        mailbox = desk.add(host.url("/INBOX?auth=xoauth2").replace("hush-hush", "acc3ss"))
        desk.read(mailbox)
        assert bool(desk.trouble(mailbox)) == trouble
        assert "LOGIN" not in host.commands


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Mails with these words in them cannot be stored, by a fault of ours."""
    hear, words = record.hear, [b"stumble"]

    def stumbling(session: object, **given: object) -> object:
        if any(word in given["raw"] for word in words):  # type: ignore[operator]
            raise LookupError("a fault of ours")
        return hear(session, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(record, "hear", stumbling)
    return words


def test_a_mail_that_is_our_fault_stops_no_other(
    host: ImapHost, desk: Desk, make: Make, faulty: list[bytes]
) -> None:
    """It stays in the mailbox and an administrator is told; the next one is heard."""
    host.put(addressed(make.delivery("bob@example.org"), samples.answer("stumble")))
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url("/INBOX?then=delete"))
    desk.read(mailbox)
    assert (desk.events(), len(host.raws())) == (["bad_mailbox"], 1)
    assert "1 mails of this mailbox could not be stored" in desk.trouble(mailbox)


def test_a_mail_that_could_not_be_stored_is_named_until_it_is(
    host: ImapHost, desk: Desk, make: Make, faulty: list[bytes]
) -> None:
    """Also when it was the last one and all is well since; the cursor has passed it, so it has a row."""
    raw = addressed(make.delivery("bob@example.org"), samples.answer("stumble"))
    host.put(b"Message-ID: <42@mx.example.org>\r\n" + raw)
    mailbox = desk.add(host.url("/INBOX?then=delete"))
    for _ in range(3):
        desk.read(mailbox)
    [row] = desk.unstored(mailbox)
    assert (row.uid, row.message_id, row.why) == ("7:1", "<42@mx.example.org>", "LookupError")
    assert (row.tries, row.size, row.gone) == (1, len(host.raws()[0]), False)
    assert "1 mails of this mailbox could not be stored" in desk.trouble(mailbox)
    faulty.clear()
    desk.try_unstored(mailbox)
    again = desk.read(mailbox)
    assert again is not None
    assert (again.stored, host.raws(), desk.unstored(mailbox)) == (1, [], [])
    assert (desk.trouble(mailbox), len(desk.rows(Answer))) == ("", 1)


def test_a_fault_that_stays_is_tried_less_and_less_often(
    host: ImapHost, desk: Desk, faulty: list[bytes]
) -> None:
    """After 1, 2, 4 … 24 hours, and whenever somebody asks."""
    host.put(samples.answer("stumble"))
    mailbox = desk.add(host.url())
    waits = []
    for _ in range(7):
        desk.try_unstored(mailbox)
        before = datetime.now(UTC)
        desk.read(mailbox)
        waits.append(round((desk.unstored(mailbox)[0].due_at - before) / timedelta(hours=1)))
    assert waits == [1, 2, 4, 8, 16, 24, 24]


def test_a_mail_that_is_gone_before_it_could_be_stored_is_still_told(
    host: ImapHost, desk: Desk, faulty: list[bytes]
) -> None:
    """Somebody deleted it; an administrator says that it needs no more thought."""
    host.put(samples.answer("stumble"))
    mailbox = desk.add(host.url())
    desk.read(mailbox)
    host.folders["INBOX"].clear()
    desk.try_unstored(mailbox)
    desk.read(mailbox)
    [row] = desk.unstored(mailbox)
    assert row.gone
    assert "could not be stored" in desk.trouble(mailbox)
    with desk.database.write() as session:
        mailboxes.dismiss(session, mailbox, row.uid, now=NOON, actor=Actor(None, "test"))
    desk.read(mailbox)
    assert (desk.unstored(mailbox), desk.trouble(mailbox)) == ([], "")


def test_a_fault_in_every_mail_stops_the_mailbox(
    host: ImapHost, desk: Desk, make: Make, faulty: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three in this test, then the rest waits; once the fault is mended all of it is heard."""
    monkeypatch.setattr(collect, "MOST_UNSTORED", 3)
    for number in range(5):
        host.put(addressed(make.delivery(f"bob{number}@example.org"), samples.answer("stumble")))
    mailbox = desk.add(host.url())
    desk.read(mailbox)
    assert len(desk.unstored(mailbox)) == 3
    assert "so no more of it are read" in desk.trouble(mailbox)
    faulty.clear()
    desk.try_unstored(mailbox)
    desk.read(mailbox)
    assert (len(desk.rows(Answer)), desk.unstored(mailbox), desk.trouble(mailbox)) == (5, [], "")


# -- what is left undone ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("then", "verb"), [("move", "UID MOVE"), ("delete", "UID EXPUNGE")])
def test_what_was_stored_and_not_moved_is_moved_at_the_next_look(
    host: ImapHost, desk: Desk, make: Make, then: str, verb: str
) -> None:
    """The connection ends between the two, or the process does; nothing is fetched twice."""
    host.answers(verb, None)
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url(f"/INBOX?then={then}"))
    desk.read(mailbox)
    assert (desk.events(), len(host.raws())) == (["bad_mailbox"], 1)
    desk.try_again(mailbox)
    desk.read(mailbox)
    assert (host.raws(), desk.seen(mailbox), desk.trouble(mailbox)) == ([], set(), "")
    assert sum("BODY" in command for command in host.commands) == 1


def test_what_was_stored_and_not_marked_is_marked(host: ImapHost, desk: Desk, make: Make) -> None:
    """The same for mail that stays."""
    host.answers("UID STORE", None)
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url("/INBOX?then=mark"))
    desk.read(mailbox)
    desk.try_again(mailbox)
    desk.read(mailbox)
    assert [one.flags for one in host.folders["INBOX"]] == [{r"\Seen"}]


def test_what_was_to_be_moved_is_not_deleted_after_a_change_of_mind(
    host: ImapHost, desk: Desk, make: Make
) -> None:
    """What may be moved may not always be deleted: only what was said when it was heard is done."""
    host.answers("UID MOVE", None)
    host.put(bounce(make.delivery("ann@example.org")))
    desk.read(desk.add(host.url()))
    mailbox = desk.add(host.url("/INBOX?then=delete"))
    desk.read(mailbox)
    assert len(host.raws()) == 1


def test_numbers_of_a_folder_that_was_made_anew_are_forgotten(host: ImapHost, desk: Desk, make: Make) -> None:
    """Another mail may have them now."""
    host.answers("UID MOVE", None)
    host.put(bounce(make.delivery("ann@example.org")))
    mailbox = desk.add(host.url())
    desk.read(mailbox)
    host.validity += 1
    host.folders["INBOX"][0].raw = samples.answer("See you on Friday.")
    desk.try_again(mailbox)
    desk.read(mailbox)
    assert (host.raws(), desk.seen(mailbox)) == ([samples.answer("See you on Friday.")], set())


def test_a_server_that_does_not_end_is_left(
    host: ImapHost, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one command is answered is bounded, however it is cut into lines and literals."""
    monkeypatch.setattr(imap, "_ROOM", 20_000)
    for _ in range(200):
        host.put(samples.answer())
    mailbox = desk.add(host.url("/INBOX?then=keep"))
    desk.read(mailbox)
    assert "answers a command with more than" in desk.trouble(mailbox)
    monkeypatch.setattr(imap, "_ROOM", 200_000)
    desk.try_again(mailbox)
    desk.read(mailbox)
    assert (desk.trouble(mailbox), desk.row(mailbox).heard) == ("", 200)


def test_a_literal_longer_than_what_was_asked_for_is_not_read(
    host: ImapHost, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may claim any size, even of a greeting."""
    host.answers("CONNECT", "* OK {999999999999}")
    mailbox = desk.add(host.url())
    desk.read(mailbox)
    assert "answers a command with more than" in desk.trouble(mailbox)


# -- watching ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offers", [("IDLE",), ()])
def test_mail_is_heard_as_it_comes(
    watch: Watcher, desk: Desk, make: Make, offers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With IDLE at once, without at the next look."""
    monkeypatch.setitem(account._POLLS, account.Protocol.IMAP, 1)
    with ImapHost(offers=offers) as host:
        desk.add(host.url())
        until(lambda: ("IDLE" if offers else "NOOP") in host.commands)
        host.put(bounce(make.delivery("ann@example.org")))
        desk.heard(1)


def test_a_connection_that_dies_is_made_anew(host: ImapHost, watch: Watcher, desk: Desk, make: Make) -> None:
    """What came meanwhile is heard."""
    mailbox = desk.add(host.url())
    until(lambda: "IDLE" in host.commands)
    host.drop_all()
    until(lambda: desk.row(mailbox).trouble is not None)
    host.put(bounce(make.delivery("ann@example.org")))
    desk.try_again(mailbox)
    desk.heard(1)
    until(lambda: desk.trouble(mailbox) == "")


def test_two_who_watch_do_not_read_one_mailbox_at_once(host: ImapHost, watch: Watcher, desk: Desk) -> None:
    """The second waits until the first is gone."""
    mailbox = desk.add(host.url())
    until(lambda: "IDLE" in host.commands)
    assert desk.read(mailbox) is None
    assert host.connected == 1
    watch.stop()
    assert desk.read(mailbox) is not None


def test_a_mailbox_that_is_removed_is_left(
    host: ImapHost, watch: Watcher, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Soon after its row is gone."""
    monkeypatch.setattr("mailer.feedback.boxes.watch._RENEW", 0.1)
    mailbox = desk.add(host.url())
    until(lambda: "IDLE" in host.commands)
    with desk.database.write() as session:
        mailboxes.remove(session, mailbox, now=NOON, actor=Actor(None, "test"))
    until(lambda: host.connected == 0)


def test_a_password_is_sealed_in_its_row(host: ImapHost, desk: Desk) -> None:
    """A copy of the database tells nobody how to sign in; another MAILER_SECRET does not open it."""
    mailbox = desk.add(host.url())
    row = desk.row(mailbox)
    assert "hush" not in row.url + row.secret
    other = Desk(desk.settings.model_copy(update={"secret": "1:another-key-for-tests"}), desk.database)
    other.read(mailbox)
    assert "cannot be opened" in desk.trouble(mailbox)


def test_returned_mail_knows_no_mailbox_password(host: ImapHost, desk: Desk, make: Make) -> None:
    """What is stored is the mail, byte for byte."""
    raw = bounce(make.delivery("ann@example.org"))
    host.put(raw)
    desk.read(desk.add(host.url()))
    [row] = desk.rows(ReturnedMail)
    with desk.database.read() as session:
        assert mail_content(session, row.id) == raw  # type: ignore[attr-defined]
