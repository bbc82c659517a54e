"""Letters as they arrive from a real SMTP connection, judged by an independent DKIM library."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailer.accounts.audit import SYSTEM
from mailer.delivery import batches, dkim_dns, dkim_keys, note, trial
from mailer.delivery.dkim import Algorithm
from mailer.delivery.dkim_keys import UnreadableKey
from mailer.delivery.note import NoteRefused
from mailer.delivery.send import Sender
from mailer.issues import publications
from mailer.issues.store import Publication
from mailer.settings import Settings
from tests.delivery.desk import Desk, now
from tests.delivery.receiver import verdicts
from tests.smtphost import Received, SmtpHost

DOMAIN = "news.example"  # of every publication that the tests make
PEOPLE = ("ann@example.org", "李雷@例子.公司", "bob@example.net")

Verify = Callable[[Received], list[bool]]


def signing(desk: Desk, selector: str, algorithm: Algorithm = Algorithm.ED25519) -> None:
    """Have the desk's domain sign with a new key."""
    with desk.database.write() as session:
        dkim_keys.make(
            session, domain=DOMAIN, algorithm=algorithm, selector=selector, keys=desk.settings.keys,
            now=now(), actor=SYSTEM,
        )  # fmt: skip
        dkim_keys.activate(session, domain=DOMAIN, selector=selector, seen=None, now=now(), actor=SYSTEM)


@pytest.fixture
def verify(desk: Desk) -> Verify:
    """What a receiver says of a letter, asking for the records that the desk was told to publish."""

    def say(letter: Received) -> list[bool]:
        with desk.database.read() as session:
            zone = {
                dkim_dns.record_name(key.domain, key.selector): dkim_dns.record(
                    Algorithm(key.algorithm), key.public
                )
                for key in dkim_keys.listing(session)
            }
        return verdicts(letter.body, zone)

    return say


def forgetful(desk: Desk) -> Settings:
    """The desk's settings after MAILER_SECRET was exchanged."""
    return Settings(
        data=desk.settings.data,
        database_url=desk.settings.database_url,
        smtp_url=desk.settings.smtp_url,
        secret="5:another-secret-altogether",
    )


def test_a_campaigns_letters_arrive_signed_by_both_keys(desk: Desk, host: SmtpHost, verify: Verify) -> None:
    """Whatever script a reader's address is in: no relay between us and them changed what is signed."""
    signing(desk, "rsa", Algorithm.RSA)
    signing(desk, "ed")
    desk.launched(*PEOPLE)
    desk.work()
    assert {letter.recipient for letter in host.letters} == {*PEOPLE[::2], "李雷@xn--fsqu00a.xn--55qx5d"}
    assert [verify(letter) for letter in host.letters] == [[True, True]] * 3


def test_letters_of_a_domain_without_keys_go_unsigned(desk: Desk, host: SmtpHost, verify: Verify) -> None:
    """Somebody else's signing relay may do it; a key that is not activated does not either."""
    with desk.database.write() as session:
        facts = {"algorithm": Algorithm.ED25519, "keys": desk.settings.keys, "now": now(), "actor": SYSTEM}
        dkim_keys.make(session, domain=DOMAIN, selector="new", **facts)
    desk.launched(PEOPLE[0])
    desk.work()
    assert [verify(letter) for letter in host.letters] == [[]]


def test_the_sender_of_a_frozen_letter_decides_who_signs(desk: Desk, host: SmtpHost, verify: Verify) -> None:
    """A publication may be given another sender meanwhile; what is on its way keeps its own."""
    signing(desk, "ed")
    campaign = desk.launched(PEOPLE[0])
    with desk.database.write() as session:
        code = session.get_one(Publication, desk.campaign(campaign).publication_id).code
        publications.change(session, code=code, sender_address="a@other.example", now=now(), actor=SYSTEM)
    desk.work()
    assert [verify(letter) for letter in host.letters] == [[True]]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_test_letter_is_signed_as_readers_letters_are(
    desk: Desk, host: SmtpHost, verify: Verify, frozen: bool
) -> None:
    """Else it would not show what receivers make of it."""
    signing(desk, "ed")
    campaign = desk.approved() if frozen else desk.draft()
    with desk.database.read() as session:
        trial.send(session, campaign_id=campaign, to=PEOPLE[1], settings=desk.settings, now=now())
    assert [verify(letter) for letter in host.letters] == [[True]]


