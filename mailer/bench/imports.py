"""How fast a file of people comes in, by the very path of the desk, beside writing the file bare.

The file is such as colleagues send: most rows are new people, a few come twice, have left, are suppressed,
have an address in another script, or none that can be used. What became of each kind is counted and must
add up. Bare is a COPY of the same file (on SQLite: ``executemany`` of its rows) into a table of its cells
with the indexes that ``subscribers`` has, that of the words by which people are found among them.
"""

from __future__ import annotations

import csv
import random
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Index, Table, UniqueConstraint, text
from sqlalchemy.orm import Session

from mailer import address as addresses
from mailer.accounts.audit import Actor
from mailer.audience import imports, partners, subscribers, subscriptions, suppressions
from mailer.audience.imports import Job
from mailer.audience.intake import Consent, Person, Verdict
from mailer.audience.sheets import sheet
from mailer.audience.store import ConsentKind, PartnerKind, Subscriber
from mailer.audience.suppressions import Silence
from mailer.bench.ground import Ground
from mailer.database import Database, driver_of
from mailer.errors import MailerError
from mailer.issues import publications
from mailer.settings import Settings

BAR = 4.0  # times a bare COPY (issue 5)
_HEADER = ("email", "name", "title", "language", "country")
_SHELL = Actor(None, "shell")
_CONSENT = Consent(ConsentKind.IMPORTED, "Yes, send me the newsletter.")
_BLOCK = 1 << 18  # octets of the file given to COPY at once

# one row in so many is of that kind
_AGAIN, _BROKEN, _OTHER_SCRIPT, _LEFT, _SILENCED = 100, 211, 97, 997, 991


class Miscounted(MailerError):
    """The import did not do what it should have done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured. ``partner``: the people are a partner's, and get memberships."""

    rows: int
    partner: bool = False
    seed: int = 1


def run(given: Settings, plan: Plan) -> dict[str, Any]:
    """Write a file, bare and by the desk; return the figures.

    :raises Miscounted: not every row had the verdict it should have
    """
    with Ground(given.model_copy(update={"redis_url": ""}), relay="smtp://127.0.0.1:9") as ground:
        file = ground.folder / "people.csv"
        expected = _write(file, plan)
        bare = _bare(ground.database, file)
        job_of = _prepared(ground, plan)
        began = time.monotonic()
        found = imports.run(ground.database, job_of(file), clock=lambda: datetime.now(UTC))
        seconds = time.monotonic() - began
        _check(found.counts, expected)
    return {
        "rows": plan.rows,
        "seconds": round(seconds, 2),
        "rows_per_second": round(plan.rows / seconds),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "bare_seconds": round(bare, 2),
        "ratio": round(seconds / bare, 2),
    }


# The file


def _address(n: int) -> str:
    if n % _OTHER_SCRIPT == 0:
        return f"读者{n}@例子.example" if n % 2 else f"reader{n}@bücher-{n % 50}.example"
    return (
        f"reader{n:07}@{f'org{n % 3011}.example' if n % 3 else ('163.com', 'qq.com', 'gmail.com')[n % 7 % 3]}"
    )


def _kind(n: int) -> str:
    for every, kind in ((_AGAIN, "again"), (_BROKEN, "broken"), (_LEFT, "left"), (_SILENCED, "silenced")):
        if n % every == every - 1:
            return kind
    return "new"


def _row(n: int, chance: random.Random) -> tuple[str, ...]:
    address = {"again": _address(n - 1).upper(), "broken": f"reader{n} at org.example"}.get(_kind(n))
    if n % 2:
        name = chance.choice(_FAMILIES) + chance.choice(_GIVEN) + chance.choice(_GIVEN)
        return address or _address(n), name, chance.choice(("", "部长", "女士")), "zh", "CN"
    name = f"{chance.choice(_FIRST)} {chance.choice(_LAST)}"
    return address or _address(n), name, chance.choice(("", "Dr", "Ms")), "en", chance.choice(_COUNTRIES)


