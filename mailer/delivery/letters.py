"""Letters: what a delivery's letter says of its own reader, and where its envelope leads back to.

Every link, Message-ID and return path is made from the delivery and signed, so that what comes back finds
its row without the original text, and nobody can make one up (law 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy.orm import Session

from mailer.address import Address
from mailer.audience.names import Names, salutation
from mailer.audience.store import Subscriber
from mailer.content import letter as content
from mailer.content import slots
from mailer.content.letter import Blueprint
from mailer.delivery import dkim_keys, echo, store
from mailer.delivery.dkim import Signer, sender_domain
from mailer.delivery.relay import Relay
from mailer.delivery.slices import Addressee
from mailer.delivery.smtp import Envelope
from mailer.delivery.store import Campaign, DeliveryState
from mailer.errors import NotFound
from mailer.issues import editions, freeze
from mailer.settings import Settings
from mailer.signing import Purpose

RETURN_PATH_LIFE = timedelta(days=60)  # reports of failed letters come within days; forgers may take longer
NOBODY = 0  # deliveries count from 1; a token of number 0 is a test letter's

# What stands in addresses and identifiers beside ``slots.TOKEN``: tokens of other purposes.
_LEAVE = "leave"
_IDENTITY = "identity"


class Compositor:
    """Makes letters from frozen blueprints, which it reads once per campaign, and signs them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[int, Forms] = {}  # by campaign, the last used last
        self._signers = dkim_keys.Signers(settings)
        _keep_freed_memory()

    def slice(
        self, session: Session, campaign_id: int, people: Sequence[Addressee], now: datetime
    ) -> list[Envelope]:
        """Return the letters of a campaign to some of its people, in their order.

        :raises UnreadableKey: a DKIM key of the sender's domain cannot be opened
        """
        forms = self._forms(session, campaign_id)
        signers = {form.domain: self._signers.of(session, form.domain, now) for form in forms.values()}
        return list(_compose(forms, campaign_id, people, signers, self._settings, now))

    def _forms(self, session: Session, campaign_id: int) -> Forms:
        known = self._known.pop(campaign_id, None) or self._echoing(
            _frozen(session, campaign_id, self._settings)
        )
        self._known[campaign_id] = known
        if len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return known

    def _echoing(self, forms: Forms) -> Forms:
        """Have letters carry what the relays' owners repeat in their news of them."""
        relays = map(Relay.from_url, self._settings.relay_urls)
        fields = echo.fields([relay.through or relay.host for relay in relays], slots.mark(_IDENTITY))
        if not fields:
            return forms
        return {
            language: form._replace(blueprint=form.blueprint.carrying(fields))
            for language, form in forms.items()
        }


_KEPT = 8  # campaigns; a letter readied for joining takes 200 KB, a Chinese one 500


def _keep_freed_memory() -> None:
    """Let the C library keep what the letters of a slice leave behind, for those of the next.

    Else glibc gives it back to the kernel, and taking it page by page again costs ten times what
    assembling a letter does. Freeing a block of its own mapping raises the size from which it gives back
    to twice the block's (mallopt(3), M_MMAP_THRESHOLD); not a page of it is ever touched.
    """
    bytes(_KEPT_MEMORY)


_KEPT_MEMORY = 16 << 20  # octets: a slice of 100 letters and then some


class _Form(NamedTuple):
    """A blueprint with all filled in that its readers share. ``domain`` is that of its From."""

    blueprint: Blueprint
    domain: str


Forms = Mapping[str, _Form]  # by language


def _frozen(session: Session, campaign_id: int, settings: Settings) -> Forms:
    others = _others(session, campaign_id, settings)
    return {
        language: _form(Blueprint.from_json(each.blueprint.decode()), others.get(language, ""), settings)
        for language, each in store.frozen_editions(session, campaign_id).items()
    }


def _form(blueprint: Blueprint, other: str, settings: Settings) -> _Form:
    """Fill in addresses but for their tokens. ``other``: the edition in the other language on the web."""
    base, domain = settings.public_url, settings.bounce_domain
    link, leave, identity = map(slots.mark, (slots.TOKEN, _LEAVE, _IDENTITY))
    bound = blueprint.bound(
        {
            slots.VIEW: f"{base}/view/{link}",
            slots.PREFERENCES: f"{base}/preferences/{link}",
            slots.UNSUBSCRIBE: f"{base}/leave/{leave}",
            slots.OTHER: other,
            content.MESSAGE_ID: f"<m-{identity}@{domain}>",
            content.UNSUBSCRIBE_MAIL: f"leave-{leave}@{domain}",
        }
    )
    return _Form(bound, sender_domain(blueprint.segments[0].texts[0].encode()))


