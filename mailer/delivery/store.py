"""Tables of campaigns, the ledger and events, and their SQL; that of sending is in ``batches``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    String,
    Text,
    and_,
    delete,
    false,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from mailer.database import Base, BigId, Json, UTCDateTime
from mailer.issues.store import FrozenEdition, Issue
from mailer.sentence import Sentence, Told


class CampaignState(StrEnum):
    """Where a campaign stands; ``delivery.campaigns`` has the table of moves."""

    DRAFT = "draft"
    REVIEW = "review"  # frozen, waiting for another's approval
    APPROVED = "approved"
    SCHEDULED = "scheduled"  # launches by itself at scheduled_at
    SENDING = "sending"
    PAUSED = "paused"
    SENT = "sent"  # nothing waits any more
    CANCELLED = "cancelled"


class DeliveryState(IntEnum):
    """What is known of a letter. A number: the ledger has millions of rows."""

    WAITING = 0  # never tried
    DEFERRED = 1  # tried, will be tried again
    ACCEPTED = 2  # a relay answered 250: it has taken responsibility (RFC 5321 §6.1)
    REJECTED = 3  # a relay refused for good, or every try failed
    UNCERTAIN = 4  # begun, reply never seen: a person decides
    WITHDRAWN = 5  # taken out before it was tried: cancelled, suppressed, left, erased


class BatchState(StrEnum):
    """Where a batch stands."""

    WAITING = "waiting"  # to be leased from due_at on
    LEASED = "leased"
    ORPHANED = "orphaned"  # a begun slice whose worker is gone: only its journal can tell
    DONE = "done"


class EventKind(StrEnum):
    """What came back."""

    BOUNCE = "bounce"
    DELAY = "delay"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    OPEN = "open"
    CLICK = "click"
    LEAVE = "leave"


class Campaign(Base):
    """An issue's editions on their way to one audience."""

    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"), index=True)
    issue_id: Mapped[int] = mapped_column(ForeignKey("issues.id"), index=True)
    audience: Mapped[str] = mapped_column(Text)  # a rule in the segment language
    segment_id: Mapped[int | None] = (
        mapped_column(  # where the rule was taken from; it may have changed since
            ForeignKey("segments.id", ondelete="SET NULL"), index=True
        )
    )
    languages: Mapped[Any] = mapped_column(Json)  # editions sent, in order of fallback: ["zh", "en"]
    fallback: Mapped[bool] = mapped_column(default=True)  # False: no edition in one's language excludes
    state: Mapped[CampaignState] = mapped_column(String(20), index=True)
    scheduled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    hash: Mapped[str | None] = mapped_column(String(64))  # over editions, audience, time and sender
    approved_hash: Mapped[str | None] = mapped_column(String(64))
    approved_by: Mapped[str | None] = mapped_column(String(320))
    approved_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_by: Mapped[str] = mapped_column(String(320))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    launched_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    candidates: Mapped[int | None]  # counted at launch; deliveries + exclusions
    trouble: Mapped[str] = mapped_column(Told, default="")  # why it waits or paused by itself, for a person
    window: Mapped[str] = mapped_column(String(200), default="", server_default="")  # ``windows`` reads it
    local_time: Mapped[bool] = mapped_column(default=False, server_default=false())  # each at home's hour
    launch_failures: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")  # in a row
    launch_after: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when it is tried again


class CampaignEdition(Base):
    """The frozen edition a campaign sends in a language."""

    __tablename__ = "campaign_editions"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    language: Mapped[str] = mapped_column(String(2), primary_key=True)
    frozen_edition_id: Mapped[int] = mapped_column(ForeignKey("frozen_editions.id"))


