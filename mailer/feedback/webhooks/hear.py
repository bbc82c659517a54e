"""Hearing a webhook: each piece of news put against its letter, diagnosed, told once as an event."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from sqlalchemy.orm import Session

from mailer.delivery import events, leaving, own_rules
from mailer.delivery.events import MACHINE, News
from mailer.delivery.store import EventKind
from mailer.diagnosis import Category, OwnRule, diagnose, read_reply
from mailer.diagnosis.verdict import ABOUT_THE_ADDRESS
from mailer.feedback import attribution
from mailer.feedback.attribution import Sealed, same_mailbox
from mailer.feedback.store import Mail, keep
from mailer.feedback.webhooks import store
from mailer.feedback.webhooks.store import Reader
from mailer.feedback.webhooks.told import Told, What
from mailer.signing import Keyring

KIND = "webhook"  # of returned mail that is a provider's news; its ``envelope_to`` is the provider
_VISITS = frozenset({What.OPEN, What.CLICK})
_NOT_KEPT = _VISITS | {What.PASSED}  # a row says all that they say
_WITHOUT_WORDS = {What.COMPLAINT: Category.COMPLAINT, What.AUTO_REPLY: Category.AUTO_REPLY}
_OLDEST = timedelta(days=60)  # news of letters; what claims to be older has a broken clock


Machine = Callable[[str], str]
"""Returns what in a user agent gives a machine away, "" for a person."""


class Outcome(StrEnum):
    """What came of a piece of news, or of a post (the last three)."""

    HEARD = "heard"
    REPEATED = "repeated"  # told before; nothing changed
    PASSED = "passed"  # known, and nothing to us: sent on, delivered
    UNKNOWN = "unknown"  # a word that its table does not have: kept for a person
    STRAY = "stray"  # carries no identifier of ours: kept, nothing changed
    REFUSED = "refused"  # not signed as it should be
    STALE = "stale"  # signed too long ago
    FAILED = "failed"  # our own fault: the provider tells it again


@dataclass(frozen=True, slots=True)
class Ears:
    """What hearing needs beside the news: our keys, our address on the web, and the eye for machines."""

    keys: Keyring
    public_url: str
    machine: Machine


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the failure of a letter means, and the words it was made from."""

    category: Category
    status: str
    permanent: bool
    dead: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Item:
    """A piece of news with the letter it is of; ``sealed`` and ``reader`` both None: of none of ours.

    ``fingerprint`` is what makes it the same when it comes again.
    """

    told: Told
    sealed: Sealed | None
    reader: Reader | None
    fingerprint: str


def hear(
    session: Session, *, provider: str, told: Iterable[Told], ears: Ears, now: datetime
) -> Counter[Outcome]:
    """Keep and tell what a provider's post holds; return how much of it came to what.

    Told again, in whatever batches, it changes nothing.
    """
    items = _attributed(session, provider, told, ears.keys, now)
    kept = _kept(session, provider, items, now)
    outcomes: Counter[Outcome] = Counter()
    fresh: list[News] = []
    for item in items:
        outcome = _hear(session, provider, item, kept, ears, now)
        if isinstance(outcome, News):
            fresh.append(outcome)
        elif outcome is not None:
            outcomes[outcome] += 1
    new = len(events.record_many(session, fresh))
    return outcomes + Counter({Outcome.HEARD: new, Outcome.REPEATED: len(fresh) - new})


def judge(told: Told, reader: Reader, rules: Sequence[OwnRule] = ()) -> Judgement:
    """Say what a failure means: the receiving system's words first, the provider's own judgement second.

    A reply that is quoted kills no address by its words alone, and prose without code or status is the
    provider's own; where the provider, which heard the reply, also says that the mailbox does not exist, it
    counts as heard (``diagnosis.diagnose``). A provider's own list says nothing about the mailbox, whatever
    status it shows (law 4). ``rules`` of the house are asked before all.
    """
    if told.meaning.withheld:
        return Judgement(Category.UNKNOWN, "", permanent=True, dead=False)
    own, reply = told.meaning.category, read_reply(told.words.removeprefix("smtp;").strip())
    code, status, vouched = told.code or reply.code, told.status or reply.status, own in ABOUT_THE_ADDRESS
    found = diagnose(
        provider=reader.provider or None, code=code, status=status or None, text=reply.text, heard=vouched,
        own=rules,
    )  # fmt: skip
    category, permanent = found.category, found.permanent
    dead = found.dead and (vouched or bool(code or status))
    if category is Category.UNKNOWN:
        permanent = permanent if told.permanent is None else told.permanent
        category, dead = own or category, permanent and vouched
    if told.meaning.what is What.DELAY or told.permanent is False:
        permanent = dead = False
    dead = dead and same_mailbox(told.address, reader.address)
    return Judgement(category, found.status, permanent, dead, found.reason)


