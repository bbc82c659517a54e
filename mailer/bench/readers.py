"""Readers of the bench: invented, confirmed, each with a partner, and written a million at a time."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, cast

from sqlalchemy import Table, insert, text
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer.audience.names import Names, clean, salutation
from mailer.audience.store import (
    ConsentKind,
    Membership,
    Partner,
    PartnerKind,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
)
from mailer.bench.issue import LANGUAGE, Script
from mailer.database import Database
from mailer.delivery.store import MailDomain
from mailer.signing import Keyring

DOMAINS = ("north.example", "south.example", "east.example", "west.example", "isles.example")  # RFC 2606
FEW = "country = CH"  # the rule that means the first readers only
_FEW = 400  # of them
_PARTNERS = 150
_SILENCED = 1_000  # addresses of others, so that the look at suppressions has something to look at
_CHUNK = 10_000  # rows of one INSERT

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Readers:
    """``count`` readers of a publication with names in a script, each at an address of its own."""

    publication_id: int
    count: int
    script: Script
    keys: Keyring
    now: datetime

    def write(self, session: Session) -> None:
        """Write them and what belongs to them, into tables that have no reader yet."""
        partners = self._partners(session)
        write(session, cast(Table, Subscriber.__table__), _SUBSCRIBER, self._subscribers())
        write(session, cast(Table, Subscription.__table__), _SUBSCRIPTION, self._subscriptions())
        write(session, cast(Table, Membership.__table__), _MEMBERSHIP, self._memberships(partners))
        session.add_all(
            Suppression(address_hash=secrets.token_hex(16), reason="bad_mailbox", since=self.now)
            for _ in range(_SILENCED)
        )
        known = {"provider": "", "looked_up_at": self.now}  # nobody asks the DNS
        session.add_all(MailDomain(domain=domain, **known) for domain in DOMAINS)
        session.flush()
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("ANALYZE subscribers, subscriptions, memberships, suppressions"))

    def _partners(self, session: Session) -> list[int]:
        made = [
            Partner(
                code=f"partner-{n}", name_en=f"Partner {n}", kind=PartnerKind.OTHER, country="NO",
                language="en", created_at=self.now,
            )
            for n in range(1, _PARTNERS + 1)
        ]  # fmt: skip
        session.add_all(made)
        session.flush()
        return [partner.id for partner in made]

    def _subscribers(self) -> Iterator[Row]:
        language, called = LANGUAGE[self.script], _CALLED[self.script]
        for n in range(1, self.count + 1):
            domain = DOMAINS[n % len(DOMAINS)]
            address = f"reader-{n:06}@{domain}"
            country = "CH" if n <= _FEW else "NO"
            own = (n, uuid7(), address, address, self.keys.address_hash(address), domain)
            names = called[n % len(called)]
            yield (*own, language, country, self.now, *names.values())

    def _subscriptions(self) -> Iterator[Row]:
        stands = (SubscriptionState.CONFIRMED.value, self.now, "")
        for n in range(1, self.count + 1):
            yield (self.publication_id, n, *stands, *self._consent)

    def _memberships(self, partners: Sequence[int]) -> Iterator[Row]:
        called = _CALLED[self.script]
        for n in range(1, self.count + 1):
            names = called[n % len(called)]
            own = (uuid7(), partners[n % len(partners)], n, LANGUAGE[self.script], "", self.now)
            yield (*own, *(names[column] for column in _NAMES), *self._consent)

    @property
    def _consent(self) -> Row:
        return (ConsentKind.IMPORTED.value, self.now, "shell", "I want this newsletter.", "bench")


def settle(database: Database) -> None:
    """Do now what PostgreSQL would do in the middle of a round: see to the pages of tables just filled."""
    if database.dialect == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE subscribers, subscriptions, memberships, suppressions"))


_NAMES = tuple(Names().columns())
_SALUTATIONS = ("salutation_zh", "salutation_en")
_CONSENT = tuple(f"consent_{part}" for part in ("kind", "at", "by", "wording", "origin"))
_ADDRESS = ("address", "address_key", "address_hash", "domain")
_SUBSCRIBER = (
    "id", "public_id", *_ADDRESS, "language", "country", "created_at", *_SALUTATIONS, *_NAMES,
)  # fmt: skip
_SUBSCRIPTION = ("publication_id", "subscriber_id", "state", "changed_at", "left_reason", *_CONSENT)
_MEMBERSHIP = (
    "public_id", "partner_id", "subscriber_id", "language", "notes", "joined_at", *_NAMES, *_CONSENT,
)  # fmt: skip


def _called(names: Iterable[Names]) -> list[Mapping[str, str]]:
    """Return what is kept of names by column, salutations first."""
    tidy = [clean(each) for each in names]
    return [
        {"salutation_zh": salutation(it, "zh"), "salutation_en": salutation(it, "en"), **it.columns()}
        for it in tidy
    ]


_CALLED: dict[Script, list[Mapping[str, str]]] = {
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


def write(session: Session, table: Table, columns: Sequence[str], rows: Iterable[Row]) -> None:
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
