"""Publications: made, found, and how they present themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import available_timezones

from sqlalchemy.orm import Session

from mailer import address
from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.errors import Conflict, Invalid, NotFound
from mailer.issues import store
from mailer.issues.store import Publication, Voice

UNSET_DOMAIN = "mailer.example"  # reserved (RFC 2606): a default publication must be given a sender


@dataclass(frozen=True, kw_only=True)
class Presence:
    """A publication in one language. ``reply_to`` empty: the sender's address."""

    name: str
    sender_name: str
    organisation: str
    postal_address: str
    reply_to: str = ""


class NoPublication(NotFound):
    """There is no publication of that code: `mailer publication list` shows those that exist."""


def add(
    session: Session,
    *,
    code: str,
    sender_address: str,
    presences: Mapping[str, Presence],
    now: datetime,
    actor: Actor,
    zone: str = "Asia/Shanghai",
    desk_address: str = "",
    list_id: str = "",
    accent: str = "#0b6b4f",
) -> Publication:
    """Make a publication. Empty ``desk_address``: the sender's; empty ``list_id``: made from code and domain.

    :raises Conflict: the code is taken
    :raises BadAddress: an address cannot be read
    """
    if store.publication_by_code(session, code):
        raise Conflict("A publication with the code “{code}” exists already: choose another code.", code=code)
    sender = address.parse(sender_address)
    publication = Publication(
        code=code,
        zone=zone,
        list_id=list_id or f"{code}.{sender.domain}",
        sender_address=sender.wire,
        desk_address=address.parse(desk_address).wire if desk_address else sender.wire,
        accent=accent,
        created_at=now,
    )
    session.add(publication)
    session.flush()
    for language, presence in presences.items():
        session.add(Voice(publication_id=publication.id, language=language, **vars(presence)))
    session.flush()
    audit.record(session, now=now, actor=actor, action="publication.add", subject=f"publication {code}")
    return publication


def get(session: Session, code: str) -> Publication:
    """:raises NoPublication: none of that code"""
    found = store.publication_by_code(session, code)
    if found is None:
        raise NoPublication
    return found


def change(
    session: Session,
    *,
    code: str,
    now: datetime,
    actor: Actor,
    sender_address: str | None = None,
    desk_address: str | None = None,
    zone: str | None = None,
    window: str | None = None,
    welcomes: bool | None = None,
) -> Publication:
    """Change what is given and leave the rest. A campaign's approval names its sender, so it is void then.

    ``window``: when letters of new campaigns may leave, as ``delivery.windows`` spells it; "" for always.
    ``welcomes``: whether new readers get a letter that greets them.

    :raises Invalid: the zone is not an IANA name
    """
    publication = get(session, code)
    before = _settings(publication)
    if sender_address is not None:
        publication.sender_address = address.parse(sender_address).wire
    if desk_address is not None:
        publication.desk_address = address.parse(desk_address).wire
    if zone is not None:
        if zone not in available_timezones():
            raise Invalid("“{zone}” is not a time zone: write it like Asia/Shanghai.", zone=zone)
        publication.zone = zone
    if window is not None:
        publication.window = window
    if welcomes is not None:
        publication.welcomes = welcomes
    session.flush()
    audit.record(
        session,
        now=now,
        actor=actor,
        action="publication.change",
        subject=f"publication {code}",
        before=before,
        after=_settings(publication),
    )
    return publication


def _settings(publication: Publication) -> dict[str, str | bool]:
    return {
        "sender": publication.sender_address,
        "desk": publication.desk_address,
        "zone": publication.zone,
        "window": publication.window,
        "welcomes": publication.welcomes,
    }


def default(session: Session, *, name: str, issuer: str, now: datetime, actor: Actor) -> Publication:
    """Return the first publication; on an empty database make one named as the first issue's masthead says.

    Its sender is under a reserved domain, so nothing can be launched through a real relay before
    somebody has said who the letters come from.
    """
    existing = store.publications(session)
    if existing:
        return existing[0]
    presence = Presence(name=name, sender_name=issuer or name, organisation=issuer or name, postal_address="")
    return add(
        session,
        code="newsletter",
        sender_address=f"newsletter@{UNSET_DOMAIN}",
        presences={"zh": presence, "en": presence},
        now=now,
        actor=actor,
    )


def voice(session: Session, publication_id: int, language: str) -> Voice:
    """Return the voice for ``language``, else the publication's other one.

    :raises NotFound: the publication has no voice at all
    """
    voices = store.voices(session, publication_id)
    if not voices:
        raise NotFound("This publication has no name in any language: add one before compiling.")
    return voices.get(language) or next(iter(voices.values()))