def _attributed(
    session: Session, provider: str, told: Iterable[Told], keys: Keyring, now: datetime
) -> list[_Item]:
    """Find each piece's letter: by what only we could have signed, and only if it is in the ledger."""
    named = [(one, attribution.letter_named(one.letter, keys, now)) for one in told]
    readers = store.readers(session, {sealed.delivery for _, sealed in named if sealed})
    found = [(one, sealed, readers.get(sealed.delivery) if sealed else None) for one, sealed in named]
    return [
        _Item(one, sealed if reader else None, reader, _fingerprint(provider, one))
        for one, sealed, reader in found
    ]


def _fingerprint(provider: str, told: Told) -> str:
    if told.meaning.what is What.PASSED:
        return ""  # of no use, and most of what comes
    name = told.id or json.dumps(told.item, sort_keys=True)
    return sha256(f"{KIND} {provider}\n{name}".encode(errors="surrogatepass")).hexdigest()


def _kept(session: Session, provider: str, items: Iterable[_Item], now: datetime) -> dict[str, int]:
    """Store what is new among the items; return the ids by fingerprint."""
    news = {
        item.fingerprint: Mail(
            item.fingerprint,
            json.dumps(item.told.item, ensure_ascii=False, indent=1).encode(errors="replace"),
            provider,
            KIND,
            item.sealed.delivery if item.sealed else None,
        )
        for item in items
        if item.told.meaning.what not in _NOT_KEPT
    }
    return keep(session, news.values(), now)


def _hear(
    session: Session, provider: str, item: _Item, kept: dict[str, int], ears: Ears, now: datetime
) -> Outcome | News | None:
    """Return what came of it, or the news that is to be told; None: it is ours already, by our own link.

    Whoever takes its id out of ``kept`` is the first to hear it.
    """
    what, sealed, reader = item.told.meaning.what, item.sealed, item.reader
    if what is What.PASSED:
        return Outcome.PASSED
    if what in _VISITS:
        return _visit(provider, item, sealed, ears, now) if sealed else Outcome.STRAY
    mail_id = kept.pop(item.fingerprint, None)
    if mail_id is None:
        return Outcome.REPEATED
    if what is What.UNKNOWN:
        return Outcome.UNKNOWN
    if sealed is None or reader is None:
        return Outcome.STRAY
    if what is What.LEAVE:
        leaving.leave(session, *sealed.delivery, now=now, source=provider, mail_id=mail_id)
        return Outcome.HEARD
    return _news(provider, item.told, sealed, reader, mail_id, own_rules.in_force(session), now)


def _news(
    provider: str,
    told: Told,
    sealed: Sealed,
    reader: Reader,
    mail_id: int,
    rules: Sequence[OwnRule],
    now: datetime,
) -> News:
    what = told.meaning.what
    if what in _WITHOUT_WORDS:
        judged, key = Judgement(_WITHOUT_WORDS[what], "", permanent=False, dead=False), ""
    else:
        judged = judge(told, reader, rules)
        key = f"{judged.category}:{judged.status}"  # as in ``record``: a report by mail is the same news
    return News(
        campaign_id=sealed.campaign_id,
        n=sealed.n,
        kind=EventKind(what.value),
        at=_when(told, now),
        source=provider,
        key=key,
        category=judged.category,
        status=judged.status,
        permanent=judged.permanent,
        dead=judged.dead,
        reason=judged.reason,
        detail=told.words,
        mail_id=mail_id,
    )


def _visit(provider: str, item: _Item, sealed: Sealed, ears: Ears, now: datetime) -> News | None:
    """An open or a click that the provider counted. A click that led to a link of ours is counted there."""
    told = item.told
    if told.link.startswith(f"{ears.public_url}/"):
        return None
    name = told.machine or ears.machine(told.agent)
    return News(
        campaign_id=sealed.campaign_id,
        n=sealed.n,
        kind=EventKind(told.meaning.what.value),
        at=_when(told, now),
        source=provider,
        key=item.fingerprint,
        detail=f"{MACHINE}: {name}" if name else "",
    )


def _when(told: Told, now: datetime) -> datetime:
    """Return when it happened, as far as that can be believed."""
    return told.at if told.at is not None and now - _OLDEST < told.at < now else now