_FAMILIES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英文华玉兰红建国"
_FIRST = ("Ann", "Ben", "Cho", "Dana", "Eva", "Farid", "Gita", "Hugo", "Inês", "Jan", "Kofi", "Lea")
_LAST = ("Smith", "Lee", "García", "Müller", "Okafor", "Singh", "Dubois", "Rossi", "Kim", "Haddad")
_COUNTRIES = ("FR", "DE", "NG", "IN", "NO", "BR", "KE", "JP")


def _write(file: Path, plan: Plan) -> dict[Verdict, int]:
    """Write the file, in no order of its addresses; return how many rows must have which verdict."""
    chance = random.Random(plan.seed)  # noqa: S311 - names for a bench
    refused = 0
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(_HEADER)
        for n in _shuffled(plan.rows):
            refused += _refused(n, plan)
            rows.writerow(_row(n, chance))
    return {Verdict.ADDED: plan.rows - refused, Verdict.REFUSED: refused}


def _refused(n: int, plan: Plan) -> bool:
    kind = _kind(n)
    if kind == "again":  # of two that are alike one is refused, unless the other is no address
        return _kind(n - 1) != "broken"
    return kind == "broken" or (kind in ("left", "silenced") and not plan.partner)


def _shuffled(count: int) -> Iterator[int]:
    """Yield 0…count-1, each once, far from in order."""
    step = next(each for each in range(int(count * 0.618) | 1, 2 * count + 2, 2) if _coprime(each, count))
    return (n * step % count for n in range(count))


def _coprime(one: int, other: int) -> bool:
    while other:
        one, other = other, one % other
    return one == 1


# Bare


def _bare(database: Database, file: Path) -> float:
    """Write the file into a table of its own; return the seconds."""
    return _copied(database, file) if database.dialect == "postgresql" else _executed(database, file)


def _copied(database: Database, file: Path) -> float:
    made = {
        "public_id": "uuid GENERATED ALWAYS AS (lpad(to_hex(id), 32, '0')::uuid) STORED",
        "address_key": "text GENERATED ALWAYS AS (email) STORED",
        "address_hash": "text GENERATED ALWAYS AS (md5(email)) STORED",
        "domain": "text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED",
    }
    _create(database, "id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", made)
    words = "to_tsvector('simple', translate(email || ' ' || name, '@.-_+', '     '))"  # as ``finding.WORDS``
    with database.write() as session:
        session.execute(text(f"CREATE INDEX bare_words ON bare USING gin ({words})"))
    copy = f"COPY bare ({', '.join(_HEADER)}) FROM STDIN WITH (FORMAT csv, HEADER)"
    began = time.monotonic()
    with (
        database.write() as session,
        driver_of(session, copy) as driver,
        driver.cursor() as cursor,
        cursor.copy(copy) as stream,
        file.open("rb") as octets,
    ):
        while block := octets.read(_BLOCK):
            stream.write(block)
    seconds = time.monotonic() - began
    _drop(database)
    return seconds


def _executed(database: Database, file: Path) -> float:
    made = dict.fromkeys(("public_id", "address_key", "address_hash", "domain"), "text")
    _create(database, "id integer PRIMARY KEY", made)
    words = "new.email || ' ' || new.name || ' ' || substr(new.name, 2) || ' ' || substr(new.name, 3)"
    with database.write() as session:  # as revision 0016 does
        session.execute(text("CREATE VIRTUAL TABLE bare_words USING fts5(words, content='')"))
        learn = f"INSERT INTO bare_words (rowid, words) VALUES (new.id, {words});"  # noqa: S608 - ours
        session.execute(text(f"CREATE TRIGGER bare_new AFTER INSERT ON bare BEGIN {learn} END"))
    insert = (
        f"INSERT INTO bare ({', '.join((*_HEADER, *made))}) VALUES (?2, ?3, ?4, ?5, ?6,"  # noqa: S608 - ours
        " printf('%032x', ?1), ?2, hex(randomblob(16)), substr(?2, instr(?2, '@') + 1))"
    )
    began = time.monotonic()
    with (
        database.write() as session,
        driver_of(session, insert) as driver,
        file.open(encoding="utf-8", newline="") as lines,
    ):
        rows = csv.reader(lines)
        next(rows)
        driver.executemany(insert, ((n, *row) for n, row in enumerate(rows)))
    seconds = time.monotonic() - began
    with database.write() as session:
        session.execute(text("DROP TABLE bare_words"))
    _drop(database)
    return seconds


