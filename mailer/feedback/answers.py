"""Answers: what a person writes back is no event; it is passed on to the publication's desk, stored first.

Nothing that a machine wrote is passed on, nor what we passed on before, nor more than a person writes: a loop
ends at the first of these. A filter's question whether we are people waits for a person.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from mailer import address, queue
from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.database import Database
from mailer.delivery import dkim_keys, events
from mailer.delivery.relay import RelayUnavailable
from mailer.delivery.relays import hand_over
from mailer.delivery.smtp import Envelope
from mailer.delivery.smtp import Kind as Fate
from mailer.errors import MailerError
from mailer.feedback import answered, forwarding, store
from mailer.feedback.kind import Kind
from mailer.feedback.mime import Headers
from mailer.feedback.store import Answer
from mailer.issues import publications
from mailer.issues.store import Publication
from mailer.sentence import Sentence
from mailer.settings import Settings

OF_PEOPLE = frozenset({Kind.ORDINARY, Kind.CHALLENGE})

PER_LETTER = 5  # answers to one letter within a day that are passed on
PER_HOUR = 300  # answers to all letters
_RETRY = timedelta(minutes=10)  # doubles, up to the next
_LONGEST_RETRY = timedelta(hours=6)
_GIVE_UP_AFTER = timedelta(days=4)  # as relays do: RFC 5321 §4.5.4.1


class State(StrEnum):
    """What becomes of an answer."""

    WAITING = "waiting"
    PASSED = "passed"  # to the desk
    KEPT = "kept"  # for a person to look at


class NoAnswer(MailerError):
    """There is no such answer: `mailer feedback answers` shows those that wait for a person."""

    http_status = 404


def take(
    session: Session,
    kind: Kind,
    headers: Headers,
    *,
    mail_id: int,
    delivery: tuple[int, int],
    sent_to: str,
    now: datetime,
) -> bool:
    """Have a stored mail passed on, or kept for a person; False: it is nothing to us, the desk has it."""
    publication = store.publication_of(session, delivery[0])
    if _is_at(publication.desk_address, headers, sent_to):
        return False
    why_not = Sentence("a filter asks whether we are people") if kind is Kind.CHALLENGE else None
    why_not = why_not or _why_not(headers, publication) or _too_many(session, delivery, now)
    session.add(
        Answer(
            mail_id=mail_id,
            campaign_id=delivery[0],
            n=delivery[1],
            at=now,
            state=State.KEPT if why_not else State.WAITING,
            due_at=None if why_not else now,
            said=why_not.stored() if why_not else None,
        )
    )
    session.flush()
    if why_not is None:
        queue.ring(session, queue.PASS_ON)
    return True


def get(session: Session, mail_id: int) -> Answer:
    """:raises NoAnswer:"""
    answer = session.get(Answer, mail_id)
    if answer is None:
        raise NoAnswer
    return answer


def again(session: Session, mail_id: int, *, now: datetime, actor: Actor) -> None:
    """Have an answer passed on that was kept: a person has looked at it.

    :raises NoAnswer:
    """
    answer = get(session, mail_id)
    before = {"state": str(answer.state)}
    answer.state, answer.due_at, answer.attempts, answer.at = State.WAITING, now, 0, now
    session.flush()
    audit.record(session, now=now, actor=actor, action="answer.again", subject=f"mail {mail_id}",
                 before=before, after={"state": str(State.WAITING)})  # fmt: skip
    queue.ring(session, queue.PASS_ON)


def pass_on(database: Database, *, settings: Settings, now: datetime, limit: int = 20) -> int:
    """Pass on what waits, and return how many answers the desks have got.

    Each is marked before it is sent and again after: whoever dies in between has it sent once more, with the
    same Message-ID. No transaction is open while a relay is spoken to.
    """
    with database.write() as session:
        due = answered.due(session, now, limit)
        for answer in due:
            answer.due_at = now + min(_LONGEST_RETRY, _RETRY * 2 ** min(answer.attempts, 10))
            answer.attempts += 1
    return sum(_pass_one(database, answer, settings, now) for answer in due)


def _pass_one(database: Database, answer: Answer, settings: Settings, now: datetime) -> bool:
    with database.read() as session:
        envelope = _envelope(session, answer, settings, now)
    said, last = (envelope, True) if isinstance(envelope, Sentence) else _sent(envelope, settings)
    with database.write() as session:
        row = session.get(Answer, answer.mail_id)
        if row is not None:
            row.said = said.stored() if said else None
            if said is None and isinstance(envelope, Envelope):
                row.state, row.due_at = State.PASSED, None
                row.passed_to, row.passed_at = envelope.recipient, now
            elif last or now - row.at > _GIVE_UP_AFTER:
                row.state, row.due_at = State.KEPT, None
    return said is None


def _envelope(session: Session, answer: Answer, settings: Settings, now: datetime) -> Envelope | Sentence:
    """Return the letter to the desk, or why there can be none."""
    raw = store.mail_content(session, answer.mail_id)
    if raw is None:
        return Sentence("the answer is no longer kept")
    publication = store.publication_of(session, answer.campaign_id)
    desk = address.parse(publication.desk_address)
    if desk.domain == settings.bounce_domain.lower():
        return Sentence(
            "the desk's address is one that mail comes back to: set another with"
            " `mailer publication set {code} --desk ADDRESS`",
            code=publication.code,
        )
    language = store.language_of(session, answer.campaign_id, answer.n)
    voice = publications.voice(session, publication.id, language)
    made = forwarding.letter(
        raw,
        to=desk.wire,
        sender=(voice.sender_name, publication.sender_address),
        newsletter=voice.name,
        host=settings.bounce_domain,
        now=now,
    )
    try:
        made = dkim_keys.signed(session, made, settings=settings, now=now)
    except dkim_keys.UnreadableKey as error:
        return error.sentence
    return Envelope(0, "", desk.wire, made)  # the null sender: whatever goes wrong, nobody answers us


def _sent(envelope: Envelope, settings: Settings) -> tuple[Sentence | None, bool]:
    """Send; return why it did not go, None when it did, and whether that is the last word."""
    try:
        outcome = hand_over(envelope, settings.relay_urls)
    except RelayUnavailable as error:
        return error.sentence, False
    if outcome.kind is Fate.ACCEPTED:
        return None, True
    reply = events.writable(outcome.text)[:500]
    return Sentence("the relay said: {reply}", reply=reply), outcome.kind is Fate.REJECTED


def _is_at(desk: str, headers: Headers, sent_to: str) -> bool:
    """Tell whether the desk has a mail already, as one of those it was written to."""
    key = address.key_of(desk)
    names = ("to", "cc", "delivered-to", "x-original-to")
    told = [value.lower() for name in names for value in headers.all(name)[:20]]
    return any(key in value for value in (*told, sent_to.lower()))


def _why_not(headers: Headers, publication: Publication) -> Sentence | None:
    """Return why a mail is not passed on by itself; None: a person wrote it."""
    if forwarding.PASSED_ON.lower() in headers:
        return Sentence("we passed it on before: it has come back")
    automatic = headers.get("auto-submitted").lower() not in ("", "no")
    automatic = automatic or headers.get("precedence").lower() in ("bulk", "list", "junk")
    if automatic or headers.get("return-path").strip() == "<>" or "list-id" in headers:
        return Sentence("a machine seems to have written it")
    ours = {address.key_of(publication.desk_address), address.key_of(publication.sender_address)}
    if address.key_of(forwarding.writer(headers).address) in ours:
        return Sentence("it says that it comes from ourselves")
    return None


def _too_many(session: Session, delivery: tuple[int, int], now: datetime) -> Sentence | None:
    if answered.since(session, now - timedelta(days=1), delivery) >= PER_LETTER:
        return Sentence("there are too many answers to one letter")
    if answered.since(session, now - timedelta(hours=1)) >= PER_HOUR:
        return Sentence("there are too many answers at once")
    return None