class Delivery(Base):
    """The ledger: one row per campaign and subscriber. ``n`` is dense from 1; nothing outside it is sent.

    Its one foreign key keeps people from vanishing who were written to. Campaign and partner are not checked
    again: the launch copies them from their rows, and a million checks outlast the writing (decision 9).
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        # a person's letter of a campaign is found as fast however many campaigns there were
        Index("ix_deliveries_subscriber_id", "subscriber_id", "campaign_id"),
        # each row is written twice, at launch and when its fate is known: with room beside it the second
        # write touches no index and costs half
        {"postgresql_with": {"fillfactor": 50}},
    )

    campaign_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    partner_id: Mapped[int | None] = mapped_column(BigId)
    language: Mapped[str] = mapped_column(String(2))  # of the edition
    domain: Mapped[str] = mapped_column(String(255))  # snapshot: reports by destination
    provider: Mapped[str] = mapped_column(String(40), default="", server_default="")  # who answers for it
    salutation: Mapped[str] = mapped_column(String(200))  # snapshot: the very letter can be shown again
    state: Mapped[DeliveryState] = mapped_column(SmallInteger, default=DeliveryState.WAITING)
    reason: Mapped[str] = mapped_column(String(40), default="")  # why withdrawn


class Exclusion(Base):
    """A candidate who gets no letter, and why."""

    __tablename__ = "exclusions"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True, index=True)
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"))
    reason: Mapped[str] = mapped_column(String(40))  # suppressed | left | paused | too_often | no_edition | …


class Batch(Base):
    """Deliveries ``first``…``last`` of a campaign, or just ``numbers`` among them (a retry).

    ``done_to`` and ``begun_to`` count positions in the batch: up to ``done_to`` results are recorded, up
    to ``begun_to`` a slice was begun, beyond it nobody has begun anything. All of a batch goes down one
    ``lane``: to a destination with a pace of its own, or "", to all others.
    """

    __tablename__ = "batches"
    __table_args__ = (
        CheckConstraint("done_to <= begun_to AND begun_to <= size", name="cursor_in_order"),
        Index("ix_batches_due", "state", "due_at"),
        Index("ix_batches_campaign", "campaign_id", "state", "due_at", "id"),  # the next one, at once
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    first: Mapped[int]
    last: Mapped[int]
    numbers: Mapped[Any | None] = mapped_column(Json)
    size: Mapped[int]
    attempt: Mapped[int] = mapped_column(default=1)
    lane: Mapped[str] = mapped_column(String(255), default="", server_default="")
    state: Mapped[BatchState] = mapped_column(String(20), default=BatchState.WAITING)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    done_to: Mapped[int] = mapped_column(default=0)
    begun_to: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(100))  # the journal that knows its begun slice
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Attempt(Base):
    """One try of one letter and what the relay said. Append-only.

    Of ``deliveries`` without a foreign key: ``ledger.record`` alone writes here, of letters it has just read
    there, and the check would cost as much as the row (decision 9).
    """

    __tablename__ = "attempts"

    campaign_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    state: Mapped[DeliveryState] = mapped_column(SmallInteger)
    relay: Mapped[str] = mapped_column(String(255), default="")  # host:port
    code: Mapped[int | None] = mapped_column(SmallInteger)
    status: Mapped[str | None] = mapped_column(String(12))  # enhanced status code, RFC 3463
    category: Mapped[str | None] = mapped_column(String(20))  # diagnosis; None when accepted
    reply: Mapped[str] = mapped_column(Text, default="")


_OPEN_OR_CLICK = "{0}kind IN ('open', 'click') AND substr({0}detail, 1, 7) <> 'machine'"  # ``events.MACHINE``
_VISITS: Any = dict.fromkeys(("postgresql_where", "sqlite_where"), text(_OPEN_OR_CLICK.format("")))


class Event(Base):
    """What came back about a delivery. Append-only, told once (``event_keys``)."""

    __tablename__ = "events"
    __table_args__ = (
        ForeignKeyConstraint(["campaign_id", "n"], ["deliveries.campaign_id", "deliveries.n"]),
        Index("ix_events_delivery", "campaign_id", "kind", "n"),
        Index(
            "ix_events_visits", "campaign_id", "n", "kind", **_VISITS
        ),  # who has read is counted in it alone
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    campaign_id: Mapped[int]
    n: Mapped[int]
    kind: Mapped[EventKind] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    source: Mapped[str] = mapped_column(String(20))  # smtp | dsn | arf | mail | web | …
    category: Mapped[str | None] = mapped_column(String(20))
    status: Mapped[str | None] = mapped_column(String(12))
    permanent: Mapped[bool] = mapped_column(default=False)
    dead: Mapped[bool] = mapped_column(default=False)
    detail: Mapped[str] = mapped_column(Text, default="")  # the mail system's words
    link: Mapped[int | None] = mapped_column(SmallInteger)  # index of the clicked link
    mail_id: Mapped[int | None] = mapped_column(BigId)  # the raw message, in feedback's own table


class EventKey(Base):
    """What makes news the same news: told twice, it changes nothing."""

    __tablename__ = "event_keys"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class EventInbox(Base):
    """Events that feedback has not applied yet; a row goes in the transaction that applies it."""

    __tablename__ = "event_inbox"

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"), primary_key=True, autoincrement=False)


_WAITS: Any = {"postgresql_where": text("open"), "sqlite_where": text("open")}


class Case(Base):
    """An event that a person may have to look at, and how it stands now. Written with the event.

    Events never change; this is what lists are made of, so what they are filtered by stands here once more.
    Kinds that mend themselves or mean well (opens, clicks, leaves) have none.
    """

    __tablename__ = "cases"
    __table_args__ = (
        Index("ix_cases_at", "at", "event_id"),
        Index("ix_cases_category", "category", "at", "event_id"),
        Index("ix_cases_kind", "kind", "category", "at", "event_id"),
        Index("ix_cases_provider", "provider", "category", "at", "event_id"),
        Index("ix_cases_partner", "partner_id", "category", "at", "event_id"),
        Index("ix_cases_campaign", "campaign_id", "category", "at", "event_id"),
        Index("ix_cases_campaign_at", "campaign_id", "at", "event_id"),  # its cases come all at one time
        Index("ix_cases_letter", "campaign_id", "n"),
        Index("ix_cases_rule", "rule_id", "at", "event_id"),
        Index("ix_cases_judges", "judges"),
        # few of millions: those that wait for a person
        Index("ix_cases_open", "at", "event_id", **_WAITS),
        Index("ix_cases_open_category", "category", "at", "event_id", **_WAITS),
    )

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"), primary_key=True, autoincrement=False)
    kind: Mapped[EventKind] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    campaign_id: Mapped[int] = mapped_column(BigId)
    n: Mapped[int]
    category: Mapped[str] = mapped_column(String(20))
    provider: Mapped[str] = mapped_column(String(40))  # who answers for the address; "": nobody known
    partner_id: Mapped[int | None] = mapped_column(BigId)  # as the delivery has it
    reason: Mapped[str] = mapped_column(String(300), default="")  # the rule that decided, as it names itself
    open: Mapped[bool]  # nobody knows what is meant: a person has to look
    judges: Mapped[int | None] = mapped_column(ForeignKey("events.id"))  # whose words it judges anew
    rule_id: Mapped[int | None] = mapped_column(ForeignKey("own_rules.id"))  # the rule that does
    settled_by: Mapped[str | None] = mapped_column(String(320))  # who looked at it
    settled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class OwnRule(Base):
    """What an admin knows of replies that the tables do not: ``diagnosis.OwnRule`` says what the fields mean.

    The newest is asked first.
    """

    __tablename__ = "own_rules"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    words: Mapped[str] = mapped_column(String(200))
    provider: Mapped[str | None] = mapped_column(String(40))  # None: any
    code: Mapped[str] = mapped_column(String(3))
    status: Mapped[str] = mapped_column(String(12))
    category: Mapped[str] = mapped_column(String(20))
    dead: Mapped[bool]
    note: Mapped[str] = mapped_column(Text, default="")  # why, in a person's words
    active: Mapped[bool]  # False: switched off, kept for what it has judged
    made_by: Mapped[str] = mapped_column(String(320))
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)
    changed_by: Mapped[str] = mapped_column(String(320))
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Worker(Base):
    """A worker process, when it was last alive, and what it has done since it started.

    ``machine`` names the journal folder it writes to. The three spans say where a turn's time went.
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(100), primary_key=True)
    machine: Mapped[str] = mapped_column(String(60), index=True)
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    letters: Mapped[int] = mapped_column(BigId, default=0, server_default="0")  # whose fate it heard
    composing: Mapped[float] = mapped_column(default=0.0, server_default="0")  # seconds, as the next two
    wire: Mapped[float] = mapped_column(default=0.0, server_default="0")
    recording: Mapped[float] = mapped_column(default=0.0, server_default="0")
    relays: Mapped[Any | None] = mapped_column(Json)  # that fail it: ``Failing`` as JSON


