"""The listener over real SMTP: whom it takes letters for, and that a 250 means stored."""

from __future__ import annotations

import shutil
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mailer.audience.store import Subscription
from mailer.database import Base, Database
from mailer.delivery.relay import Relay
from mailer.delivery.smtp import Envelope, Kind
from mailer.delivery.store import Delivery, Event
from mailer.delivery.transport import Transport
from mailer.errors import MailerError
from mailer.feedback import reception, store
from mailer.feedback.listener import PATIENCE, RECIPIENTS, SIZE_LIMIT, BadCertificate, CannotListen, Listener
from mailer.feedback.outbox import Outbox
from mailer.feedback.store import ReturnedMail
from mailer.settings import Settings
from mailer.signing import Purpose
from tests.feedback import samples
from tests.make import KEYS, NOON, Make
from tests.smtphost import self_signed

Start = Callable[..., Listener]
_SETTINGS = ("redis_url", "smtp_url", "listener_port", "lmtp_port", "listener_certificate")
LETTER = b"From: observer@news.example\r\nSubject: Rivers return\r\n\r\n..and so do we.\r\n.\r\n"


@pytest.fixture
def outbox(settings: Settings) -> Iterator[Outbox]:
    box = Outbox(settings.data)
    yield box
    box.close()


@pytest.fixture
def start(settings: Settings, sqlite_database: Database, outbox: Outbox) -> Iterator[Start]:
    """Start listeners; they are stopped at the end."""
    running: list[Listener] = []

    def begin(database: Database = sqlite_database, **given: object) -> Listener:
        changed = {name: given.pop(name) for name in _SETTINGS if name in given}
        listener = Listener(settings.model_copy(update=changed), database, outbox, **given)  # type: ignore[arg-type]
        listener.start()
        running.append(listener)
        return listener

    yield begin
    for listener in running:
        listener.stop()


def client(listener: Listener) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", listener.port, local_hostname="relay.example.net", timeout=10)


def send(listener: Listener, to: str | list[str], content: bytes = LETTER, sender: str = "") -> None:
    with client(listener) as smtp:
        smtp.sendmail(sender, to, content)


def refusal(listener: Listener, to: str, content: bytes = LETTER) -> tuple[int, bytes]:
    """Send, and return the reply that refused it."""
    with client(listener) as smtp:
        try:
            smtp.sendmail("", [to], content)
        except smtplib.SMTPRecipientsRefused as refused:
            return next(iter(refused.recipients.values()))
        except smtplib.SMTPResponseException as refused:
            return refused.smtp_code, refused.smtp_error  # type: ignore[return-value]
    raise AssertionError("the letter was taken")


def fresh_path(delivery: Delivery) -> str:
    """A return path that is valid today: the listener reads the real clock."""
    expires = datetime.now(UTC) + timedelta(days=60)
    token = KEYS.sign(Purpose.RETURN_PATH, delivery.campaign_id, delivery.n, expires=expires)
    return f"b-{token}@{samples.BOUNCES}"


def count(database: Database, table: type[Base]) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_embedded_it_catches_letters_for_anyone(start: Start, outbox: Outbox) -> None:
    """Stored before the 250 is heard, byte for byte, dots undone."""
    send(start(), "ann@example.org", sender="observer@news.example")
    [caught] = outbox.listing()
    assert (caught.mail_from, caught.rcpt_to) == ("observer@news.example", "ann@example.org")
    assert outbox.letter(caught.id) == LETTER


def test_a_letter_to_many_is_kept_for_each(start: Start, outbox: Outbox) -> None:
    """One body, three readers."""
    send(start(), ["a@example.org", "b@example.org", "c@example.org"])
    assert outbox.count() == 3


