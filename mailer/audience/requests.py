"""Requests: what a partner asks of the secretariat, seats or a topic, and the answer it gets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience import asked
from mailer.audience.store import Partner, PartnerRequest, RequestState
from mailer.errors import Conflict, Invalid, NotFound

MOST_OPEN = 5  # of one partner
MOST_SEATS = 1_000_000
_LONGEST = 2_000  # characters


class Kind(StrEnum):
    """What is asked for."""

    SEATS = "seats"
    TOPIC = "topic"


class NoRequest(NotFound):
    """There is no such request: look it up in the list."""


class Answered(Conflict):
    """This request has been answered or withdrawn meanwhile: reload the page."""


class TooManyOpen(Conflict):
    """Five of your requests wait for an answer: withdraw one, or wait for the secretariat."""


class BadRequest(Invalid):
    """Say in a few words what you would like, in at most 2,000 characters."""


class BadSeats(Invalid):
    """Ask for more seats than you have, up to a million."""


class NoAnswer(Invalid):
    """Say why not, so that the partner understands it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request and the partner that makes it."""

    request: PartnerRequest
    partner: Partner


def ask(
    session: Session,
    *,
    partner_id: int,
    kind: Kind,
    seats: int | None = None,
    words: str = "",
    now: datetime,
    actor: Actor,
) -> PartnerRequest:
    """Ask the secretariat. ``seats``: how many in all.

    :raises BadSeats, BadRequest: it cannot be understood
    :raises TooManyOpen: so many wait already
    """
    partner = session.get_one(Partner, partner_id)
    words = words.replace("\x00", "").strip()
    if len(words) > _LONGEST or (kind is Kind.TOPIC and not words):
        raise BadRequest
    if kind is Kind.SEATS and not (partner.seats or 0) < (seats or 0) <= MOST_SEATS:
        raise BadSeats
    if len(of_partner(session, partner_id, RequestState.OPEN)) >= MOST_OPEN:
        raise TooManyOpen
    made = PartnerRequest(
        public_id=uuid7(), partner_id=partner_id, kind=kind, seats=seats if kind is Kind.SEATS else None,
        words=words, state=RequestState.OPEN, asked_by=actor.name, asked_at=now,
    )  # fmt: skip
    session.add(made)
    session.flush()
    _record(session, now, actor, "request.ask", made, {"kind": kind, "seats": made.seats})
    return made


def withdraw(session: Session, *, partner_id: int, request: UUID, now: datetime, actor: Actor) -> None:
    """Take a request back.

    :raises NoRequest: none of that id, or another partner's
    :raises Answered: it is no longer open
    """
    found = _open(session, request, partner_id)
    found.state = RequestState.WITHDRAWN
    _record(session, now, actor, "request.withdraw", found)


def accept(
    session: Session, *, request: UUID, answer: str = "", now: datetime, actor: Actor
) -> PartnerRequest:
    """Grant a request: of seats, at once.

    :raises NoRequest: none of that id
    :raises Answered: it is no longer open
    """
    found = _answered(session, request, RequestState.ACCEPTED, answer, now, actor)
    if found.seats is not None:
        partner = session.get_one(Partner, found.partner_id, with_for_update=True)
        before, partner.seats = partner.seats, found.seats
        audit.record(
            session, now=now, actor=actor, action="partner.seats", subject=f"partner {partner.code}",
            before=before, after=found.seats, partner_id=partner.id,
        )  # fmt: skip
    session.flush()
    return found


def decline(session: Session, *, request: UUID, answer: str, now: datetime, actor: Actor) -> PartnerRequest:
    """Say no, and why.

    :raises NoAnswer: without a word
    :raises NoRequest: none of that id
    :raises Answered: it is no longer open
    """
    if not answer.strip():
        raise NoAnswer
    return _answered(session, request, RequestState.DECLINED, answer, now, actor)


def _answered(
    session: Session, request: UUID, state: RequestState, answer: str, now: datetime, actor: Actor
) -> PartnerRequest:
    found = _open(session, request)
    found.state, found.answer = state, answer.replace("\x00", "").strip()[:_LONGEST]
    found.answered_by, found.answered_at = actor.name, now
    session.flush()
    verb = "accept" if state is RequestState.ACCEPTED else "decline"
    _record(session, now, actor, f"request.{verb}", found, {"kind": found.kind, "seats": found.seats})
    return found


def _open(session: Session, request: UUID, partner_id: int | None = None) -> PartnerRequest:
    found = asked.by_public_id(session, request)
    if found is None or partner_id not in (None, found.partner_id):
        raise NoRequest
    if found.state != RequestState.OPEN:
        raise Answered
    return found


def of_partner(session: Session, partner_id: int, *states: RequestState) -> list[PartnerRequest]:
    """Return a partner's requests, newest first; with ``states`` only those in one of them."""
    return asked.of_partner(session, partner_id, *states)


def listing(session: Session, *, page: int = 1, size: int = 50) -> tuple[list[Waiting], int]:
    """Return a page of all partners' requests, the open ones first and of those the oldest; and how many."""
    rows, total = asked.listing(session, page, size)
    return [Waiting(*row) for row in rows], total


def waiting(session: Session) -> int:
    """Return how many requests wait for the secretariat's answer."""
    return asked.waiting(session)


def _record(
    session: Session,
    now: datetime,
    actor: Actor,
    action: str,
    request: PartnerRequest,
    after: dict[str, object] | None = None,
) -> None:
    before = None if action == "request.ask" else {"state": str(RequestState.OPEN)}
    audit.record(
        session, now=now, actor=actor, action=action, subject=f"request {request.id}", before=before,
        after={**(after or {}), "state": str(request.state)}, partner_id=request.partner_id,
    )  # fmt: skip