class MailDomain(Base):
    """Who answers for a mail domain, as its MX records say (RFC 5321 §5.1)."""

    __tablename__ = "mail_domains"

    domain: Mapped[str] = mapped_column(String(255), primary_key=True)  # A-labels, lower case
    provider: Mapped[str] = mapped_column(String(40), default="")  # as ``diagnosis.provider_of`` names it
    looked_up_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: never yet


class Limit(Base):
    """The pace an admin has set for a destination, in place of the default; None: without limit."""

    __tablename__ = "limits"

    lane: Mapped[str] = mapped_column(String(255), primary_key=True)  # a provider's name, or a domain
    per_second: Mapped[float | None]
    per_hour: Mapped[int | None]
    connections: Mapped[int | None]  # that carry letters to it at once
    letters: Mapped[int | None]  # per connection
    set_by: Mapped[str] = mapped_column(String(320))
    set_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Slowdown(Base):
    """A destination that asked us to slow down (421, 4.7.x): its lane is closed until then."""

    __tablename__ = "slowdowns"

    lane: Mapped[str] = mapped_column(String(255), primary_key=True)
    until: Mapped[datetime] = mapped_column(UTCDateTime)
    strikes: Mapped[int]  # in a row; each doubles the wait
    said: Mapped[str] = mapped_column(Text)  # its words
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class DkimKey(Base):
    """A key that signs for a sending domain (RFC 6376). ``secret`` is encrypted under the keyring."""

    __tablename__ = "dkim_keys"

    domain: Mapped[str] = mapped_column(String(255), primary_key=True)
    selector: Mapped[str] = mapped_column(String(63), primary_key=True)
    algorithm: Mapped[str] = mapped_column(String(20))  # rsa-sha256 | ed25519-sha256
    public: Mapped[str] = mapped_column(Text)  # what its DNS record holds under p=
    secret: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)
    signs_from: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: not published yet
    signs_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: until another word


