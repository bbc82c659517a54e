"""DKIM keys from their making to their end, and letters that arrive signed by them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.database import Database
from mailer.delivery import dkim_dns, dkim_keys
from mailer.delivery.dkim import Algorithm, Signer
from mailer.delivery.dkim_dns import Finding, Verdict
from mailer.delivery.dkim_keys import LINGER, State
from mailer.delivery.store import DkimKey
from mailer.settings import Settings
from tests.delivery.receiver import verdicts
from tests.make import NOON

ADMIN = Actor(None, "admin@example.org")
DOMAIN = "news.example"
DAY = timedelta(days=1)
LETTER = b"From: a@news.example\r\nTo: ann@example.org\r\n\r\nHello.\r\n"


class Keys:
    """The verbs, each in a transaction of its own."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings

    def do(self, verb: Callable[..., Any], selector: str, at: datetime = NOON, **given: Any) -> Any:
        facts = {"domain": DOMAIN, "selector": selector, "now": at, "actor": ADMIN}
        with self.database.write() as session:
            return verb(session, **{**facts, **given})

    def make(self, selector: str = "", algorithm: Algorithm = Algorithm.ED25519, **given: Any) -> DkimKey:
        facts = {"algorithm": algorithm, "keys": self.settings.keys}
        made: DkimKey = self.do(dkim_keys.make, selector, **{**facts, **given})
        return made

    def activate(self, selector: str, at: datetime = NOON, **given: Any) -> list[str]:
        replaced = self.do(dkim_keys.activate, selector, at, **{"seen": None, **given})
        return [key.selector for key in replaced]

    def active(self, selector: str, algorithm: Algorithm = Algorithm.ED25519, **given: Any) -> None:
        self.make(selector, algorithm, **given)
        self.activate(selector, **given)

    def signer(self, domain: str = DOMAIN, at: datetime = NOON, secret: str = "") -> Signer | None:
        """What signs; ``secret`` in place of MAILER_SECRET."""
        settings = Settings(data=self.settings.data, secret=secret or self.settings.secret)
        with self.database.read() as session:
            return dkim_keys.signer(session, domain, settings=settings, now=at)

    def selectors(self, domain: str = DOMAIN, at: datetime = NOON) -> list[str]:
        """Those that sign, in the order of their signatures."""
        found = self.signer(domain, at)
        fields = found.sign(LETTER).split(b"DKIM-Signature: ")[1:] if found else []
        return [field.split(b" s=")[1].split(b";")[0].decode() for field in fields]

    def state(self, selector: str, at: datetime = NOON) -> State:
        with self.database.read() as session:
            return dkim_keys.state(dkim_keys.get(session, domain=DOMAIN, selector=selector), at)

    def zone(self) -> dict[str, str]:
        with self.database.read() as session:
            return {
                dkim_dns.record_name(key.domain, key.selector): dkim_dns.record(
                    Algorithm(key.algorithm), key.public
                )
                for key in dkim_keys.listing(session)
            }

    def audited(self) -> list[tuple[str, str]]:
        with self.database.read() as session:
            return [(entry.action, entry.subject) for entry in reversed(audit.entries(session))]


@pytest.fixture
def keys(database: Database, settings: Settings) -> Keys:
    return Keys(database, settings)


# From making to end


def test_a_new_key_signs_nothing_until_it_is_activated(keys: Keys) -> None:
    """First its record must stand in the DNS."""
    keys.make("one")
    assert (keys.state("one"), keys.selectors()) == (State.NEW, [])
    keys.activate("one")
    assert (keys.state("one"), keys.selectors()) == (State.SIGNING, ["one"])


def test_a_key_takes_the_place_of_the_one_before_it(keys: Keys) -> None:
    """At once; the old record must stay for letters on their way, and the old key may come back."""
    keys.active("one")
    keys.make("two")
    assert keys.activate("two", NOON + DAY) == ["one"]
    assert keys.selectors(at=NOON + DAY) == ["two"]
    assert keys.state("one", NOON + DAY) == State.REPLACED
    with keys.database.read() as session:
        one, two = dkim_keys.listing(session, DOMAIN)
    assert dkim_keys.record_until(one) == NOON + DAY + LINGER
    assert dkim_keys.record_until(two) is None
    assert keys.activate("one", NOON + 2 * DAY) == ["two"]
    assert keys.selectors(at=NOON + 2 * DAY) == ["one"]