def _create(database: Database, key: str, made: Mapping[str, str]) -> None:
    """Make the table, with every index of ``subscribers`` over the column of the same name."""
    table = cast(Table, Subscriber.__table__)
    cells = ", ".join(f"{name} text" for name in _HEADER)
    columns = ", ".join(f"{name} {what}" for name, what in made.items())
    with database.write() as session:
        session.execute(text(f"CREATE TABLE bare ({key}, {cells}, {columns})"))
        indexes = list(_indexes(table, database.dialect))
        others = {*chain(*(of for _, of in indexes))} - {*made, *_HEADER, "id"}
        for other in sorted(others):  # nothing in the file fills it
            session.execute(text(f"ALTER TABLE bare ADD COLUMN {other} bigint"))
        for n, (index, _) in enumerate(indexes):
            session.execute(text(index.format(name=f"bare_{n}")))


def _indexes(table: Table, dialect: str) -> Iterator[tuple[str, set[str]]]:
    """Yield how each index of a table is made for ``bare``, called ``{name}``, and the columns it is of."""
    unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    every: list[Index | UniqueConstraint] = [*table.indexes, *unique]
    for index in every:
        columns = [column.name for column in index.columns]
        options = index.dialect_options[dialect]
        include = list(options.get("include") or ())
        kind = "UNIQUE INDEX" if isinstance(index, UniqueConstraint) or index.unique else "INDEX"
        made = f"CREATE {kind} {{name}} ON bare ({', '.join(columns)})"
        made += f" INCLUDE ({', '.join(include)})" if include else ""
        made += f" WHERE {options['where']}" if options.get("where") is not None else ""
        yield made, {*columns, *include}


def _drop(database: Database) -> None:
    with database.write() as session:
        session.execute(text("DROP TABLE bare"))


# The desk


def _prepared(ground: Ground, plan: Plan) -> Any:
    """Have people who left and addresses that are silenced; return what makes a job of a file."""
    keys, now = ground.settings.keys, datetime.now(UTC)
    with ground.database.write() as session:
        publication = publications.default(session, name="Bench", issuer="", now=now, actor=_SHELL)
        partner_id = _partner(session, now) if plan.partner else None
        left = [n for n in range(plan.rows) if _kind(n) == "left"]
        people = [Person(_address(n)) for n in left]
        subscribers.add_many(
            session, keys=keys, now=now, actor=_SHELL, people=people, publication_id=publication.id,
            consent=_CONSENT,
        )  # fmt: skip
        for n in left:
            person = subscribers.by_address(session, _address(n))
            subscriptions.leave(session, subscriber_id=person.id, publication_id=publication.id, now=now)
        hashes = [
            keys.address_hash(addresses.key_of(_address(n)))
            for n in range(plan.rows)
            if _kind(n) == "silenced"
        ]
        silences = [Silence(address_hash=each, reason="complaint", note="") for each in hashes]
        suppressions.suppress_many(session, silences, now=now)
        publication_id = publication.id

    def job_of(file: Path) -> Job:
        return Job(
            sheet=sheet.read(file, file.name), publication_id=publication_id, consent=_CONSENT, keys=keys,
            actor=_SHELL, partner_id=partner_id,
        )  # fmt: skip

    return job_of


def _partner(session: Session, now: datetime) -> int:
    made = partners.add(
        session, now=now, actor=_SHELL, code="bench", name_zh="", name_en="Bench", kind=PartnerKind.OTHER,
        country="NO", language="en",
    )  # fmt: skip
    return made.id


def _check(found: Mapping[Verdict, int], expected: Mapping[Verdict, int]) -> None:
    told = {verdict.value: count for verdict, count in found.items() if count}
    wanted = {verdict.value: count for verdict, count in expected.items() if count}
    if told != wanted:
        raise Miscounted("The import did {found}, it should have done {wanted}.", found=told, wanted=wanted)
