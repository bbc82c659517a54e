"""Builders: rows as a test needs them, everything else filled in. ``make.delivery(to="ann@example.org")``.

Each call commits, so that other transactions see the row, and gives back the stored object, detached.
``make.within(session)`` gives builders that add to an open transaction instead. What is not named is made
on the way: a delivery brings its campaign, issue, publication and subscriber with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer import address as addresses
from mailer.accounts.store import Role, User
from mailer.audience.store import (
    AddressChange,
    ConsentKind,
    Membership,
    Partner,
    PartnerKind,
    PartnerRequest,
    RequestState,
    Segment,
    SignUp,
    Subscriber,
    SubscriberTopic,
    Subscription,
    SubscriptionState,
    Suppression,
    Topic,
)
from mailer.content.document import Article, Document, Masthead, Section
from mailer.database import Base, Database
from mailer.delivery.cases import KINDS, waits
from mailer.delivery.store import (
    Attempt,
    Batch,
    Campaign,
    CampaignEdition,
    CampaignState,
    Case,
    Delivery,
    DeliveryState,
    Event,
    EventInbox,
    EventKind,
    OwnRule,
)
from mailer.issues.store import Edition, FrozenEdition, Issue, Publication, Voice
from mailer.signing import Keyring

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
"""The instant at which tests happen, unless they say otherwise."""

SECRET = "1:a-key-for-tests-only"
KEYS = Keyring.parse(SECRET)

Row = TypeVar("Row", bound=Base)


def document(language: str = "en", *, headline: str = "Rivers return", body: str = "") -> Document:
    """Return a small whole document: one section, one article with a link."""
    body = body or "Water is back, says [the report](https://example.org/report)."
    article = Article(headline=headline, body=body)
    title = "绿色观察" if language == "zh" else "Green Observer"
    return Document(
        language="zh" if language == "zh" else "en",
        masthead=Masthead(title=title, issuer="Secretariat", number="12", date=date(2026, 11, 20)),
        subject=f"{title} 12",
        sections=(Section(title="动态" if language == "zh" else "News", blocks=(article,)),),
    )


class Make:
    """Builders of rows in one database."""

    def __init__(self, database: Database, *, session: Session | None = None) -> None:
        self.database = database
        self._session = session
        self._number = count(1)  # makes names and addresses differ
        self._publication: Publication | None = None

    def within(self, session: Session) -> Make:
        """Return builders that add to ``session`` and do not commit."""
        return Make(self.database, session=session)

    def publication(self, code: str = "observer", *, languages: Sequence[str] = ("zh", "en")) -> Publication:
        """The publication ``code`` with a voice per language; made once."""
        if self._publication is None or self._publication.code != code:
            found = self._one(select(Publication).where(Publication.code == code))
            self._publication = found or self._new_publication(code, languages)
        return self._publication

    def partner(self, code: str = "", **given: Any) -> Partner:
        """A ministry in China, unless told otherwise."""
        code = code or f"partner-{next(self._number)}"
        facts = {"name_en": f"Partner {code}", "name_zh": f"伙伴 {code}", "country": "CN", "language": "zh"}
        return self._add(
            Partner(**{**facts, "kind": PartnerKind.MINISTRY, "created_at": NOON, **given, "code": code})
        )

    def user(self, role: Role = Role.EDITOR, email: str = "", **given: Any) -> User:
        """An account without a password; a partner manager brings a partner."""
        email = addresses.key_of(email or f"user-{next(self._number)}@example.org")
        if role == Role.PARTNER and "partner_id" not in given:
            given["partner_id"] = self.partner().id
        return self._add(User(email=email, role=role, created_at=NOON, **given))

    def subscriber(
        self,
        address: str = "",
        *,
        language: str = "en",
        partner: Partner | None = None,
        subscribed: bool = True,
        publication: Publication | None = None,
        **given: Any,
    ) -> Subscriber:
        """A reader, confirmed for the publication unless ``subscribed`` is False."""
        found = addresses.parse(address or f"reader-{next(self._number)}@example.org")
        facts = {
            "public_id": uuid7(), "address": found.wire, "address_key": found.key, "domain": found.domain,
            "address_hash": KEYS.address_hash(found.key), "language": language, "created_at": NOON,
            "salutation_en": "Dear reader,", "salutation_zh": "尊敬的读者：",
        }  # fmt: skip
        subscriber = self._add(Subscriber(**{**facts, **given}))
        if subscribed:
            self.subscription(subscriber, publication)
        if partner is not None:
            self.membership(partner, subscriber)
        return subscriber

    def subscription(
        self,
        subscriber: Subscriber,
        publication: Publication | None = None,
        state: SubscriptionState = SubscriptionState.CONFIRMED,
        **given: Any,
    ) -> Subscription:
        """Where a person stands with a publication."""
        publication = publication or self.publication()
        keys = {"publication_id": publication.id, "subscriber_id": subscriber.id}
        return self._add(Subscription(**{**keys, "state": state, "changed_at": NOON, **_consent(), **given}))

    def membership(self, partner: Partner, subscriber: Subscriber, **given: Any) -> Membership:
        """A partner's tie to a person."""
        keys = {"partner_id": partner.id, "subscriber_id": subscriber.id, "public_id": uuid7()}
        at = given.get("joined_at", NOON)
        facts = {"joined_at": at, "confirmed_at": at, **_consent()}
        return self._add(Membership(**{**keys, **facts, **given}))

    def request(self, partner: Partner, **given: Any) -> PartnerRequest:
        """A partner's request for more seats that nobody has answered."""
        facts = {"public_id": uuid7(), "kind": "seats", "seats": 50, "state": RequestState.OPEN}
        asked = {"asked_by": "manager@example.org", "asked_at": NOON}
        return self._add(PartnerRequest(**{"partner_id": partner.id, **facts, **asked, **given}))

    def sign_up(self, person: Subscriber, publication: Publication | None = None, **given: Any) -> SignUp:
        """A form filled in for a person, not confirmed yet."""
        facts = {"publication_id": (publication or self.publication()).id, "subscriber_id": person.id,
                 "language": person.language, "topics": [], "names": {}, "wording": "Yes, please.",
                 "origin": "192.0.2.1", "asked_at": NOON}  # fmt: skip
        return self._add(SignUp(**{**facts, **given}))

    def address_change(
        self, person: Subscriber, address: str = "new@example.net", **given: Any
    ) -> AddressChange:
        """A person's wish to be written to at another address, not confirmed yet."""
        facts = {"subscriber_id": person.id, "publication_id": self.publication().id, "address": address,
                 "old_hash": person.address_hash, "asked_at": NOON}  # fmt: skip
        return self._add(AddressChange(**{**facts, **given}))

    def topic(self, code: str, *readers: Subscriber, publication: Publication | None = None) -> Topic:
        """A topic and the readers who chose it."""
        publication = publication or self.publication()
        topic = self._add(
            Topic(publication_id=publication.id, code=code, name_zh=f"主题 {code}", name_en=f"Topic {code}")
        )
        for reader in readers:
            self._add(SubscriberTopic(subscriber_id=reader.id, topic_id=topic.id))
        return topic

    def segment(self, rule: str, name: str = "") -> Segment:
        """A saved rule."""
        return self._add(Segment(name=name or f"segment {next(self._number)}", rule=rule, created_at=NOON))

    def suppression(self, address: str, reason: str = "bad_mailbox", **given: Any) -> Suppression:
        """An address that must not be written to: everywhere and for good, unless told otherwise."""
        hashed = KEYS.address_hash(addresses.key_of(address))
        return self._add(Suppression(**{"address_hash": hashed, "reason": reason, "since": NOON, **given}))

    def issue(
        self,
        number: str | None = None,
        *,
        languages: Sequence[str] = ("zh", "en"),
        publication: Publication | None = None,
        documents: Mapping[str, Document] | None = None,
        **given: Any,
    ) -> Issue:
        """An issue with an edition per language; ``documents`` by language replace the small sample."""
        publication = publication or self.publication()
        facts = {
            "public_id": uuid7(),
            "number": number or str(next(self._number)),
            "date": date(2026, 11, 20),
        }
        made = {"created_at": NOON, "created_by": "editor@example.org"}
        issue = self._add(Issue(**{"publication_id": publication.id, **facts, **made, **given}))
        for language in languages:
            self.edition(issue, (documents or {}).get(language) or document(language))
        return issue

    def edition(self, issue: Issue, content: Document, **given: Any) -> Edition:
        """An issue in the document's language."""
        facts = {
            "issue_id": issue.id,
            "language": content.language,
            "document": content.model_dump(mode="json"),
        }
        made = {"updated_at": NOON, "updated_by": "editor@example.org"}
        return self._add(Edition(**{**facts, **made, **given}))

    def frozen(
        self, edition: Edition, *, links: Sequence[str] = ("https://example.org/report",), **given: Any
    ) -> FrozenEdition:
        """An edition frozen with bytes that only stand for a letter: ``issues.freeze`` makes real ones."""
        web = f"<p>Edition {edition.id}</p>"
        facts = {
            "edition_id": edition.id, "version": edition.version, "language": edition.language,
            "subject": "Green Observer 12",
            "hash": hashlib.sha256(web.encode()).hexdigest(), "blueprint": b"", "web_html": web,
            "html_bytes": 1000, "text_bytes": 500, "links": list(links), "frozen_at": NOON,
        }  # fmt: skip
        return self._add(FrozenEdition(**{**facts, **given}))

    def campaign(
        self,
        state: CampaignState = CampaignState.SENDING,
        *,
        issue: Issue | None = None,
        audience: str = "everyone",
        links: Sequence[str] = ("https://example.org/report",),
        **given: Any,
    ) -> Campaign:
        """A campaign of every edition of an issue; past its draft, the editions are frozen with ``links``."""
        issue = issue or self.issue()
        editions = self._all(
            select(Edition).where(Edition.issue_id == issue.id).order_by(Edition.language.desc())
        )
        facts = {
            "public_id": uuid7(), "publication_id": issue.publication_id, "issue_id": issue.id,
            "state": state, "audience": audience, "languages": [edition.language for edition in editions],
            "created_by": "editor@example.org", "created_at": NOON,
        }  # fmt: skip
        if state in (CampaignState.SENDING, CampaignState.PAUSED, CampaignState.SENT):
            facts["launched_at"] = NOON
        campaign = self._add(Campaign(**{**facts, **given}))
        if state != CampaignState.DRAFT:
            for edition in editions:
                frozen = self.frozen(edition, links=links)
                keys = {"campaign_id": campaign.id, "language": edition.language}
                self._add(CampaignEdition(**keys, frozen_edition_id=frozen.id))
        return campaign

    def delivery(
        self,
        to: str = "",
        *,
        campaign: Campaign | None = None,
        subscriber: Subscriber | None = None,
        state: DeliveryState = DeliveryState.ACCEPTED,
        partner: Partner | None = None,
        **given: Any,
    ) -> Delivery:
        """The next letter of a campaign; without ``subscriber``, to a new reader at ``to``."""
        campaign = campaign or self.campaign()
        subscriber = subscriber or self.subscriber(to, partner=partner)
        last = self._one(select(func.max(Delivery.n)).where(Delivery.campaign_id == campaign.id))
        facts = {
            "campaign_id": campaign.id, "n": (last or 0) + 1, "subscriber_id": subscriber.id, "state": state,
            "partner_id": partner.id if partner else None, "language": subscriber.language,
            "domain": subscriber.domain, "salutation": subscriber.salutation_en,
        }  # fmt: skip
        return self._add(Delivery(**{**facts, **given}))

    def batch(self, campaign: Campaign, first: int, last: int, **given: Any) -> Batch:
        """Deliveries ``first`` to ``last`` of a campaign, due at NOON."""
        facts = {"campaign_id": campaign.id, "first": first, "last": last, "size": last - first + 1}
        return self._add(Batch(**{**facts, "due_at": NOON, **given}))

    def attempt(self, delivery: Delivery, attempt: int = 1, **given: Any) -> Attempt:
        """One try of a letter, with the delivery's own state as its end."""
        facts = {"campaign_id": delivery.campaign_id, "n": delivery.n, "attempt": attempt, "at": NOON}
        return self._add(Attempt(**{**facts, "state": delivery.state, "relay": "127.0.0.1:2525", **given}))

    def event(
        self,
        delivery: Delivery,
        kind: EventKind = EventKind.BOUNCE,
        *,
        at: datetime = NOON + timedelta(minutes=1),
        applied: bool = True,
        **given: Any,
    ) -> Event:
        """What came back about a letter; ``applied`` False puts it into the inbox that policy reads."""
        facts = {
            "campaign_id": delivery.campaign_id,
            "n": delivery.n,
            "kind": kind,
            "at": at,
            "source": "dsn",
        }
        event = self._add(Event(**{**facts, **given}))
        if kind in KINDS:
            category = event.category or "unknown"
            self._add(
                Case(event_id=event.id, kind=kind, at=at, campaign_id=event.campaign_id, n=event.n,
                     category=category, provider=delivery.provider or "", partner_id=delivery.partner_id,
                     open=waits(kind, category))
            )  # fmt: skip
        if not applied:
            self._add(EventInbox(event_id=event.id))
        return event

    def own_rule(self, words: str, category: str = "policy", **given: Any) -> OwnRule:
        """What an admin says that replies with these words mean."""
        facts = {"code": "", "status": "", "dead": False, "active": True, "made_by": "admin@example.org",
                 "made_at": NOON, "changed_by": "admin@example.org", "changed_at": NOON}  # fmt: skip
        return self._add(OwnRule(**{**facts, "words": words, "category": category, **given}))

    def _new_publication(self, code: str, languages: Sequence[str]) -> Publication:
        publication = self._add(
            Publication(
                code=code, list_id=f"{code}.news.example", sender_address=f"{code}@news.example",
                desk_address=f"desk-{code}@news.example", created_at=NOON,
            )
        )  # fmt: skip
        for language in languages:
            name = "绿色观察" if language == "zh" else "Green Observer"
            self._add(
                Voice(
                    publication_id=publication.id, language=language, name=name, sender_name=name,
                    organisation="秘书处" if language == "zh" else "The Secretariat",
                    postal_address="1 River Road, Example City",
                )
            )  # fmt: skip
        return publication

    def _add(self, row: Row) -> Row:
        if self._session is not None:
            self._session.add(row)
            self._session.flush()
            return row
        with self.database.write() as session:
            session.add(row)
        return row

    def _one(self, query: Any) -> Any:
        return next(iter(self._all(query)), None)

    def _all(self, query: Any) -> list[Any]:
        if self._session is not None:
            return list(self._session.scalars(query))
        with self.database.read() as session:
            return list(session.scalars(query))


def _consent() -> dict[str, Any]:
    kind = ConsentKind.SIGN_UP
    return {"consent_kind": kind, "consent_at": NOON, "consent_wording": "I want this newsletter."}
