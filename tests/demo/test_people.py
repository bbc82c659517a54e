"""The demonstration's people and what comes back from them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from mailer import address
from mailer.demo import people, world
from mailer.demo.people import PARTNERS, Fate
from mailer.feedback.message import classify
from mailer.feedback.outbox import Caught

RESERVED = (".example", "example.org", "example.com", "example.net")  # RFC 2606, RFC 6761
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LETTER = (
    b"From: news@secretariat.example\r\nMessage-ID: <m-1@bounces.example>\r\nSubject: News\r\n\r\nHello.\r\n"
)


def test_nobody_can_be_written_to_by_accident() -> None:
    """Every address is under a domain that belongs to nobody, and each is another's."""
    addresses = [reader.address for reader in people.readers(2000)]
    assert len({address.parse(it).key for it in addresses}) == 2000
    assert all(it.endswith(RESERVED) for it in addresses)
    assert all(partner.domain.endswith(RESERVED) for partner in PARTNERS)


def test_everything_happens_already_among_a_hundred() -> None:
    """A small demonstration shows every outcome; most people just read."""
    fates = Counter(reader.fate for reader in people.readers(100))
    assert set(fates) == set(Fate)
    assert fates[Fate.READS] > 40


def test_it_is_the_same_every_time() -> None:
    """Figures can be compared between two machines."""
    assert list(people.readers(300)) == list(people.readers(300))


def test_both_languages_and_every_partner_are_there() -> None:
    """A reader's language is the partner's."""
    readers = list(people.readers(1000))
    assert {reader.language for reader in readers} == {"zh", "en"}
    assert {reader.partner for reader in readers} == {partner.code for partner in PARTNERS}


@pytest.mark.parametrize(
    ("fate", "kind", "category"),
    [
        (Fate.BOUNCES, "bounce", "bad_mailbox"),
        (Fate.OVERFLOWS, "bounce", "mailbox_full"),
        (Fate.DISABLED, "bounce", "inactive"),
        (Fate.DELAYED, "delay", None),
        (Fate.AWAY, "auto_reply", None),
        (Fate.COMPLAINS, "complaint", None),
    ],
)
def test_what_comes_back_is_what_mail_systems_send(fate: Fate, kind: str, category: str | None) -> None:
    """Read by the same eyes as the outside world's mail."""
    caught = Caught(1, NOON, "b-token@bounces.example", "ann@lakes.example", "News", len(LETTER))
    envelope = world.answer(caught, LETTER, fate, NOON)
    assert envelope
    assert (envelope.sender, envelope.recipient) == ("", "b-token@bounces.example")
    returned = classify(envelope.body)
    assert returned.kind == kind
    if category:
        assert [recipient.category for recipient in returned.recipients] == [category]


def test_a_reader_who_just_reads_sends_nothing_back() -> None:
    """Silence is the usual answer."""
    caught = Caught(1, NOON, "b-token@bounces.example", "ann@lakes.example", "News", len(LETTER))
    assert world.answer(caught, LETTER, Fate.READS, NOON) is None
