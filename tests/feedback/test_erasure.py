"""Erasure: afterwards no table of the database holds the address or the name in any form."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from mailer.accounts.audit import SYSTEM
from mailer.audience import subscribers
from mailer.audience.intake import Consent, HasLeft, Suppressed
from mailer.audience.names import Names
from mailer.audience.store import ConsentKind, Import, ImportRow, Membership, Subscriber, Suppression
from mailer.database import Base, Database
from mailer.delivery.store import Attempt, Campaign, Delivery, DeliveryState, Event, EventKind
from mailer.errors import NotFound
from mailer.feedback import erasure, store
from mailer.feedback.outbox import Outbox
from mailer.feedback.store import Answer, Decision, Dormant, Mail
from mailer.reports import campaign as reports
from mailer.reports import own_data
from mailer.sentence import Sentence
from tests.make import KEYS, NOON, Make

ADDRESS = "Secret.Person@Example.org"
NAMES = ("secret.person", "Unmistakable")


def everything_stored(database: Database) -> str:
    """Every cell of every table as text, packed content unpacked."""
    with database.read() as session:
        rows = [
            (table.name, column.name, value)
            for table in Base.metadata.sorted_tables
            for row in session.execute(table.select()).mappings()
            for column, value in ((column, row[column.name]) for column in table.c)
            if value is not None
        ]
    return "\n".join(f"{table}.{column}: {_text(value)}" for table, column, value in rows).lower()


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        with suppress(zlib.error):
            value = zlib.decompress(value)
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str)


@pytest.fixture
def person(database: Database, make: Make) -> Subscriber:
    """Somebody of whom every table that may say something says something."""
    publication, partner = make.publication(), make.partner("ours")
    with database.write() as session:
        found = subscribers.add(
            session, keys=KEYS, now=NOON, actor=SYSTEM, address=ADDRESS,
            names=Names(family_en="Unmistakable", given_en="Ann"), language="en",
            publication_id=publication.id, partner_id=partner.id, notes="Unmistakable likes birds",
            consent=Consent(ConsentKind.INVITED, "Yes.", "192.0.2.1"),
        )  # fmt: skip
        session.query(Membership).one().language = "en"
    make.topic("climate", found)
    make.sign_up(found, names={"family_en": "Unmistakable"})
    make.address_change(found, "Other.Secret.Person@Example.org")
    make.suppression(ADDRESS, note=f"550 <{ADDRESS}> unknown")
    letter = make.delivery(
        subscriber=found,
        campaign=make.campaign(),
        state=DeliveryState.ACCEPTED,
        salutation="Dear Unmistakable,",
    )
    make.attempt(letter, reply=f"250 <{ADDRESS.lower()}> queued")
    bounce = make.event(letter, detail=f"550 5.1.1 <{ADDRESS}>: no such user", category="bad_mailbox")
    make.event(letter, EventKind.OPEN, detail="machine: Unmistakable Agent")
    make.event(letter, EventKind.CLICK, detail="Unmistakable Browser", link=0)
    make.event(letter, EventKind.LEAVE, detail="I, Unmistakable, am tired")
    raw = f"To: {ADDRESS}\r\n\r\nDear Unmistakable".encode()
    with database.write() as session:
        for number, whose in enumerate([(letter.campaign_id, letter.n), None]):
            [mail] = store.keep(
                session, [Mail(f"{number}", raw, "bounce@bounces.example", "bounce", whose)], NOON
            ).values()
            if whose:
                session.add(Answer(mail_id=mail, campaign_id=whose[0], n=whose[1], at=NOON, state="kept"))
        said = Sentence("The mail system says {words}", words=f"<{ADDRESS}> is unknown")
        session.add(Decision(event_id=bounce.id, at=NOON, action="suppress", reason=said))
        session.add(Dormant(subscriber_id=found.id, event_id=bounce.id, listed_at=NOON, reason=said))
        found_import = Import(
            public_id=found.public_id, publication_id=publication.id, file_name="people.csv", file_hash="0",
            actor="editor@example.org", started_at=NOON,
        )  # fmt: skip
        session.add(found_import)
        session.flush()
        session.add(
            ImportRow(
                import_id=found_import.id, line=2, verdict="added", subscriber_id=found.id,
                after={"subscriber": {"address": ADDRESS, "family_en": "Unmistakable"}},
            )
        )  # fmt: skip
    return found


def test_afterwards_nothing_in_the_database_names_the_person(database: Database, person: Subscriber) -> None:
    """Raw mail, replies, imports, letters' salutations, visits: all of it; on both databases."""
    before = everything_stored(database)
    assert all(name.lower() in before for name in NAMES)
    with database.write() as session:
        erasure.erase(session, subscriber_id=person.id, now=NOON, actor=SYSTEM)
    after = everything_stored(database)
    for name in NAMES:
        assert [line for line in after.split("\n") if name.lower() in line] == []
    assert KEYS.address_hash(ADDRESS.casefold()) in after  # in the suppression list, and nowhere else
    assert [line for line in after.split("\n") if KEYS.address_hash(ADDRESS.casefold()) in line] == [
        f'suppressions.address_hash: "{KEYS.address_hash(ADDRESS.casefold())}"'
    ] * 2


