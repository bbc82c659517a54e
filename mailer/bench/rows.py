"""The bench's own rows: many readers written at once, and what a campaign's sending took, read back."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, cast

from sqlalchemy import Table, case, func, insert, select, text
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer.audience.names import Names, clean, salutation
from mailer.audience.store import (
    ConsentKind,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
)
from mailer.bench.issue import LANGUAGE, Script
from mailer.delivery.store import (
    Attempt,
    Batch,
    BatchState,
    Campaign,
    Delivery,
    DeliveryState,
    MailDomain,
    Worker,
)
from mailer.signing import Keyring

DOMAINS = ("north.example", "south.example", "east.example", "west.example", "isles.example")  # RFC 2606
FEW = "country = CH"  # the rule that means the first readers only
_FEW = 400  # of them
_SILENCED = 1_000  # addresses of others, so that the look at suppressions has something to look at
_CHUNK = 10_000  # rows of one INSERT

Row = tuple[Any, ...]


def add_readers(
    session: Session, *, publication_id: int, count: int, script: Script, keys: Keyring, now: datetime
) -> None:
    """Write ``count`` readers with names in a script, each confirmed, each at an address of its own."""
    columns = _subscriber_columns()
    people = (_reader(n, script, keys, now) for n in range(1, count + 1))
    _write(session, cast(Table, Subscriber.__table__), columns, people)
    names = ("publication_id", "subscriber_id", "state", "changed_at", "left_reason", "consent_kind")
    evidence = ("consent_at", "consent_by", "consent_wording", "consent_origin")
    state, kind = SubscriptionState.CONFIRMED.value, ConsentKind.IMPORTED.value
    consents = (
        (publication_id, n, state, now, "", kind, now, "shell", "I want this newsletter.", "bench")
        for n in range(1, count + 1)
    )
    _write(session, cast(Table, Subscription.__table__), (*names, *evidence), consents)
    session.add_all(
        Suppression(address_hash=secrets.token_hex(16), reason="bad_mailbox", since=now)
        for _ in range(_SILENCED)
    )
    session.add_all(MailDomain(domain=domain, looked_up_at=now) for domain in DOMAINS)  # nobody asks DNS
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("ANALYZE subscribers, subscriptions, suppressions"))


def _subscriber_columns() -> tuple[str, ...]:
    own = (
        "id",
        "public_id",
        "address",
        "address_key",
        "address_hash",
        "domain",
        "language",
        "country",
        "created_at",
    )
    return (*own, "salutation_zh", "salutation_en", *Names().columns())


def _reader(n: int, script: Script, keys: Keyring, now: datetime) -> Row:
    domain = DOMAINS[n % len(DOMAINS)]
    address = f"reader-{n:06}@{domain}"
    called = _CALLED[script][n % len(_CALLED[script])]
    hashed = keys.address_hash(address)
    country = "CH" if n <= _FEW else "NO"
    return (n, uuid7(), address, address, hashed, domain, LANGUAGE[script], country, now, *called)


def _called(names: Iterable[Names]) -> list[tuple[str, ...]]:
    """Return what is kept of names: both salutations, then the names by column."""
    tidy = [clean(each) for each in names]
    return [(salutation(it, "zh"), salutation(it, "en"), *it.columns().values()) for it in tidy]


_CALLED: dict[Script, list[tuple[str, ...]]] = {
    "latin": _called(
        Names(given_en=given, family_en=family, honorific_en=honorific)
        for given in ("Amara", "Søren", "Aigul", "Élise", "Tariq", "Bat-Erdene", "Zoë")
        for family in ("Okafor", "Lund", "Nurlanova", "Dubreuil", "Mehmood", "Ganbold", "Łukasiewicz")
        for honorific in ("Dr", "Ms", "")
    ),
    "chinese": _called(
        Names(family_zh=family, given_zh=given, honorific_zh=honorific)
        for family in "林陈赵周孙何高欧"
        for given in ("晓", "明远", "思齐", "文", "海燕", "青")
        for honorific in ("女士", "先生", "副部长", "")
    ),
}


def _write(session: Session, table: Table, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows by COPY on PostgreSQL, else by inserts of many."""
    if session.get_bind().dialect.name == "postgresql":
        driver: Any = session.connection().connection.driver_connection
        with driver.cursor().copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return
    left = iter(rows)
    while chunk := [dict(zip(columns, row, strict=True)) for row in islice(left, _CHUNK)]:
        session.execute(insert(table), chunk)


class Sent(NamedTuple):
    """What the ledger says of a campaign's sending."""

    letters: int
    accepted: int
    seconds: float  # from the first recorded reply to the last
    after_first: int  # letters recorded after the first reply's own slice, in those seconds


def sent(session: Session, campaign_id: int) -> Sent:
    """Read a campaign's attempts: those of one slice share a moment, so the first slice counts for none."""
    of = Attempt.campaign_id == campaign_id
    first, last = session.execute(select(func.min(Attempt.at), func.max(Attempt.at)).where(of)).one()
    after = session.scalar(select(func.count()).where(of, Attempt.at > first)) or 0
    accepted = Delivery.state == DeliveryState.ACCEPTED
    counted = select(func.count(), func.sum(case((accepted, 1), else_=0)))
    letters, taken = session.execute(counted.where(Delivery.campaign_id == campaign_id)).one()
    return Sent(letters, taken, (last - first).total_seconds() if after else 0.0, after)


class Spans(NamedTuple):
    """Seconds that workers have spent so far, all together, as they say themselves."""

    assembling: float
    wire: float
    ledger: float

    def since(self, before: Spans) -> Spans:
        """Return what was spent since ``before``."""
        return Spans(*(late - early for late, early in zip(self, before, strict=True)))


def spans(session: Session) -> Spans:
    """Read where the workers' time went."""
    sums = select(func.sum(Worker.composing), func.sum(Worker.wire), func.sum(Worker.recording))
    return Spans(*(float(value or 0) for value in session.execute(sums).one()))


def batches_left(session: Session, campaign_id: int) -> int:
    """Count the batches of a campaign that are not done."""
    left = select(func.count()).where(Batch.campaign_id == campaign_id, Batch.state != BatchState.DONE)
    return session.scalar(left) or 0


def trouble(session: Session, campaign_id: int) -> str:
    """Return why a campaign waits; "": nothing is known to be wrong."""
    return session.scalar(select(Campaign.trouble).where(Campaign.id == campaign_id)) or ""
