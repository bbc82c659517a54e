"""Partners: the organisations that look after their own people."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import codes, directory, store
from mailer.audience.store import Partner, PartnerGroup, PartnerKind
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
    _check(kind, name_zh, name_en)
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


def edit(
    session: Session,
    *,
    partner_id: int,
    name_zh: str,
    name_en: str,
    kind: str,
    country: str,
    language: str,
    zone: str,
    seats: int | None,
    trusted: bool,
    groups: Collection[str],
    now: datetime,
    actor: Actor,
) -> Partner:
    """Write what the directory says of a partner. ``zone`` "": the publication's; ``seats`` None: no limit.

    Fewer seats than people take nobody away: no one more comes in.

    :raises BadPartner: a kind, name, group or number that cannot be used
    :raises BadCode: no such country, language or zone
    """
    partner = session.get_one(Partner, partner_id)
    before = told(session, partner)
    _check(kind, name_zh, name_en)
    if seats is not None and seats < 0:
        raise BadPartner("Seats are a number from 0 on; leave them empty for no limit.")
    partner.name_zh, partner.name_en, partner.kind = name_zh, name_en, PartnerKind(kind)
    partner.country, partner.language = codes.country(country), codes.language(language)
    partner.zone = codes.zone(zone) if zone.strip() else None
    partner.seats, partner.trusted = seats, trusted
    _set_groups(session, partner_id, sorted({group_code(group) for group in groups}))
    session.flush()
    after = told(session, partner)
    changed = [name for name in after if after[name] != before[name]]
    if changed:
        audit.record(
            session, now=now, actor=actor, action="partner.edit", subject=f"partner {partner.code}",
            before={name: before[name] for name in changed}, after={name: after[name] for name in changed},
            partner_id=partner.id,
        )  # fmt: skip
    return partner


def group_code(text: str) -> str:
    """Return the code of a thematic group as it is kept: lower case, dashes for spaces.

    :raises BadPartner: empty or too long
    """
    found = "-".join(text.casefold().split())
    if not 0 < len(found) <= 40:
        raise BadPartner("A thematic group is named by 1 to 40 characters: shorten “{text}”.", text=text[:60])
    return found


def _check(kind: str, name_zh: str, name_en: str) -> None:
    if kind not in set(PartnerKind):
        raise BadPartner(
            "“{kind}” is not a kind of partner: choose one of {kinds}.",
            kind=kind,
            kinds=", ".join(PartnerKind),
        )
    if not (name_zh or name_en):
        raise BadPartner("A partner needs a name in Chinese or English: give one.")


def _set_groups(session: Session, partner_id: int, groups: list[str]) -> None:
    known = {row.code: row for row in session.scalars(directory.groups(partner_id))}
    for code in known.keys() - set(groups):
        session.delete(known[code])
    session.add_all(PartnerGroup(partner_id=partner_id, code=code) for code in groups if code not in known)
    session.flush()


def told(session: Session, partner: Partner) -> dict[str, Any]:
    """Return what the directory says of a partner, as ``edit`` writes it."""
    facts = ("name_zh", "name_en", "kind", "country", "language", "zone", "seats", "trusted")
    groups = [row.code for row in session.scalars(directory.groups(partner.id))]
    return {name: getattr(partner, name) for name in facts} | {"groups": groups}


def get(session: Session, code: str) -> Partner:
    """:raises NoPartner: none of that code"""
    found = store.partner_by_code(session, code)
    if found is None:
        raise NoPartner
    return found


def listing(session: Session) -> list[tuple[Partner, int]]:
    """Return every partner by code, with the number of its people."""
    return store.partners(session)