def test_two_algorithms_sign_side_by_side(keys: Keys) -> None:
    """Each replaces its own kind only; RSA stands first, as every receiver knows it."""
    keys.active("ed")
    keys.active("rsa", Algorithm.RSA)
    keys.make("ed2")
    assert keys.selectors() == ["rsa", "ed"]
    assert keys.activate("ed2") == ["ed"]
    assert keys.selectors() == ["rsa", "ed2"]


def test_activating_twice_changes_nothing(keys: Keys) -> None:
    """Nor does it write to the audit log again."""
    keys.active("one")
    before = keys.audited()
    assert keys.activate("one", NOON + DAY) == []
    assert keys.audited() == before


def test_a_retired_key_is_gone_and_its_selector_never_used_again(keys: Keys) -> None:
    """Its private half is erased; receivers may keep its record for a while."""
    keys.active("one")
    keys.active("two")
    retired = keys.do(dkim_keys.retire, "one", NOON + DAY)
    assert (retired.secret, keys.state("one", NOON + DAY)) == ("", State.RETIRED)
    assert dkim_keys.record_until(retired) == NOON + LINGER  # it signed until noon
    assert keys.do(dkim_keys.retire, "one", NOON + 2 * DAY).signs_until == NOON
    with pytest.raises(dkim_keys.KeyRetired):
        keys.activate("one")
    with pytest.raises(dkim_keys.SelectorTaken):
        keys.make("one")


def test_a_key_that_never_signed_needs_no_record_once_retired(keys: Keys) -> None:
    """Nobody has a letter that names it."""
    keys.make("one")
    retired = keys.do(dkim_keys.retire, "one")
    assert dkim_keys.record_until(retired) == NOON


def test_the_last_key_is_not_retired_by_mistake(keys: Keys) -> None:
    """Without it letters go unsigned, and receivers who were told otherwise refuse them."""
    keys.active("one")
    with pytest.raises(dkim_keys.LastKey):
        keys.do(dkim_keys.retire, "one")
    assert keys.selectors() == ["one"]
    keys.do(dkim_keys.retire, "one", last=True)
    assert keys.selectors() == []


def test_what_was_done_to_keys_is_in_the_audit_log(keys: Keys) -> None:
    """Who signs in the coalition's name is worth a line."""
    keys.active("one")
    keys.do(dkim_keys.retire, "one", last=True)
    name = "dkim one._domainkey.news.example"
    assert keys.audited() == [("dkim.make", name), ("dkim.activate", name), ("dkim.retire", name)]


def test_a_selector_is_made_of_the_date(keys: Keys) -> None:
    """And another of it when it is taken, by a key of this domain."""
    assert [keys.make().selector for _ in range(2)] == [f"m{NOON:%Y%m%d}e", f"m{NOON:%Y%m%d}e2"]
    assert keys.make(domain="other.example").selector == f"m{NOON:%Y%m%d}e"


@pytest.mark.parametrize("selector", ["a.b", "-a", "a_b", "ü", "a" * 64, "a b", "a;"])
def test_what_cannot_be_a_selector_is_refused(keys: Keys, selector: str) -> None:
    """It becomes a name in the DNS and a word in a header."""
    with pytest.raises(dkim_keys.BadSelector):
        keys.make(selector)


@pytest.mark.parametrize("domain", ["news", "a@news.example", "news example", ""])
def test_what_is_no_domain_is_refused(keys: Keys, domain: str) -> None:
    """In a sentence."""
    with pytest.raises(dkim_keys.BadDomain):
        keys.make("one", domain=domain)