def write_note(desk: Desk, to: str, settings: Settings) -> None:
    publication = desk.make.publication()
    with desk.database.read() as session:
        note.send(
            session, to=to, subject="您的偏好", text="第一行 £\n\n.a line that begins with a dot\nend\n\n",
            publication=publication, voice=publications.voice(session, publication.id, "zh"),
            settings=settings, now=now(),
        )  # fmt: skip


@pytest.mark.parametrize("to", PEOPLE[:2])
def test_a_note_is_signed_too(desk: Desk, host: SmtpHost, verify: Verify, to: str) -> None:
    """It comes from the same sender."""
    signing(desk, "rsa", Algorithm.RSA)
    write_note(desk, to, desk.settings)
    assert [verify(letter) for letter in host.letters] == [[True]]


def test_a_note_that_cannot_be_signed_is_not_sent(desk: Desk, host: SmtpHost) -> None:
    """Readers are told to come again; what is wrong with our keys is not for them."""
    signing(desk, "ed")
    with pytest.raises(NoteRefused, match="try again in a few minutes"):
        write_note(desk, PEOPLE[0], forgetful(desk))
    assert host.connections == 0


def test_a_test_letter_that_cannot_be_signed_says_why(desk: Desk, host: SmtpHost) -> None:
    """To whoever asked for it: the person who can mend it, or knows who can."""
    signing(desk, "ed")
    campaign = desk.draft()
    with (
        desk.database.read() as session,
        pytest.raises(UnreadableKey, match="put the key that MAILER_SECRET"),
    ):
        trial.send(session, campaign_id=campaign, to=PEOPLE[0], settings=forgetful(desk), now=now())
    assert host.connections == 0


def test_a_campaign_that_cannot_be_signed_waits_and_says_why(desk: Desk, host: SmtpHost) -> None:
    """Unsigned, its letters would be refused or taken for spam; other senders' campaigns go on meanwhile."""
    signing(desk, "ed")
    stuck = desk.launched(PEOPLE[0])
    worker = Sender(forgetful(desk), desk.database)
    try:
        desk.work(worker)
        assert host.letters == []
        assert "DKIM key ed of news.example cannot be opened" in desk.campaign(stuck).trouble
        assert desk.counts(stuck) == {"WAITING": 1}
        with desk.database.write() as session:
            code = session.get_one(Publication, desk.campaign(stuck).publication_id).code
            publications.change(session, code=code, sender_address="a@other.example", now=now(), actor=SYSTEM)
        desk.hurry(stuck)
        going = desk.launched()
        desk.work(worker)
        assert (desk.counts(going), desk.counts(stuck)) == ({"ACCEPTED": 1}, {"WAITING": 1})
    finally:
        worker.close()
    desk.hurry(stuck)
    desk.work()
    assert (desk.counts(stuck), desk.campaign(stuck).trouble) == ({"ACCEPTED": 1}, "")


def test_a_campaign_that_cannot_be_signed_keeps_no_worker_from_the_others(
    desk: Desk, host: SmtpHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its batches are due, and come first: one look sets it aside, and the next goes out."""
    monkeypatch.setattr(batches, "SIZE", 1)
    signing(desk, "ed")
    stuck = desk.launched(*PEOPLE)
    with desk.database.write() as session:
        code = session.get_one(Publication, desk.campaign(stuck).publication_id).code
        publications.change(session, code=code, sender_address="a@other.example", now=now(), actor=SYSTEM)
    going = desk.launched()
    worker = Sender(forgetful(desk), desk.database)
    try:
        worker.work(seconds=5)
    finally:
        worker.close()
    assert (desk.counts(stuck), desk.counts(going)) == (
        {"WAITING": len(PEOPLE)},
        {"ACCEPTED": len(PEOPLE)},
    )
