"""What came back: one mail in, its kind and whom it speaks of out. Pure, bounded, never raises.

Machine-readable parts are believed first (RFC 3464 delivery status, RFC 5965 complaint), then the headers
systems mark their answers with (RFC 3834), then the sentences. A mail that nothing speaks for is ordinary:
a person wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailer.diagnosis import Category, Diagnosis, OwnRule
from mailer.feedback import judging, mime, notification, prose, reading, signs
from mailer.feedback.judging import FailedRecipient
from mailer.feedback.kind import Kind
from mailer.feedback.mime import Headers, Part
from mailer.feedback.notification import Notification, Notified
from mailer.feedback.reading import Reading
from mailer.feedback.report import Fate, address_in

__all__ = ["Addresses", "FailedRecipient", "Kind", "Mail", "Returned", "classify", "take_in"]

_FORWARDS = 2  # how deep a report is looked for in mail that was forwarded
_JMRP = "x-hmxmroriginalrecipient"  # Microsoft's complaints are the letter alone, with this header


@dataclass(frozen=True, slots=True)
class Returned:
    """What a mail says. Ids and addresses of the letter it returns are None when it does not carry them."""

    kind: Kind
    recipients: tuple[FailedRecipient, ...] = ()
    original_message_id: str | None = None
    original_return_path: str | None = None
    original_recipient: str | None = None
    feedback_type: str | None = None  # RFC 5965 §3.1: abuse, fraud, virus, other, not-spam, opt-out …


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that was read once: its headers, where a token may be found, and what it says."""

    headers: Headers
    addresses: Addresses
    returned: Returned


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a token may be found: whom the mail came to, and what the letter it returns was sent under."""

    delivered_to: tuple[str, ...]
    original_return_path: str | None
    original_message_id: str | None


def take_in(raw: bytes, own: Sequence[OwnRule] = ()) -> Mail:
    """Read ``raw`` once, for all that is asked of it. Any bytes will do; nothing is raised.

    ``own`` are rules of the house, asked before what the tables know.
    """
    message = mime.read(raw)
    read = reading.read(message, own)
    addresses = _addresses(read)  # first: judging marks in ``read`` what it has used
    return Mail(message.headers, addresses, _judged(read, own, depth=0))


def classify(raw: bytes, own: Sequence[OwnRule] = ()) -> Returned:
    """Say what ``raw`` is. Any bytes will do; nothing is raised; time and memory are bounded by ``mime``.

    ``own`` as in ``take_in``.
    """
    return _classify(mime.read(raw), own, depth=0)


def _addresses(read: Reading) -> Addresses:
    """Return the addresses of a mail in which a signed token may stand."""
    to: list[str] = []
    for name in ("x-original-to", "delivered-to", "envelope-to", "x-envelope-to", "to", "cc"):
        for value in read.headers.all(name)[:20]:
            to.extend(found[0] for found in prose.ADDRESS.finditer(value[:4_000]))
    return Addresses(tuple(dict.fromkeys(to)), read.return_path, read.message_id)


def _classify(message: Part, own: Sequence[OwnRule], depth: int) -> Returned:
    return _judged(reading.read(message, own), own, depth)


def _judged(read: Reading, own: Sequence[OwnRule], depth: int) -> Returned:
    message = read.message
    if read.feedback is not None or _JMRP in read.original:
        return _complaint(read)
    if told := notification.read(read.notice):
        return _notified(told, own)
    mail = signs.Mail(message.headers, read.notice, returns=bool(read.original))
    if mail.is_answer and not message.kind.startswith("multipart/"):
        read.fates = []  # quoted
    if signs.is_challenge(mail):  # before the status part: some filters send one to look official
        return _told(read, Kind.CHALLENGE)
    if returned := _status_report(read):
        return returned
    if signs.is_auto_reply(mail):
        return _told(read, Kind.AUTO_REPLY)
    if depth < _FORWARDS and (within := _enclosed(read, depth) or _pasted(read, mail, depth)):
        return within
    if signs.is_delay(mail):
        return _told(read, Kind.DELAY, judging.of_notice(read, delayed=True))
    if signs.is_failure(mail):
        return _told(read, Kind.BOUNCE, judging.of_notice(read, delayed=False))
    return _told(read, Kind.AUTO_REPLY) if read.is_receipt else Returned(Kind.ORDINARY)


def _enclosed(read: Reading, depth: int) -> Returned | None:
    """Read a report that was forwarded whole: a wrapper's own words say nothing, its enclosure does."""
    for part in mime.parts_of(read.message):
        if part.kind == "message/rfc822":
            enclosed = mime.inner(part)
            if enclosed.kind in ("multipart/report", "multipart/mixed", "text/plain"):
                returned = _classify(enclosed, read.own, depth + 1)
                if returned.kind in (Kind.BOUNCE, Kind.DELAY, Kind.COMPLAINT) and _is_report(enclosed):
                    return returned
    return None