def _compose(
    forms: Forms,
    campaign_id: int,
    people: Sequence[Addressee],
    signers: Mapping[str, Signer | None],
    settings: Settings,
    now: datetime,
) -> Iterator[Envelope]:
    """Compose letters, to be signed where their sender's domain has one of ``signers``."""
    sign = partial(settings.keys.sign_all, first=campaign_id, seconds=[person.n for person in people])
    date = format_datetime(now.astimezone(UTC))
    for person, link, leave, identity, back in zip(
        people,
        sign(Purpose.LINK),
        sign(Purpose.LEAVE),
        sign(Purpose.MESSAGE_ID),
        sign(Purpose.RETURN_PATH, expires=now + RETURN_PATH_LIFE),
        strict=True,
    ):
        if person.address is None:
            raise ValueError(f"delivery {person.n} has no address: it must be withdrawn, not written")
        form = forms[person.language]
        values = {
            slots.SALUTATION: person.salutation,
            slots.TOKEN: link,
            _LEAVE: leave,
            _IDENTITY: identity,
            content.TO_NAME: "",
            content.TO_ADDRESS: person.address,
            content.DATE: date,
        }
        letter = form.blueprint.pieces(values)
        signer = signers.get(form.domain)
        seal = partial(signer.sign, now=now) if signer else None
        sender = f"b-{back}@{settings.bounce_domain}"
        yield Envelope(person.n, sender, person.address, letter, person.address.isascii(), seal)


def again(session: Session, *, campaign_id: int, n: int, settings: Settings, now: datetime) -> bytes:
    """Return the very letter a delivery got: the frozen bytes with its own values; only the date is today's.

    It is not signed again: a DKIM signature vouches for a sending.

    :raises NotFound: no such delivery, or the person was erased
    """
    delivery = session.get(store.Delivery, (campaign_id, n))
    subscriber = session.get(Subscriber, delivery.subscriber_id) if delivery else None
    if delivery is None or subscriber is None or subscriber.address is None:
        raise NotFound("This letter can no longer be shown.")
    person = Addressee(
        n, subscriber.id, delivery.language, delivery.salutation, delivery.state, subscriber.address, ""
    )
    [letter] = _compose(_frozen(session, campaign_id, settings), campaign_id, [person], {}, settings, now)
    return bytes(letter.body)


def trial(
    session: Session,
    campaign: Campaign,
    *,
    recipient: Address,
    language: str | None,
    settings: Settings,
    now: datetime,
) -> Envelope:
    """Return a test letter: the frozen edition if there is one, else the edition as it stands."""
    chosen = language or campaign.languages[0]
    frozen = store.frozen_editions(session, campaign.id).get(chosen)
    if frozen is not None:
        blueprint = Blueprint.from_json(frozen.blueprint.decode())
    else:
        blueprint, _ = freeze.blueprint_of(session, campaign.issue_id, chosen, settings=settings)
    other = _others(session, campaign.id, settings).get(chosen, "")
    colleague = Addressee(
        NOBODY, 0, chosen, salutation(Names(), chosen), DeliveryState.WAITING, recipient.wire, ""
    )
    form = _form(blueprint, other, settings)
    signer = dkim_keys.signer(session, form.domain, settings=settings, now=now)
    [letter] = _compose({chosen: form}, campaign.id, [colleague], {form.domain: signer}, settings, now)
    letter = letter.sealed()
    return letter._replace(body=bytes(letter.body))


def _others(session: Session, campaign_id: int, settings: Settings) -> dict[str, str]:
    """Return, by language, where the edition in the other language stands on the web."""
    campaign = session.get_one(Campaign, campaign_id)
    issue = editions.get(session, campaign.issue_id)
    languages = list(editions.languages(session, issue.id))
    return {
        language: freeze.web_address(settings, issue, other)
        for language in languages
        for other in languages
        if other != language
    }
