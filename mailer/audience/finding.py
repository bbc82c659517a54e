"""Finding: people by the beginnings of words of their address and names, among a million at once.

"ann ex" finds ann.lee@example.org; a Chinese name is found by any part of it. Each word has to begin one of
the person's. Signs between words do not count.

PostgreSQL and SQLite keep an index of words (revision 0016), which names a rare word's people in a few
milliseconds; of one that a tenth of all have it would have to collect them all first. So a look at some
people tells how common each word is: common ones are looked for among people, row by row, and the index is
asked for the others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, false, func, literal, literal_column, select, text
from sqlalchemy.orm import Session

from mailer.audience.bulk import among
from mailer.audience.store import Subscriber
from mailer.patience import TooSlow, for_a_page, hurried

MOST = 1_000
"""So many of those who match are listed, in the order of their addresses; whoever wants others says more."""

LAST_PAGE = 2_000
"""A list goes so far: whoever looks for somebody further on says more; the file has everybody."""

_PATIENCE = 0.04  # seconds for a page and its count, so that all of it fits into 0.1
_LEAST_PATIENCE = 0.005  # seconds for the count after a page that took long

_LOOK = 1_000  # people who are looked at to see how common words are
_COMMON = 0.1  # a word that so many of them have
_LOOKS = 8  # so often, at most, for common words
_CANDIDATES = 2_000  # people whom the index names, and who may lack the common words
_MANY = 100_000  # from here on nobody counts who is asked how many there are altogether
_GUESS = text("SELECT CAST(reltuples AS bigint) FROM pg_class WHERE oid = 'subscribers'::regclass")

_WORD = re.compile(r"[^\W_]+")
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

WORDS = (  # the very expression of the index ix_subscribers_words
    "to_tsvector('simple'::regconfig, translate(coalesce(subscribers.address_key, '') || ' '"
    " || subscribers.name_en || ' ' || subscribers.name_zh || ' ' || substr(subscribers.name_zh, 2) || ' '"
    " || substr(subscribers.name_zh, 3), '{signs}', '{blanks}'))"
).format(signs=_PUNCTUATION.replace("'", "''"), blanks=" " * len(_PUNCTUATION))


class Count(int):
    """How many people there are; ``more``: at least so many; ``about``: more or less."""

    more: bool = False
    about: bool = False


class Matches(NamedTuple):
    """Ids of people who match; ``more``: there are others."""

    ids: list[int]
    more: bool


class _Looked(NamedTuple):
    """Somebody who is looked at: all their words, in one text."""

    id: int
    told: str

    @classmethod
    def of(cls, row: Sequence[Any]) -> _Looked:
        own, address, latin, chinese = row
        return cls(own, f"{address} {latin} {chinese} {chinese[1:]} {chinese[2:]}".lower())

    def has(self, word: str) -> bool:
        """Say whether a word begins one of theirs; most have it nowhere, which is quickly seen."""
        return word in self.told and any(each.startswith(word) for each in words(self.told))


def words(said: str) -> list[str]:
    """Return what somebody looks for, word by word."""
    return _WORD.findall(said.lower())


def condition(session: Session, said: str) -> ColumnElement[bool]:
    """Return what holds of everybody of whom every word is true, however many, for who has the time."""
    wanted = words(said)
    return _named(session, wanted) if wanted else false()


def matching(session: Session, said: str) -> Matches:
    """Return at most ``MOST`` people of whom every word is true."""
    wanted = words(said)
    if not wanted:
        return Matches([], more=False)
    newest = _newest(session)
    common = [word for word in wanted if sum(each.has(word) for each in newest) > len(newest) * _COMMON]
    rare = [word for word in wanted if word not in common]
    if not rare or len(newest) < _LOOK:
        return _among_people(session, newest, wanted)
    if not common:
        return _by_index(session, rare)
    named = session.execute(_indexed(session, rare).limit(_CANDIDATES)).all()
    found = [each.id for each in map(_Looked.of, named) if all(each.has(word) for word in common)]
    return Matches(found[:MOST], more=len(found) > MOST or len(named) == _CANDIDATES)


def of_partner(session: Session, partner_id: int, said: str) -> Matches:
    """Return at most ``MOST`` memberships of a partner of which every word is true (revision 0019).

    Its words begin with its number: other partners' people are neither met nor waited for.
    """
    wanted = [f"p{partner_id}x{word}" for word in words(said)]
    if not wanted:
        return Matches([], more=False)
    every = _every(session, wanted)
    if session.get_bind().dialect.name == "sqlite":
        query = text("SELECT rowid FROM member_words WHERE member_words MATCH :every LIMIT :most")
    else:
        query = text(
            "SELECT membership_id FROM member_words WHERE words @@ to_tsquery('simple', :every) LIMIT :most"
        )
    ids = session.scalars(query, {"every": every, "most": MOST + 1}).all()
    return Matches(list(ids[:MOST]), more=len(ids) > MOST)


def listed(
    session: Session, said: str, where: Sequence[ColumnElement[bool]], page: int, size: int
) -> tuple[list[Subscriber], Count]:
    """Return a page of people by address, and how many there are; without erased ones and merged entries."""
    query = select(Subscriber.id).where(
        Subscriber.address_key.is_not(None), Subscriber.merged_into.is_(None), *where
    )
    if not said.strip() and not where:
        return _page(session, query, page, size), _everybody(session)
    for_a_page(session)
    if said.strip():
        found = matching(session, said)
        query = query.where(among(session, Subscriber.id, found.ids))
        total = Count(session.scalar(query.with_only_columns(func.count())) or 0)
        total.more = found.more
        return _page(session, query, page, size), total
    began, skipped = monotonic(), (max(page, 1) - 1) * size
    people = _page(session, query, page, size, ahead=1)
    return people[:size], counted(session, query, skipped, people, size, began)


def counted(
    session: Session,
    query: Select[*tuple[Any, ...]],
    skipped: int,
    found: Collection[object],
    size: int,
    began: float,
) -> Count:
    """Count the rows of a query, of which after ``skipped`` ones those of a page and the next were ``found``.

    At most ``MOST``, and no longer than whoever waits since ``began`` (monotonic seconds) may be kept: nobody
    reads further, and to count a million takes a while. Where the page is the last it is known already.
    """
    seen = _seen(skipped, found, size, None)
    if not seen.more:
        return seen
    each = query.with_only_columns(literal(1), maintain_column_froms=True).order_by(None)
    left = max(began + _PATIENCE - monotonic(), _LEAST_PATIENCE)
    try:
        with hurried(session, left):
            some = session.scalars(each.limit(MOST + 1)).all()
    except TooSlow:
        return seen
    return _seen(skipped, found, size, some)


def _seen(skipped: int, found: Collection[object], size: int, some: Collection[object] | None) -> Count:
    """Return how many rows there are: after ``skipped`` a page and the next were ``found``, or ``some``."""
    seen = skipped + len(found) if found else 0  # beyond the end nothing is known
    if len(found) <= size and (found or not skipped):
        return Count(seen)
    total = Count(max(seen, min(len(some or ()), MOST)))
    total.more = some is None or len(some) > MOST
    return total


def _everybody(session: Session) -> Count:
    """Count people: all rows, by the smallest index there is, without those few that are none.

    Of very many, PostgreSQL's own estimate is taken.
    """
    gone = Subscriber.address_key.is_(None)
    merged = Subscriber.merged_into.is_not(None), ~gone
    rows = select(func.count()).select_from(Subscriber)
    counts = [session.scalar(rows.where(*few)) or 0 for few in ((gone,), merged)]
    guess = session.scalar(_GUESS) or 0 if session.get_bind().dialect.name == "postgresql" else 0
    about = guess > _MANY
    there = (guess if about else session.scalar(rows) or 0) - sum(counts)
    total = Count(round(there, -3) if about else there)
    total.about = about
    return total


def _page(session: Session, query: Select[int], page: int, size: int, *, ahead: int = 0) -> list[Subscriber]:
    """Return a page of those whose ids a query names, by address: their ids by the index, then their rows."""
    skipped = (max(page, 1) - 1) * size
    query = query.order_by(Subscriber.address_key).limit(size + ahead).offset(skipped)
    ids = session.scalars(query).all()
    theirs = select(Subscriber).where(among(session, Subscriber.id, ids))
    return list(session.scalars(theirs.order_by(Subscriber.address_key)))


def _newest(session: Session, below: int | None = None) -> list[_Looked]:
    """Return the newest people, of those whose ids are lower."""
    query = _looked() if below is None else _looked().where(Subscriber.id < below)
    return [_Looked.of(row) for row in session.execute(query.order_by(Subscriber.id.desc()).limit(_LOOK))]


def _looked() -> Select[int, str | None, str, str]:
    columns = Subscriber.id, Subscriber.address_key, Subscriber.name_en, Subscriber.name_zh
    return select(*columns).where(Subscriber.address_key.is_not(None))


def _among_people(session: Session, newest: list[_Looked], wanted: Collection[str]) -> Matches:
    """Return those of whom every word is true among the newest people, and those further back.

    Common words that nobody has together there are looked up after all: that takes longer, but it is true.
    """
    ids: list[int] = []
    for _ in range(_LOOKS):
        ids += [each.id for each in newest if all(each.has(word) for word in wanted)]
        if len(newest) < _LOOK or len(ids) > MOST:
            return Matches(ids[:MOST], more=len(ids) > MOST)
        newest = _newest(session, newest[-1].id)
    return Matches(ids, more=True) if ids else _by_index(session, wanted)


def _by_index(session: Session, wanted: Collection[str]) -> Matches:
    ids = session.scalars(_indexed(session, wanted).with_only_columns(Subscriber.id).limit(MOST + 1)).all()
    return Matches(list(ids[:MOST]), more=len(ids) > MOST)


def _indexed(session: Session, rare: Collection[str]) -> Select[int, str | None, str, str]:
    """The people whom the index of words names."""
    return _looked().where(_named(session, rare))


def _named(session: Session, wanted: Collection[str]) -> ColumnElement[bool]:
    every = _every(session, wanted)
    if session.get_bind().dialect.name == "sqlite":
        named = text("SELECT rowid FROM subscriber_words WHERE subscriber_words MATCH :every")
        return Subscriber.id.in_(named.bindparams(every=every).columns(Subscriber.id))
    query = func.to_tsquery(literal_column("'simple'::regconfig"), literal(every))
    return literal_column(WORDS).op("@@", is_comparison=True)(query)


def _every(session: Session, wanted: Collection[str]) -> str:
    """Return what an index of words is asked for people who have them all; from now on it is asked."""
    if session.get_bind().dialect.name == "sqlite":
        return " AND ".join(f'"{word}"*' for word in wanted)
    session.execute(text("SET LOCAL enable_seqscan = off"))  # who guesses wrong would read a million rows
    return " & ".join(f"'{word}':*" for word in wanted)