def test_a_domain_in_any_script_is_kept_as_the_dns_knows_it(keys: Keys) -> None:
    """d= holds A-labels (RFC 8616 §4), and one domain is one, however it is written."""
    keys.active("one", domain="例子.公司.")
    assert keys.selectors("xn--fsqu00a.xn--55qx5d") == ["one"]
    with keys.database.read() as session:
        assert dkim_keys.get(session, domain="例子.公司", selector="ONE").domain == "xn--fsqu00a.xn--55qx5d"


# The DNS


def test_a_key_is_activated_once_the_dns_shows_it(keys: Keys) -> None:
    """Else receivers would find letters signed by nobody; the error says what is missing."""
    key = keys.make("one")
    missing = dkim_keys.check(key, lambda name: [])
    with pytest.raises(dkim_keys.NotPublished, match=r"no TXT record at one\._domainkey\.news\.example"):
        keys.activate("one", seen=missing)
    assert keys.selectors() == []
    shown = dkim_keys.check(key, lambda name: [keys.zone()[name]])
    assert shown == Finding("one._domainkey.news.example", Verdict.PUBLISHED, shown.records)
    keys.activate("one", seen=shown)
    assert keys.selectors() == ["one"]


# Signing


def test_the_nearest_domain_with_a_key_signs(keys: Keys) -> None:
    """d= may be a parent (RFC 6376 §3.5), never a sibling, a child, or a whole top-level domain."""
    keys.active("one")
    keys.active("two", domain="fine.print.news.example")
    assert keys.selectors("print.news.example") == keys.selectors("NEWS.example") == ["one"]
    assert keys.selectors("fine.print.news.example") == ["two"]
    assert (
        keys.selectors("other.example") == keys.selectors("xnews.example") == keys.selectors("example") == []
    )


def test_a_worker_asks_for_keys_once_a_minute(keys: Keys) -> None:
    """Not for every slice; a key that is activated, replaced or retired is noticed within that."""
    signers = dkim_keys.Signers(keys.settings)
    at = [NOON + dkim_keys.FRESH * part for part in (0, 0.9, 1, 1.5, 0.5)]
    with keys.database.read() as session:
        assert signers.of(session, DOMAIN, at[0]) is None
    keys.active("one")
    with keys.database.read() as session:
        assert signers.of(session, DOMAIN, at[1]) is None
        found = signers.of(session, DOMAIN, at[2])
        assert found is not None
        assert signers.of(session, DOMAIN, at[3]) is found
        assert signers.of(session, "other.example", at[3]) is None
        assert signers.of(session, DOMAIN, at[4]) is not found, "a clock that was set back"


def test_every_signature_verifies_with_what_is_published(keys: Keys) -> None:
    """From the sealed key in the database to the record in the DNS."""
    keys.active("ed")
    keys.active("rsa", Algorithm.RSA)
    with keys.database.read() as session:
        letter = dkim_keys.signed(session, LETTER, settings=keys.settings, now=NOON)
        foreign = LETTER.replace(DOMAIN.encode(), b"other.example")
        assert dkim_keys.signed(session, foreign, settings=keys.settings, now=NOON) == foreign
    assert letter.endswith(LETTER)
    assert verdicts(letter, keys.zone()) == [True, True]


def test_a_private_key_is_not_to_be_had_from_the_database(keys: Keys) -> None:
    """Sealed under MAILER_SECRET: rotated it still opens, changed it says what to do."""
    key = keys.make("one")
    keys.activate("one")
    with pytest.raises(ValueError, match="deserialize"):
        load_der_private_key(b64decode(key.secret.partition(":")[2]), None)
    assert keys.signer(secret=f"9:a-newer-key-of-some-length,{keys.settings.secret}") is not None
    with pytest.raises(dkim_keys.UnreadableKey, match=r"key one of news\.example cannot be opened: put"):
        keys.signer(secret="1:somebody-elses-key-entirely")


def test_a_sealed_key_serves_no_other_domain(keys: Keys) -> None:
    """Who may write rows cannot have one domain sign with the key of another."""
    keys.make("one")
    two = keys.make("one", domain="other.example")
    with keys.database.write() as session:
        session.get_one(DkimKey, (DOMAIN, "one")).secret = two.secret
    keys.activate("one")
    with pytest.raises(dkim_keys.UnreadableKey):
        keys.signer()