class RefreshToken(Base):
    """The newest refresh token of a relay whose token address gives a new one with each answer (RFC 6749 §6).

    ``id`` is a digest of the relay and the token its URL holds: with another in the URL, this one is of no
    more use. ``secret`` is encrypted under the keyring.
    """

    __tablename__ = "refresh_tokens"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    secret: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


# Campaigns


def campaign(session: Session, campaign_id: int, *, lock: bool = False) -> Campaign | None:
    """Return a campaign; ``lock`` holds its row until the transaction ends, and reads it afresh.

    Rows that point at it may be written meanwhile (``key_share``): steering never waits for a worker.
    """
    for_update = {"key_share": True} if lock else None
    return session.get(Campaign, campaign_id, with_for_update=for_update, populate_existing=lock)


def campaign_by_public_id(session: Session, public_id: UUID) -> Campaign | None:
    """Return the campaign pages know by ``public_id``."""
    return session.scalar(select(Campaign).where(Campaign.public_id == public_id))


def campaigns(session: Session, *states: CampaignState) -> list[Campaign]:
    """Return campaigns, newest first; with ``states`` only those in one of them."""
    query = select(Campaign).order_by(Campaign.id.desc())
    return list(session.scalars(query.where(Campaign.state.in_(states)) if states else query))


def campaigns_of_segments(session: Session, ids: Iterable[int]) -> list[Campaign]:
    """Return the campaigns that took their audience from one of these segments, newest first."""
    query = select(Campaign).where(Campaign.segment_id.in_(list(ids))).order_by(Campaign.id.desc())
    return list(session.scalars(query))


def tell_trouble(session: Session, trouble: str, campaign_id: int | None = None) -> None:
    """Say why a campaign's letters wait, or "" that they do not any more; None: of all being sent.

    What was said of a campaign that somebody has stopped meanwhile stays.
    """
    statement = update(Campaign).where(Campaign.state == CampaignState.SENDING, Campaign.trouble != trouble)
    if campaign_id is not None:
        statement = statement.where(Campaign.id == campaign_id)
    session.execute(statement.values(trouble=trouble).execution_options(synchronize_session=False))


def frozen_editions(session: Session, campaign_id: int) -> dict[str, FrozenEdition]:
    """Return what a campaign sends, by language."""
    rows = session.scalars(
        select(FrozenEdition)
        .join(CampaignEdition, CampaignEdition.frozen_edition_id == FrozenEdition.id)
        .where(CampaignEdition.campaign_id == campaign_id)
    )
    return {edition.language: edition for edition in rows}