def test_addresses_and_bodies_beyond_ascii_are_taken(start: Start, outbox: Outbox) -> None:
    """SMTPUTF8 and 8BITMIME."""
    body = "Subject: 绿色\r\n\r\n河流\r\n".encode()
    with client(start()) as smtp:
        smtp.sendmail("", ["张三@例子.example"], body, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    [caught] = outbox.listing("张三")
    assert outbox.letter(caught.id) == body
    assert caught.subject == "绿色"


def test_commands_sent_together_are_answered_in_order(start: Start, outbox: Outbox) -> None:
    """RFC 2920: two letters in one write."""
    one = "MAIL FROM:<>\r\nRCPT TO:<{}@example.org>\r\nDATA\r\nSubject: {}\r\n\r\nx\r\n.\r\n"
    with socket.create_connection(("127.0.0.1", start().port), timeout=10) as sock:
        talk = sock.makefile("rb")
        sock.sendall(b"EHLO relay.example.net\r\n")
        greeting = [talk.readline()]
        while not greeting[-1].startswith(b"250 "):
            greeting.append(talk.readline())
        sock.sendall((one.format("a", 1) + one.format("b", 2) + "QUIT\r\n").encode())
        codes = [line[:3] for line in talk]
    assert b"250-PIPELINING\r\n" in greeting
    assert codes == [b"250", b"250", b"354", b"250", b"250", b"250", b"354", b"250", b"221"]
    assert [caught.subject for caught in outbox.listing()] == ["2", "1"]


def test_manners_refuse_and_defer_whom_they_name(start: Start, outbox: Outbox) -> None:
    """The demonstration's readers behave like the world's."""
    replies = {"gone@example.org": "550 5.1.1 No such user", "busy@example.org": "451 4.3.2 Try later"}
    listener = start(manners=replies.get)
    assert refusal(listener, "gone@example.org") == (550, b"5.1.1 No such user")
    assert refusal(listener, "busy@example.org") == (451, b"4.3.2 Try later")
    send(listener, "ann@example.org")
    assert outbox.count() == 1


def test_a_bounce_that_comes_back_is_heard_and_not_caught(
    start: Start, sqlite_database: Database, outbox: Outbox
) -> None:
    """With the null sender, as RFC 5321 wants it; the outbox counts letters to readers only."""
    delivery = Make(sqlite_database).delivery()
    send(start(), fresh_path(delivery), samples.dsn(("ann@example.org", samples.GONE)))
    with sqlite_database.read() as session:
        assert session.scalars(select(Event.category)).all() == ["bad_mailbox"]
    assert outbox.count() == 0


def test_production_hears_bounces_into_postgres(postgres_database: Database, start: Start) -> None:
    """The same listener on the production database."""
    delivery = Make(postgres_database).delivery()
    listener = start(database=postgres_database, redis_url="redis://127.0.0.1:1")
    send(listener, fresh_path(delivery).upper(), samples.dsn(("ann@example.org", samples.GONE)))
    assert count(postgres_database, Event) == 1


def test_a_mail_to_a_leave_address_leaves(start: Start, sqlite_database: Database) -> None:
    """The mailto form of List-Unsubscribe."""
    delivery = Make(sqlite_database).delivery()
    send(start(), samples.leave_address(delivery), samples.answer("unsubscribe"), sender="ann@example.org")
    with sqlite_database.read() as session:
        assert session.scalars(select(Subscription.state)).all() == ["left"]


def test_embedded_a_forged_return_path_is_backscatter(
    start: Start, sqlite_database: Database, outbox: Outbox
) -> None:
    """It came to the bounce domain: kept for looking at, it changes nothing."""
    Make(sqlite_database).delivery()
    send(start(), f"b-{'a' * 34}@{samples.BOUNCES}", samples.dsn(("ann@example.org", samples.GONE)))
    assert count(sqlite_database, ReturnedMail) == 1
    assert count(sqlite_database, Event) == outbox.count() == 0


@pytest.mark.parametrize("to", ["ann@example.org", f"b-{'a' * 34}@{samples.BOUNCES}", f"x@{samples.BOUNCES}"])
def test_production_takes_nothing_but_what_it_signed(
    start: Start, outbox: Outbox, sqlite_database: Database, to: str
) -> None:
    """It is no relay and no catch-all."""
    code, words = refusal(start(redis_url="redis://127.0.0.1:1"), to)
    assert (code, words[:5]) == (550, b"5.7.1")
    assert outbox.count() == count(sqlite_database, ReturnedMail) == 0


def test_production_refuses_an_expired_return_path(start: Start, sqlite_database: Database) -> None:
    """No relay still tries after sixty days."""
    delivery = Make(sqlite_database).delivery()
    expired = KEYS.sign(
        Purpose.RETURN_PATH, delivery.campaign_id, delivery.n, expires=datetime.now(UTC) - timedelta(days=2)
    )
    listener = start(redis_url="redis://127.0.0.1:1")
    assert refusal(listener, f"b-{expired}@{samples.BOUNCES}")[0] == 550


def test_while_the_database_is_away_the_peer_is_asked_to_come_again(
    start: Start, sqlite_database: Database
) -> None:
    """451, and once the database is back the same letter is taken."""
    delivery = Make(sqlite_database).delivery()
    listener = start()
    report = samples.dsn(("ann@example.org", samples.GONE))
    with sqlite_database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE returned_mail RENAME TO away")
    code, words = refusal(listener, fresh_path(delivery), report)
    assert (code, words[:5]) == (451, b"4.3.0")
    with sqlite_database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE away RENAME TO returned_mail")
    send(listener, fresh_path(delivery), report)
    assert count(sqlite_database, Event) == 1


def test_a_letter_beyond_the_size_limit_is_refused(start: Start, outbox: Outbox) -> None:
    """Said before it is sent, to a peer that tells its size (RFC 1870), and after it to others."""
    listener = start()
    with client(listener) as smtp:
        smtp.ehlo()
        assert smtp.esmtp_features["size"] == str(SIZE_LIMIT)
        assert smtp.mail("", [f"SIZE={SIZE_LIMIT + 1}"])[0] == 552
    with client(listener) as smtp:
        smtp.helo()
        smtp.mail("")
        smtp.rcpt("ann@example.org")
        assert smtp.data((b"x" * 998 + b"\r\n") * (SIZE_LIMIT // 1000 + 1))[0] == 552
    assert outbox.count() == 0


def test_lines_longer_than_allowed_are_taken(start: Start, outbox: Outbox) -> None:
    """Bounces quote HTML in one line; refusing them would lose them."""
    body = b"Subject: long\r\n\r\n" + b"x" * 100_000 + b"\r\n"
    send(start(), "ann@example.org", body)
    assert outbox.letter(1) == body


def test_a_port_that_is_taken_is_said_in_one_sentence(start: Start) -> None:
    """A second server beside the first."""
    listener = start()
    with pytest.raises(CannotListen, match=r"another server uses that port.*MAILER_LISTENER_PORT") as caught:
        start(listener_port=listener.port)
    assert isinstance(caught.value, MailerError)


def test_many_peers_at_once_lose_nothing(start: Start, outbox: Outbox) -> None:
    """Twenty connections, five letters each."""
    listener = start()

    def talk() -> None:
        with client(listener) as smtp:
            for _ in range(5):
                smtp.sendmail("", ["ann@example.org"], LETTER)

    peers = [threading.Thread(target=talk) for _ in range(20)]
    for peer in peers:
        peer.start()
    for peer in peers:
        peer.join()
    assert outbox.count() == 100


def test_it_stops_while_peers_are_connected(start: Start) -> None:
    """Nobody waits for an idle peer, and a second stop does nothing."""
    listener = start()
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as idle:
        idle.recv(100)
        listener.stop()
        assert idle.recv(100) == b""
    listener.stop()


def test_our_own_transport_and_listener_understand_each_other(start: Start, outbox: Outbox) -> None:
    """Several connections, commands sent ahead of their answers, some readers refused."""
    replies = {"r7@example.org": "550 5.1.1 No such user", "r8@example.org": "450 4.2.1 Try later"}
    transport = Transport(Relay.from_url(f"smtp://127.0.0.1:{start(manners=replies.get).port}"))
    letters = [Envelope(n, "b-x@bounces.example", f"r{n}@example.org", LETTER, False) for n in range(40)]
    outcomes = {outcome.key: outcome for outcome in transport.send(letters)}
    transport.close()
    assert len(outcomes) == 40
    assert (outcomes[7].code, outcomes[8].code) == (550, 450)
    assert sum(outcome.kind is Kind.ACCEPTED for outcome in outcomes.values()) == outbox.count() == 38
    assert {outbox.letter(caught.id) for caught in outbox.listing()} == {LETTER}


def test_once_letters_really_leave_nothing_is_caught_for_strangers(start: Start, outbox: Outbox) -> None:
    """With a relay configured the listener is the bounce domain's MX, embedded or not."""
    code, _ = refusal(start(smtp_url="smtp://relay.example.net"), "ann@example.org")
    assert code == 550
    assert outbox.count() == 0


def test_one_letter_has_a_hundred_recipients_at_most(start: Start) -> None:
    """Each is stored for itself: one letter of 20 MB must not fill the disk."""
    with client(start()) as smtp:
        smtp.ehlo()
        smtp.mail("")
        codes = [smtp.rcpt(f"reader{number}@example.org")[0] for number in range(RECIPIENTS + 1)]
    assert codes == [250] * RECIPIENTS + [452]


def test_connections_beyond_the_limit_are_turned_away(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd of silent peers takes no memory, and the next who comes once they left is heard."""
    monkeypatch.setattr("mailer.feedback.listener.CONNECTIONS", 2)
    listener = start()
    with client(listener), client(listener):
        with pytest.raises(smtplib.SMTPConnectError) as turned_away:
            client(listener)
        assert turned_away.value.smtp_code == 421
    send(listener, "ann@example.org")


def test_a_line_end_of_another_kind_ends_no_letter(start: Start, outbox: Outbox) -> None:
    """SMTP smuggling (CVE-2023-51764): only CR LF . CR LF ends a letter, so nobody hides a second in it."""
    with client(start()) as smtp:
        smtp.ehlo()
        smtp.mail("a@example.net")
        smtp.rcpt("ann@example.org")
        smtp.docmd("DATA")
        hidden = b"MAIL FROM:<>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nhello\r\n.\r\n"
        smtp.send(b"one\n.\n" + b"two\n.\r\n" + b"three\r\n.\n" + hidden)
        assert smtp.getreply()[0] == 250
    assert [letter.rcpt_to for letter in outbox.listing()] == ["ann@example.org"]


def test_of_a_strangers_long_mail_only_the_beginning_is_kept(start: Start, sqlite_database: Database) -> None:
    """Whoever knows the bounce domain must not be able to fill the database."""
    long = b"Subject: hello\r\n\r\n" + b"x" * 70 + b"\r\n" + b"y" * 100_000 + b"\r\n"
    send(start(), "somebody@bounces.mailer.example", long)
    with sqlite_database.read() as session:
        kept = store.mail_content(session, session.scalars(select(ReturnedMail.id)).one())
    assert kept is not None
    assert len(kept) == store.KEPT_OF_STRANGERS
    assert kept.startswith(b"Subject: hello")


# -- LMTP -------------------------------------------------------------------------------------------------


class Lmtp(smtplib.LMTP):
    """The stdlib's client, which hears one reply to a body; a mail server hears one for each recipient."""

    def body(self, content: bytes, recipients: int) -> list[int]:
        self.docmd("DATA")
        self.send(content + b".\r\n")
        return [self.getreply()[0] for _ in range(recipients)]


def lmtp(listener: Listener) -> Lmtp:
    return Lmtp("127.0.0.1", listener.lmtp_port or 0, local_hostname="mail.example.net")


def test_a_mail_server_hands_over_by_lmtp(start: Start, sqlite_database: Database) -> None:
    """A transport of Postfix, say; strangers are refused there as well."""
    delivery = Make(sqlite_database).delivery()
    with lmtp(start(redis_url="redis://127.0.0.1:1", lmtp_port=0)) as server:
        server.ehlo()
        server.mail("")
        assert [server.rcpt(to)[0] for to in (fresh_path(delivery), "ann@example.org")] == [250, 550]
        assert server.body(samples.dsn(("ann@example.org", samples.GONE)), 1) == [250]
        assert server.docmd("HELO", "x")[0] == 500
    assert count(sqlite_database, Event) == 1


def test_lmtp_answers_for_each_recipient(
    start: Start, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 2033: what one has got need not come again."""
    make = Make(sqlite_database)
    good, bad = make.delivery(), make.delivery()
    hear = reception.record.hear

    def stumbling(session: object, **given: object) -> object:
        if given["envelope_to"] == fresh_path(bad):
            raise OSError("this one not")
        return hear(session, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(reception.record, "hear", stumbling)
    with lmtp(start(lmtp_port=0, smtp_url="smtp://relay.example.net")) as server:
        server.ehlo()
        server.mail("")
        for delivery in (good, bad, good):
            assert server.rcpt(fresh_path(delivery))[0] == 250
        assert server.body(samples.dsn(("ann@example.org", samples.GONE)), 3) == [250, 451, 250]
        assert server.noop()[0] == 250
    assert count(sqlite_database, Event) == 1


def test_a_body_that_is_too_long_is_refused_for_each_recipient(
    start: Start, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else peer and listener would no longer mean the same letter."""
    monkeypatch.setattr("mailer.feedback.listener.SIZE_LIMIT", 1_000)
    path = fresh_path(Make(sqlite_database).delivery())
    with lmtp(start(lmtp_port=0, smtp_url="smtp://relay.example.net")) as server:
        server.ehlo()
        server.mail("")
        server.rcpt(path)
        server.rcpt(path.upper())
        assert server.body(b"x" * 70 + b"\r\n" + b"y" * 2_000 + b"\r\n", 2) == [552, 552]
        assert server.noop()[0] == 250


# -- STARTTLS ---------------------------------------------------------------------------------------------


def test_letters_may_come_by_tls(start: Start, outbox: Outbox, tmp_path: Path) -> None:
    """Where a certificate is set; nobody is asked to sign in."""
    certificate = self_signed(tmp_path)
    listener = start(listener_certificate=certificate)
    with client(listener) as smtp:
        smtp.starttls(context=ssl.create_default_context(cafile=str(certificate)))
        smtp.ehlo()
        assert "starttls" not in smtp.esmtp_features
        assert "auth" not in smtp.esmtp_features
        assert "pipelining" in smtp.esmtp_features
        smtp.sendmail("", ["ann@example.org"], LETTER)
    assert outbox.letter(1) == LETTER
    with client(listener) as smtp:  # and by none, as before
        smtp.sendmail("", ["ann@example.org"], LETTER)
    assert outbox.count() == 2


def test_a_certificate_is_read_anew_when_it_changes(start: Start, outbox: Outbox, tmp_path: Path) -> None:
    """It is renewed every few weeks, and the listener runs for months; half a file changes nothing."""
    file = tmp_path / "listener.pem"
    shutil.copy(self_signed(tmp_path, host="old.example"), file)
    listener = start(listener_certificate=file)

    def shown() -> str:
        with client(listener) as smtp:
            smtp.starttls(context=ssl._create_unverified_context())  # noqa: S323  looked at, not trusted
            return ssl.DER_cert_to_PEM_cert(smtp.sock.getpeercert(binary_form=True))  # type: ignore[union-attr]

    old = shown()
    file.write_bytes(b"half of it")
    assert shown() == old
    shutil.copy(self_signed(tmp_path, host="new.example"), file)
    assert shown() != old


def test_a_certificate_that_cannot_be_read_is_said_at_once(start: Start, tmp_path: Path) -> None:
    """Not when the first peer comes."""
    (tmp_path / "bad.pem").write_text("no certificate")
    for name in ("bad.pem", "none.pem"):
        with pytest.raises(BadCertificate, match="MAILER_LISTENER_CERTIFICATE"):
            start(listener_certificate=tmp_path / name)


# -- floods -----------------------------------------------------------------------------------------------


def test_one_return_path_takes_so_many_mails_an_hour(start: Start, sqlite_database: Database) -> None:
    """Whoever has a letter knows a valid return path: it must not fill the disk. Others are heard."""
    make = Make(sqlite_database)
    path, other = fresh_path(make.delivery()), fresh_path(make.delivery())
    with client(start()) as smtp:
        smtp.ehlo()
        smtp.mail("")
        codes = [smtp.rcpt(path if n % 2 else path.upper())[0] for n in range(reception.PER_HOUR + 1)]
        assert codes == [250] * reception.PER_HOUR + [450]
        assert smtp.rcpt(other)[0] == 250


def test_one_peer_does_not_take_every_connection(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who leave make room, by TLS or not."""
    monkeypatch.setattr("mailer.feedback.listener.PEER_CONNECTIONS", 2)
    listener = start()
    for _ in range(3):
        with client(listener), client(listener), pytest.raises(smtplib.SMTPConnectError):
            client(listener)


def test_who_tries_one_stranger_after_the_other_waits(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first few are answered at once: a mail server may have old letters in its queue."""
    waits: list[float] = []

    async def sleep(seconds: float, *_: object) -> None:
        waits.append(seconds)

    monkeypatch.setattr("mailer.feedback.listener.asyncio.sleep", sleep)
    with client(start(smtp_url="smtp://relay.example.net")) as smtp:
        smtp.ehlo()
        smtp.mail("")
        for n in range(PATIENCE + 2):
            assert smtp.rcpt(f"stranger{n}@example.org")[0] == 550
    assert waits[: PATIENCE + 2] == [0.0] * PATIENCE + [1.0, 2.0]


def test_a_disk_that_is_nearly_full_takes_nothing_more(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """452: peers keep their letters, and the database can still be written."""
    monkeypatch.setattr(reception, "ROOM", 1 << 62)
    assert refusal(start(), "ann@example.org")[0] == 452


def test_in_a_flood_of_backscatter_little_is_kept_of_each(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enough to see what it was; letters of ours are kept as ever."""
    monkeypatch.setattr(store, "FLOOD", 3)
    delivery = Make(database).delivery()
    long = samples.dsn(("ann@example.org", samples.GONE)) + b"x" * 50_000
    with database.write() as session:
        for n in range(5):
            heard = [reception.record.hear(session, raw=long + bytes(n), envelope_to="", now=NOON, keys=KEYS)]
        ours = reception.record.hear(
            session, raw=long, envelope_to=samples.return_path(delivery), now=NOON, keys=KEYS
        )
        kept = [len(store.mail_content(session, one) or b"") for one in (1, 3, 4, 5, ours.mail_id or 0)]
    assert heard[-1].mail_id == 5
    assert kept == [len(long), len(long) + 2, store.KEPT_IN_FLOOD, store.KEPT_IN_FLOOD, len(long)]