def _pasted(read: Reading, mail: signs.Mail, depth: int) -> Returned | None:
    """Read a report that a person forwards as text."""
    if not mail.is_forward or (message := reading.forwarded(read)) is None:
        return None
    returned = _classify(message, read.own, depth + 1)
    return returned if returned.kind in (Kind.BOUNCE, Kind.DELAY) and returned.recipients else None


def _is_report(message: Part) -> bool:
    return (
        message.kind == "multipart/report"
        and "delivery-status" in message.headers.get("content-type").lower()
    )


def _complaint(read: Reading) -> Returned:
    fields = read.feedback or {}
    kind = next(iter(fields.get("feedback-type", [])), "").lower() or None
    named = [address_in(value) for value in fields.get("original-rcpt-to", [])]
    named += [address_in(value) for value in fields.get("removal-recipient", [])]
    named += read.original.all(_JMRP)[:5]
    if not any(named) and (to := read.sole_recipient):
        named = [to]
    people = [_complaining(one, "feedback report") for one in dict.fromkeys(named) if "@" in one]
    return Returned(
        Kind.COMPLAINT,
        tuple(people),
        read.message_id or _first(fields.get("original-message-id")),
        read.return_path or _first(fields.get("original-mail-from")),
        read.sole_recipient,
        kind,
    )


def _status_report(read: Reading) -> Returned | None:
    """Read a delivery-status part, or return None when there is none that tells a recipient's fate."""
    told = [fate for fate in read.fates if fate.address or fate.failed]
    _name_the_nameless(read, told)
    told = [fate for fate in told if fate.address]
    if not told:
        return None
    missing = [fate for fate in told if not fate.arrived]
    if not missing:
        return _told(read, Kind.DELIVERED, judging.of_fates(read, told))
    kind = Kind.BOUNCE if any(fate.failed for fate in missing) else Kind.DELAY
    return _told(read, kind, judging.of_fates(read, missing))


def _name_the_nameless(read: Reading, fates: list[Fate]) -> None:
    """Give pipes, files and empty fields the address that led there, if the mail tells it."""
    nameless = [fate for fate in fates if "@" not in fate.address or fate.address.startswith(("|", "/"))]
    if not nameless:
        return
    people = judging.listed(read) or [one.address for one in judging.named(read)]
    for fate, name in zip(nameless, people, strict=False):
        fate.original, fate.final = fate.original or fate.final, name


def _notified(told: Notification, own: Sequence[OwnRule]) -> Returned:
    return Returned(told.kind, tuple(_of_notified(one, own) for one in told.recipients), told.message_id)


def _of_notified(one: Notified, own: Sequence[OwnRule]) -> FailedRecipient:
    if one.complaint:
        return _complaining(one.address, "SES")
    diagnosis = judging.judge(one.diagnostic, one.status, one.remote_mta, one.address, own=own)
    return judging.recipient(one.address, diagnosis, one.diagnostic, one.remote_mta, delayed=one.delivered)


def _complaining(address: str, reason: str) -> FailedRecipient:
    about = Diagnosis(Category.COMPLAINT, "", False, False, None, reason)
    return judging.recipient(address, about, "", "")


def _told(read: Reading, kind: Kind, recipients: Iterable[FailedRecipient] = ()) -> Returned:
    return Returned(kind, tuple(recipients), read.message_id, read.return_path, read.sole_recipient)


def _first(values: list[str] | None) -> str | None:
    return values[0] if values and values[0] else None
