"""Partners: the organisations that look after their own people."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import codes, store
from mailer.audience.store import Partner, PartnerKind
from mailer.errors import Conflict, Invalid, NotFound


class NoPartner(NotFound):
    """There is no partner with that code: `mailer partner list` shows those that exist."""


class CodeTaken(Conflict):
    """There is a partner with that code already: choose another code."""


class BadPartner(Invalid):
    """The partner cannot be added as given."""


def add(
    session: Session,
    *,
    code: str,
    kind: str,
    country: str,
    language: str,
    now: datetime,
    actor: Actor,
    name_zh: str = "",
    name_en: str = "",
    zone: str | None = None,
    seats: int | None = None,
    trusted: bool = False,
) -> Partner:
    """Make a partner. ``seats`` None: as many people as it likes; ``trusted``: it may vouch for consent.

    :raises BadPartner: a code, kind or name that cannot be used
    :raises BadCode: no such country, language or zone
    :raises CodeTaken: the code is another partner's
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", code):
        raise BadPartner("A partner's code is up to 40 letters, digits, dots and dashes: choose a short one.")
    if kind not in set(PartnerKind):
        raise BadPartner(
            "“{kind}” is not a kind of partner: choose one of {kinds}.",
            kind=kind,
            kinds=", ".join(PartnerKind),
        )
    if not (name_zh or name_en):
        raise BadPartner("A partner needs a name in Chinese or English: give one.")
    if store.partner_by_code(session, code):
        raise CodeTaken
    partner = Partner(
        code=code, name_zh=name_zh, name_en=name_en, kind=PartnerKind(kind), country=codes.country(country),
        language=codes.language(language), zone=codes.zone(zone) if zone else None, seats=seats,
        trusted=trusted, created_at=now,
    )  # fmt: skip
    session.add(partner)
    session.flush()
    after = {"kind": partner.kind, "country": partner.country, "trusted": trusted, "seats": seats}
    audit.record(session, now=now, actor=actor, action="partner.add", subject=f"partner {code}",
                 after=after, partner_id=partner.id)  # fmt: skip
    return partner


def get(session: Session, code: str) -> Partner:
    """:raises NoPartner: none of that code"""
    found = store.partner_by_code(session, code)
    if found is None:
        raise NoPartner
    return found


def listing(session: Session) -> list[tuple[Partner, int]]:
    """Return every partner by code, with the number of its people."""
    return store.partners(session)
