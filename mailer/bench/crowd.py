"""A crowd: a large installation's people, partners and past letters, invented and written by SQL alone.

People have Chinese and Latin names of many syllables, addresses at a few large providers and three thousand
organisations. Partners differ as they do: one has a tenth of all people, many have a few hundred. Some people
left, wait, are silenced, erased or merged; a tenth is on two lists. All follows from a person's number.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import accumulate
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    case,
    func,
    insert,
    literal,
    null,
    select,
    text,
)
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer.accounts.audit import Actor
from mailer.audience import topics
from mailer.audience.names import Names, clean, salutation
from mailer.audience.store import (
    ConsentKind,
    Membership,
    MembershipTopic,
    Partner,
    PartnerGroup,
    PartnerKind,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
    Suppression,
)
from mailer.bench import issue
from mailer.bench.readers import Row, write
from mailer.database import Base, Database, UTCDateTime
from mailer.delivery import campaigns
from mailer.delivery.events import MACHINE
from mailer.delivery.store import (
    Attempt,
    Campaign,
    CampaignState,
    Delivery,
    DeliveryState,
    Event,
    EventKind,
    Exclusion,
)
from mailer.dialects import days_before
from mailer.issues import editions

PARTNERS, COUNTRIES = 150, 36
TOPICS = ("energy", "water", "cities", "finance", "forests", "health", "youth", "law")
_SIZES = (100_000, *(80_000,) * 3, *(50_000,) * 6, *(15_000,) * 20, *(5_000,) * 20, *(300,) * 100)
_SHELL = Actor(None, "shell")
_TABLES = (
    "subscribers, subscriptions, memberships, membership_topics, subscriber_topics, suppressions, partners,"
    " deliveries, attempts, events, exclusions"
)

_SYLLABLES, _FIRST, _COUNTRIES = (
    words.split()
    for words in (
        "ba be bi bo bu da de di do du fa fe fi ga go gu ha he hi ka ke ki ko ku la le li lo lu ma me mi mo"
        " na ne ni no ra re ri ro ru sa se si so su ta te ti to tu va ve wa we yo zi",
        "Ann Ben Cho Dana Eva Farid Gita Hugo Inês Jan Kofi Lea Mina Noor Olga Pavel Rosa Sven Uma Zoë",
        "CN NO FR DE NG IN BR KE JP VN MN KZ RU IR PK AE SA EG ZA DZ ET MA SE FI ES IT PT NL BE AT CH PL GR"
        " CA US MX",
    )
)
_FAMILIES = (
    "王王王李李李张张刘刘陈陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋"
)
_GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英文华玉兰红建国晓思齐海燕青远志鹏宇欣怡雪梅春夏秋冬山川江河"
)
_COLUMNS = (
    "id", "public_id", "address", "address_key", "address_hash", "domain", "language", "country",
    "created_at", "erased_at", "merged_into", "salutation_zh", "salutation_en", *Names().columns(),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Crowd:
    """``count`` people, each with a letter of most of ``letters`` campaigns, one a week until ``now``."""

    count: int
    letters: int
    now: datetime

    def write(self, session: Session) -> None:
        """Write them into tables that are empty."""
        draft_of = self._issue(session)
        self._partners(session)
        self._people(session)
        self._memberships(session)
        self._subscriptions(session)
        self._topics(session, draft_of.publication_id)
        self._suppressions(session)
        for week in range(self.letters, 0, -1):
            self._sent(session, draft_of.issue_id, self.now - timedelta(days=7 * week - 3))

    def _issue(self, session: Session) -> Campaign:
        publication = issue.publication(session, self.now)
        edition = editions.take_in(
            session, issue.document("en", 500), publication=publication, now=self.now, actor=_SHELL
        )
        return campaigns.create(
            session, issue_id=edition.issue_id, audience="everyone", now=self.now, actor=_SHELL
        )

    def _partners(self, session: Session) -> None:
        kinds = list(PartnerKind)
        made = [
            Partner(
                code=f"partner-{n:03}", name_en=f"Partner {n:03}", name_zh=f"伙伴{n:03}", kind=kinds[n % 6],
                country=_COUNTRIES[n % COUNTRIES], language="zh" if n % 3 else "en", trusted=n % 4 != 0,
                created_at=self.now - timedelta(days=900),
            )
            for n in range(1, PARTNERS + 1)
        ]  # fmt: skip
        session.add_all(made)
        session.flush()
        session.add_all(PartnerGroup(partner_id=each.id, code=TOPICS[each.id % 5]) for each in made)
        session.flush()

    def _people(self, session: Session) -> None:
        write(session, cast(Table, Subscriber.__table__), _COLUMNS, self._rows())

    def _rows(self) -> Iterator[Row]:
        chance = random.Random(1)  # noqa: S311 - names for a bench
        for n in range(1, self.count + 1):
            chinese, there, born = n % 5 < 3, n % 211 != 0, self.now - timedelta(days=n * 13 % 900)
            surname = _surname(chance)
            names = (
                Names(family_zh=chance.choice(_FAMILIES), given_zh="".join(chance.choices(_GIVEN, k=2)))
                if chinese
                else Names(given_en=chance.choice(_FIRST), family_en=surname)
            )
            known = clean(names) if there else Names()
            address = f"{_local(surname.lower(), n, chance)}@{_domain(n)}"
            yield (
                n, uuid7(), *((address, address) if there else (None, None)), hash_of(address), _domain(n),
                "zh" if n % 10 < 6 else "en", _lives(n, chinese), born, None if there else self.now,
                n - 1 if there and n % 503 == 0 else None, salutation(known, "zh"), salutation(known, "en"),
                *known.columns().values(),
            )  # fmt: skip

    def _memberships(self, session: Session) -> None:
        """Most people are on one list, a tenth on two, a twentieth on none."""
        its = Subscriber.id
        place = its * 7919 % 100_003
        for where, partner in (
            (its % 20 != 0, _partner(place)), (its % 10 == 3, _partner(place) % PARTNERS + 1),
        ):  # fmt: skip
            columns: dict[str, Any] = {
                "public_id": _uuid(session), "partner_id": partner, "subscriber_id": its,
                **{name: getattr(Subscriber, name) for name in Names().columns()},
                "language": Subscriber.language,
                "joined_at": Subscriber.created_at,
                "confirmed_at": case((its % 41 == 0, null()), else_=Subscriber.created_at),
                "ended_at": case(
                    (Subscriber.erased_at.is_not(None), self.now), (its % 37 == 0, self._ago(its % 60)),
                    else_=null(),
                ),
                "paused_until": case((its % 199 == 0, self.now + timedelta(days=20)), else_=null()),
                **self._consent(its, "memberships"),
            }  # fmt: skip
            _insert(session, Membership, columns, select(Subscriber).where(where))

    def _subscriptions(self, session: Session) -> None:
        its = Subscriber.id
        state = case(
            (its % 31 == 3, SubscriptionState.LEFT.value), (its % 33 == 5, SubscriptionState.PENDING.value),
            else_=SubscriptionState.CONFIRMED.value,
        )  # fmt: skip
        columns: dict[str, Any] = {
            "publication_id": literal(1, BigInteger), "subscriber_id": its, "state": state,
            "changed_at": Subscriber.created_at,
            "paused_until": case((its % 301 == 0, self.now + timedelta(days=9)), else_=null()),
            "every_days": case((its % 5 == 2, 14), else_=null()),
            **self._consent(its, "subscriptions"),
        }  # fmt: skip
        _insert(session, Subscription, columns, select(Subscriber).where(its % 97 != 0))

    def _ago(self, days: ColumnElement[int]) -> ColumnElement[datetime]:
        return days_before(self.now, func.abs(days))  # in brackets, whatever it is made of

    def _consent(self, its: Any, where: str) -> dict[str, Any]:
        kind = case(
            (its % 4 == 0, ConsentKind.INVITED.value), (its % 9 == 0, ConsentKind.SIGN_UP.value),
            else_=ConsentKind.VOUCHED.value,
        )  # fmt: skip
        return {
            "consent_kind": kind, "consent_at": Subscriber.created_at, "consent_by": literal("shell"),
            "consent_wording": literal("I want this newsletter."), "consent_origin": literal(where),
        }  # fmt: skip

    def _topics(self, session: Session, publication_id: int) -> None:
        made = [
            topics.add(session, publication_id=publication_id, code=code, name_zh=code, name_en=code).id
            for code in TOPICS
        ]
        for table, owner, its in (
            (SubscriberTopic, "subscriber_id", Subscriber.id),
            (MembershipTopic, "membership_id", Membership.id),
        ):
            for every, topic in zip((9, 13, 29, 31, 47, 61, 83, 151), made, strict=True):
                columns: dict[str, Any] = {owner: its, "topic_id": literal(topic, BigInteger)}
                _insert(session, table, columns, select(its).where(its % every == 1))

    def _suppressions(self, session: Session) -> None:
        its = Subscriber.id
        reasons = enumerate(("bad_mailbox", "inactive", "mailbox_full", "complaint"))
        columns: dict[str, Any] = {
            "address_hash": Subscriber.address_hash,
            "publication_id": case((its % 222 == 5, literal(1, BigInteger)), else_=null()),
            "reason": case(*((its % 5 == n, reason) for n, reason in reasons), else_="manual"),
            "since": self._ago(its % 400),
            "released_at": case((its % 333 == 5, self.now), else_=null()),
            "released_by": case((its % 333 == 5, "shell"), else_=null()),
        }
        _insert(session, Suppression, columns, select(its).where(its % 37 == 5))

    # What was sent

    def _sent(self, session: Session, issue_id: int, at: datetime) -> None:
        made = campaigns.create(session, issue_id=issue_id, audience="everyone", now=at, actor=_SHELL)
        made.state, made.launched_at, made.finished_at = CampaignState.SENT, at, at + timedelta(hours=2)
        made.candidates = self.count
        session.flush()
        of, its = literal(made.id, BigInteger), Subscription.subscriber_id
        partner = select(func.min(Membership.partner_id)).where(Membership.subscriber_id == its)
        theirs = partner.correlate(Subscription).scalar_subquery()
        gets = Subscription.state == SubscriptionState.CONFIRMED
        rows = select(Subscription).join(Subscriber, Subscriber.id == its)
        state = case((its % 89 == 0, int(DeliveryState.REJECTED)), else_=int(DeliveryState.ACCEPTED))
        columns: dict[str, Any] = {
            "campaign_id": of, "n": func.row_number().over(order_by=its), "subscriber_id": its,
            "partner_id": theirs, "language": Subscriber.language, "domain": Subscriber.domain,
            "salutation": Subscriber.salutation_en, "state": state,
        }  # fmt: skip
        _insert(session, Delivery, columns, rows.where(gets))
        none = {"campaign_id": of, "subscriber_id": its, "partner_id": theirs, "reason": Subscription.state}
        _insert(session, Exclusion, none, rows.where(~gets))
        tried = {"campaign_id": of, "n": Delivery.n, "attempt": literal(1), "at": literal(at, _AT)}
        tried |= {"state": Delivery.state}
        own = Delivery.campaign_id == made.id
        _insert(session, Attempt, tried, select(Delivery).where(own))
        for kind, every, when, detail in _HEARD:
            heard: dict[str, Any] = {
                "campaign_id": of, "n": Delivery.n, "kind": literal(kind.value),
                "at": literal(at + when, _AT), "source": literal("web"), "detail": literal(detail),
            }  # fmt: skip
            some = (Delivery.subscriber_id + made.id) % every == 0
            taken = Delivery.state == DeliveryState.ACCEPTED
            _insert(session, Event, heard, select(Delivery).where(own, some, taken))


_HEARD = (
    (EventKind.OPEN, 4, timedelta(hours=3), ""), (EventKind.OPEN, 6, timedelta(minutes=1), MACHINE),
    (EventKind.CLICK, 17, timedelta(hours=4), ""), (EventKind.BOUNCE, 101, timedelta(minutes=2), ""),
)  # fmt: skip


def settle(database: Database) -> None:
    """Do now what the database would do by itself within minutes: see to tables that were just filled."""
    if database.dialect == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"VACUUM ANALYZE {_TABLES}"))
    else:
        with database.write() as session:
            session.execute(text("PRAGMA optimize"))


# Of a person's number


def hash_of(address: str) -> str:
    """Return 32 digits that stand for an address, as a keyring's hash does."""
    return blake2b(address.encode(), digest_size=16).hexdigest()