def test_the_ledgers_keep_their_sums(database: Database, person: Subscriber) -> None:
    """What was sent, opened, clicked and came back stays counted, machines told apart from people."""

    def figures() -> tuple[Any, list[Any]]:
        with database.read() as session:
            campaign = session.query(Campaign).one()
            kinds = [(event.kind, event.detail.startswith("machine")) for event in session.query(Event)]
            return reports.report(session, campaign.id), sorted(kinds)

    before = figures()
    with database.write() as session:
        erasure.erase(session, subscriber_id=person.id, now=NOON, actor=SYSTEM)
    assert figures() == before
    with database.read() as session:
        assert (session.query(Delivery).count(), session.query(Attempt).count()) == (1, 1)


def test_nobody_can_bring_an_erased_person_back_but_themselves(
    database: Database, person: Subscriber, make: Make
) -> None:
    """An import is refused; a partner is told nothing and no letter goes out."""
    with database.write() as session:
        erasure.erase(session, subscriber_id=person.id, now=NOON, actor=SYSTEM)
    with database.write() as session, pytest.raises((Suppressed, HasLeft)):
        subscribers.add(
            session, keys=KEYS, now=NOON + timedelta(days=1), actor=SYSTEM, address=ADDRESS, names=Names(),
            language="en", publication_id=make.publication().id,
            consent=Consent(ConsentKind.IMPORTED, "a list", "file"),
        )  # fmt: skip


def test_an_erased_person_can_neither_be_erased_again_nor_seen(
    database: Database, person: Subscriber
) -> None:
    """There is nobody any more."""
    with database.write() as session:
        erasure.erase(session, subscriber_id=person.id, now=NOON, actor=SYSTEM)
    with database.write() as session:
        with pytest.raises(NotFound):
            erasure.erase(session, subscriber_id=person.id, now=NOON, actor=SYSTEM)
        with pytest.raises(NotFound):
            own_data.everything(session, person.id, NOON)


def test_others_keep_what_is_theirs(database: Database, person: Subscriber, make: Make) -> None:
    """Somebody whose address begins alike, in the same campaign."""
    other = make.subscriber("a.secret.person@example.org")
    letter = make.delivery(subscriber=other, campaign=_campaign(database), salutation="Dear Sir,")
    make.event(letter, detail="550 <a.secret.person@example.org>")
    suppression = make.suppression("a.secret.person@example.org", note="keep")
    with database.write() as session:
        erasure.erase(session, subscriber_id=person.id, now=NOON, actor=SYSTEM)
    with database.read() as session:
        assert session.get_one(Subscriber, other.id).address == "a.secret.person@example.org"
        assert session.get_one(Suppression, suppression.id).note == "keep"
        kept = session.query(Event).filter(Event.n == letter.n).one()
        assert kept.detail == "550 <a.secret.person@example.org>"


def _campaign(database: Database) -> Campaign:
    with database.read() as session:
        return session.query(Campaign).one()


def test_caught_letters_go_too(settings, tmp_path) -> None:
    """Embedded, letters are caught in a file of their own."""
    outbox = Outbox(tmp_path)
    for to in ("secret.person@example.org", "other@example.org"):
        outbox.record(received_at=NOON, mail_from="", recipients=[to], content=b"Subject: x\n\nbody")
    outbox.forget(["Secret.Person@example.org"])
    assert [caught.rcpt_to for caught in outbox.listing()] == ["other@example.org"]
    outbox.close()


def test_own_data_name_every_table_that_points_to_a_person(database: Database, person: Subscriber) -> None:
    """A table that comes later and holds something about people must be told of, or be named here."""
    told = {
        "memberships", "subscriptions", "subscriber_topics", "sign_ups", "address_changes", "import_rows",
        "deliveries", "exclusions", "consents",
    }  # fmt: skip
    # what we think of an address: its bounces are told; who is about to be asked: the membership is told
    ours = {"dormant", "invitations"}
    pointing = {
        table.name
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name == "subscribers"
    }
    assert pointing <= told | ours
    with database.read() as session:
        parts = own_data.everything(session, person.id, NOON)
    empty = {"no_letters", "past_consents", "other_addresses"}  # of this person
    assert all(parts[name] for name in parts if name not in empty)