def published(session: Session, issue: UUID, language: str) -> str | None:
    """Return the web version of an issue as the newest launched campaign sent it; None: none has."""
    return session.scalar(
        select(FrozenEdition.web_html)
        .join(CampaignEdition, CampaignEdition.frozen_edition_id == FrozenEdition.id)
        .join(Campaign, Campaign.id == CampaignEdition.campaign_id)
        .join(Issue, Issue.id == Campaign.issue_id)
        .where(
            Issue.public_id == issue, FrozenEdition.language == language, Campaign.launched_at.is_not(None)
        )
        .order_by(Campaign.launched_at.desc())
        .limit(1)
    )


def set_editions(session: Session, campaign_id: int, editions: Iterable[FrozenEdition]) -> None:
    """Say which frozen editions a campaign sends, in place of any said before."""
    session.execute(delete(CampaignEdition).where(CampaignEdition.campaign_id == campaign_id))
    session.add_all(
        CampaignEdition(campaign_id=campaign_id, language=edition.language, frozen_edition_id=edition.id)
        for edition in editions
    )
    session.flush()


# Events


def about(table: Any, letters: Iterable[tuple[int, int]]) -> ColumnElement[bool]:
    """The condition that a row of ``table`` is about one of ``letters``, each a (campaign_id, n).

    Pairs compared with pairs would say the same, and have SQLite read the whole ledger.
    """
    numbers: dict[int, list[int]] = {}
    for campaign_id, n in letters:
        numbers.setdefault(campaign_id, []).append(n)
    some = (and_(table.campaign_id == campaign, table.n.in_(its)) for campaign, its in numbers.items())
    return or_(false(), *some)


def visited_by_people() -> ColumnElement[bool]:
    """The condition that an event is a person's open or click, in the words of the index of those."""
    return literal_column(_OPEN_OR_CLICK.format("events."), Boolean).self_group()


def unapplied(session: Session) -> int:
    """Count the events feedback has not applied yet."""
    return session.scalar(select(func.count()).select_from(EventInbox)) or 0


# Workers


@dataclass(slots=True)
class Spent:
    """What a worker has done since its last beat: letters, and where the seconds of its turns went."""

    letters: int = 0
    composing: float = 0.0
    wire: float = 0.0
    recording: float = 0.0


_NOTHING = Spent()


class Failing(NamedTuple):
    """A relay that failed and has taken no letter since, as one worker sees it. ``until``: it rests."""

    name: str
    until: datetime
    why: Sentence

    def stored(self) -> dict[str, Any]:
        """Return what JSON keeps of it."""
        return {"name": self.name, "until": self.until.isoformat(), "why": self.why.stored()}

    @classmethod
    def restored(cls, row: Mapping[str, Any]) -> Failing:
        """Return what was ``stored``."""
        return cls(row["name"], datetime.fromisoformat(row["until"]), Sentence.restored(row["why"]))


def beat(
    session: Session,
    *,
    worker: str,
    machine: str,
    now: datetime,
    spent: Spent = _NOTHING,
    failing: Iterable[Failing] = (),
) -> None:
    """Note that a worker is alive, what it has done, and which relays fail it."""
    row = session.get(Worker, worker)
    if row is None:
        row = Worker(id=worker, machine=machine, started_at=now, letters=0, composing=0, wire=0, recording=0)
        session.add(row)
    row.seen_at = now
    row.letters += spent.letters
    row.composing += spent.composing
    row.wire += spent.wire
    row.recording += spent.recording
    row.relays = [relay.stored() for relay in failing]
    session.flush()


def workers_seen(session: Session, since: datetime) -> int:
    """Count the workers seen since then."""
    seen = select(func.count()).where(Worker.seen_at >= since, Worker.machine != "")
    return session.scalar(seen) or 0


def failing_relays(session: Session, since: datetime) -> list[Failing]:
    """Return the relays that workers seen since then see failing: each as often as there are such workers."""
    seen = select(Worker.relays).where(Worker.seen_at >= since, Worker.relays.is_not(None))
    return [Failing.restored(row) for relays in session.scalars(seen) if relays for row in relays]


def forget_workers(session: Session, before: datetime) -> None:
    """Drop workers not seen since ``before``."""
    session.execute(delete(Worker).where(Worker.seen_at < before))


def forget_worker(session: Session, worker: str) -> None:
    """Drop one worker's row."""
    session.execute(delete(Worker).where(Worker.id == worker))


def alive(session: Session, worker: str, since: datetime) -> bool:
    """Tell whether a worker was seen since then."""
    found = session.scalar(select(Worker.id).where(Worker.id == worker, Worker.seen_at >= since))
    return found is not None