def _surname(chance: random.Random) -> str:
    """One of some 200,000, of which a few are common."""
    number = int(58**3 * chance.random() ** 3)
    return "".join(_SYLLABLES[number // size % 58] for size in (1, 58, 58 * 58)).capitalize()


def _local(surname: str, n: int, chance: random.Random) -> str:
    match n % 3:
        case 0:
            return f"{surname}{n}"
        case 1:
            return f"{chance.choice(_SYLLABLES)}.{surname}{n}"
    return f"{surname}-{n}"


def _domain(n: int) -> str:
    for name, share in (("gmail.com", 15), ("163.com", 30), ("qq.com", 40), ("outlook.com", 45)):
        if n % 100 < share:
            return name
    return f"org{n * 31 % 3_011}.{'example' if n % 2 else 'test'}"


def _lives(n: int, chinese: bool) -> str | None:
    return None if n % 50 == 49 else "CN" if chinese else _COUNTRIES[n * 7 % 613 % COUNTRIES]


def _partner(place: ColumnElement[int]) -> ColumnElement[int]:
    """The partner of a place among 100,003: large ones come first."""
    ends = accumulate(size * 100_003 // sum(_SIZES) for size in _SIZES)
    return case(*((place < end, n) for n, end in enumerate(ends, 1)), else_=PARTNERS)


# SQL that both databases know


_AT = UTCDateTime()


def _insert(session: Session, table: type[Base], columns: dict[str, Any], rows: Select[Any]) -> None:
    session.execute(insert(table).from_select(list(columns), rows.with_only_columns(*columns.values())))


def _uuid(session: Session) -> ColumnElement[Any]:
    if session.get_bind().dialect.name == "postgresql":
        return func.gen_random_uuid()
    return func.lower(func.hex(func.randomblob(16)))
