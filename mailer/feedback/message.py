"""What came back: one mail in, its kind and whom it speaks of out. Pure, bounded, never raises.

Machine-readable parts are believed first (RFC 3464 delivery status, RFC 5965 complaint), then the headers
systems mark their answers with (RFC 3834), then the sentences. A mail that nothing speaks for is ordinary:
a person wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailer.diagnosis import (
    Category,
    Diagnosis,
    OwnRule,
    best_status,
    command_within,
    diagnose,
    provider_of,
    read_reply,
)
from mailer.feedback import mime, notification, prose, signs
from mailer.feedback.kind import Kind
from mailer.feedback.mime import Headers, Part
from mailer.feedback.report import Fate, address_in, read_fates, read_feedback

__all__ = ["Addresses", "FailedRecipient", "Kind", "Returned", "addresses_to", "classify"]

_RECEIVED_FOR = re.compile(r"\bfor <?([^\s<>;@]{1,128}@[\w.-]{1,255})>?")  # RFC 5321 §4.4
_SPOKEN = re.compile(r"(?<![\d.\w-])[45]\d\d[ ,:-](?:#?[45]\.\d{1,3}\.\d{1,3}\b)?(?=[^\d\n])")
_WHOLE_NOTICE_FOR = 20  # recipients; past that a notice is a list, and each line must speak for itself
_SAID_LIMIT = 4_000  # characters of a notice read for one recipient
_SMTP_WORDS = 800  # characters of a reply quoted in a notice


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """One address a mail speaks of, and the diagnosis of what it says.

    ``address`` is the name last tried, ``original`` the one first written to ("" if the mail tells only one).
    ``diagnostic`` are the remote system's words, 1,000 characters at most; ``remote_mta`` who spoke, or "".
    ``reason`` names the rule that decided.
    """

    address: str
    category: Category
    status: str
    permanent: bool
    dead: bool
    diagnostic: str
    remote_mta: str
    original: str = ""
    reason: str = ""


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
class Addresses:
    """Where a token may be found: whom the mail came to, and what the letter it returns was sent under."""

    delivered_to: tuple[str, ...]
    original_return_path: str | None
    original_message_id: str | None


@dataclass(slots=True)
class _Reading:
    """One mail, its leaves sorted by what they are for."""

    message: Part
    notice: str  # what a person would read, without the returned letter
    fates: list[Fate]
    feedback: dict[str, list[str]] | None
    original: Headers
    own: Sequence[OwnRule] = ()

    @property
    def headers(self) -> Headers:
        return self.message.headers


def classify(raw: bytes, own: Sequence[OwnRule] = ()) -> Returned:
    """Say what ``raw`` is. Any bytes will do; nothing is raised; time and memory are bounded by ``mime``.

    ``own`` are rules of the house, asked before what the tables know.
    """
    return _classify(mime.read(raw), own, depth=0)


def addresses_to(raw: bytes) -> Addresses:
    """Return the addresses of a mail in which a signed token may stand."""
    message = mime.read(raw)
    reading = _read(message)
    to: list[str] = []
    for name in ("x-original-to", "delivered-to", "envelope-to", "x-envelope-to", "to", "cc"):
        for value in message.headers.all(name)[:20]:
            to.extend(found[0] for found in prose.ADDRESS.finditer(value[:4_000]))
    return Addresses(tuple(dict.fromkeys(to)), _return_path(reading), _message_id(reading))


def _classify(message: Part, own: Sequence[OwnRule], depth: int) -> Returned:
    reading = _read(message)
    reading.own = own
    if reading.feedback is not None or "x-hmxmroriginalrecipient" in reading.original:
        return _complaint(reading)  # the latter: Microsoft's JMRP sends the letter alone
    if told := notification.read(reading.notice):
        return Returned(told.kind, tuple(_of_notified(one, own) for one in told.recipients), told.message_id)
    mail = signs.Mail(message.headers, reading.notice)
    if signs.is_challenge(mail):  # before the status part: some filters send one to look official
        return _told(reading, Kind.CHALLENGE)
    if returned := _status_report(reading):
        return returned
    if signs.is_auto_reply(mail):
        return _told(reading, Kind.AUTO_REPLY)
    if depth < 2 and (within := _enclosed(message, own, depth)):
        return within
    if signs.is_delay(mail):
        return _told(reading, Kind.DELAY, _from_notice(reading, delayed=True))
    if signs.is_failure(mail):
        return _told(reading, Kind.BOUNCE, _from_notice(reading, delayed=False))
    return Returned(Kind.ORDINARY)


# -- taking a mail apart ----------------------------------------------------------------------------------


def _read(message: Part) -> _Reading:
    reading = _Reading(message, "", [], None, Headers())
    plain: list[str] = []
    rich: list[str] = []
    for part in mime.parts_of(message):
        match part.kind:
            case "message/delivery-status" | "message/global-delivery-status":
                reading.fates.extend(read_fates(part.text(mime.STATUS_LIMIT)))
            case "message/feedback-report":
                reading.feedback = read_feedback(part.text())
            case "message/rfc822" | "text/rfc822-headers" | "message/global" | "message/global-headers":
                if not len(reading.original):
                    reading.original = mime.inner(part).headers
            case "text/plain" if plain and _is_attachment(part):
                if not len(reading.original):
                    reading.original = _headers_within(part.text())
            case "text/html":
                rich.append(part.text())
            case kind if kind.startswith(("text/", "multipart/", "message/delivery")):
                if not len(reading.original):
                    plain.append(part.text())
    text = "\n\n".join(plain)
    if not text.strip() or (len(text) < 400 and "@" not in text):
        text = "\n\n".join([text, *rich])
    if not reading.fates and (at := text.lower().find("final-recipient")) >= 0:
        reading.fates.extend(read_fates(text[max(text.lower().rfind("reporting-mta", 0, at), 0) :]))
    reading.notice, returned = prose.split_notice(text)
    if returned and not len(reading.original):
        reading.original = _headers_within(returned)
    return reading


def _is_attachment(part: Part) -> bool:
    return part.headers.get("content-disposition")[:10].lower() == "attachment"


def _headers_within(returned: str) -> Headers:
    """Read the header block of a letter that is quoted as plain text."""
    found = re.search(r"^(?:[\w-]+:[ \t].*\n(?:[ \t].*\n)*){3,}", returned + "\n", re.MULTILINE)
    return mime.read_headers(found[0], 0, len(found[0]))[0] if found else Headers()


def _enclosed(message: Part, own: Sequence[OwnRule], depth: int) -> Returned | None:
    """Read a report that was forwarded whole: a wrapper's own words say nothing, its enclosure does."""
    for part in mime.parts_of(message):
        if part.kind == "message/rfc822":
            enclosed = mime.inner(part)
            if enclosed.kind in ("multipart/report", "multipart/mixed", "text/plain"):
                returned = _classify(enclosed, own, depth + 1)
                if returned.kind in (Kind.BOUNCE, Kind.DELAY, Kind.COMPLAINT) and _is_report(enclosed):
                    return returned
    return None


def _is_report(message: Part) -> bool:
    return (
        message.kind == "multipart/report"
        and "delivery-status" in message.headers.get("content-type").lower()
    )


# -- what each kind says ----------------------------------------------------------------------------------


def _complaint(reading: _Reading) -> Returned:
    fields = reading.feedback or {}
    kind = next(iter(fields.get("feedback-type", [])), "").lower() or None
    named = [address_in(value) for value in fields.get("original-rcpt-to", [])]
    named += [address_in(value) for value in fields.get("removal-recipient", [])]
    named += reading.original.all("x-hmxmroriginalrecipient")[:5]
    if not any(named) and (to := _sole_recipient(reading.original)):
        named = [to]
    about = Diagnosis(Category.COMPLAINT, "", False, False, None, "feedback report")
    recipients = [_recipient(address, about, "", "") for address in dict.fromkeys(named) if "@" in address]
    returned = _told(reading, Kind.COMPLAINT, recipients)
    return Returned(
        returned.kind,
        returned.recipients,
        returned.original_message_id or _first(fields.get("original-message-id")),
        returned.original_return_path or _first(fields.get("original-mail-from")),
        returned.original_recipient,
        kind,
    )


def _status_report(reading: _Reading) -> Returned | None:
    """Read a delivery-status part, or return None when there is none that tells a recipient's fate."""
    told = [fate for fate in reading.fates if fate.address or _failed(fate)]
    _name_the_nameless(reading, told)
    told = [fate for fate in told if fate.address]
    if not told:
        return None
    arrived = ("deliver", "relay", "expand")
    missing = [fate for fate in told if not fate.action.startswith(arrived)]
    if not missing:
        return _told(reading, Kind.DELIVERED, _judged(reading, told))
    kind = Kind.BOUNCE if any(_failed(fate) for fate in missing) else Kind.DELAY
    return _told(reading, kind, _judged(reading, missing))


def _name_the_nameless(reading: _Reading, fates: list[Fate]) -> None:
    """Give pipes, files and empty fields the address that led there, if the mail tells it."""
    nameless = [fate for fate in fates if "@" not in fate.address or fate.address.startswith(("|", "/"))]
    if not nameless:
        return
    header = [address_in(v) for line in reading.headers.all("x-failed-recipients") for v in line.split(",")]
    named = header or [one.address for one in _named(reading)]
    for fate, name in zip(nameless, named, strict=False):
        fate.original, fate.final = fate.original or fate.final, name


def _failed(fate: Fate) -> bool:
    """RFC 3464 §2.3.3 knows five actions; others in use ("error", "expired") mean failed."""
    if fate.action:
        return not fate.action.startswith(("delay", "deliver", "relay", "expand"))
    return fate.status.startswith(("4", "5")) or bool(fate.diagnostic)


def _judged(reading: _Reading, fates: list[Fate]) -> list[FailedRecipient]:
    recipients = []
    for fate in fates:
        delayed = not _failed(fate)
        around = reading.notice if len(fates) == 1 else ""
        diagnosis = _diagnosis(
            fate.diagnostic, fate.status, fate.remote_mta, fate.address, reading.own, around
        )
        words = fate.diagnostic
        if diagnosis.category is Category.UNKNOWN or (not words and diagnosis.status.endswith(".0.0")):
            words = _said_of(reading.notice, fate.address)
            closer = _diagnosis(words, fate.status, fate.remote_mta, fate.address, reading.own)
            diagnosis = closer if closer.category is not Category.UNKNOWN else diagnosis
        recipients.append(_recipient(fate.address, diagnosis, words, fate.remote_mta, delayed, fate.original))
    return recipients


def _from_notice(reading: _Reading, *, delayed: bool) -> list[FailedRecipient]:
    recipients = []
    named = _named(reading)
    if len(named) == 1 and "\n<<< " in reading.notice:  # a transcript: the reply stands above the address
        named = [prose.Named(named[0].address, reading.notice)]
    for one in named:
        around = reading.notice if len(named) == 1 else ""
        diagnosis = _diagnosis(one.words, "", "", one.address, reading.own, around)
        if diagnosis.category is Category.UNKNOWN and len(named) <= _WHOLE_NOTICE_FOR:
            diagnosis = _diagnosis(reading.notice, diagnosis.status, "", one.address, reading.own)
        recipients.append(_recipient(one.address, diagnosis, one.words, "", delayed))
    return recipients


def _named(reading: _Reading) -> list[prose.Named]:
    """Return whom the notice names, in its words or, as Exim and Gmail do, in a header of their own."""
    header = [address_in(v) for line in reading.headers.all("x-failed-recipients") for v in line.split(",")]
    if header := [address for address in dict.fromkeys(header) if address]:
        return [prose.Named(one, _said_of(reading.notice, one)) for one in header[: prose.RECIPIENT_LIMIT]]
    own = signs.own_addresses(reading.headers)
    named = prose.recipients_named(reading.notice, own)
    if not named and (to := _envelope_recipient(reading.original)) and to.lower() not in own:
        named = [prose.Named(to, reading.notice)]
    return named


def _said_of(notice: str, address: str) -> str:
    """Return what the notice says from where it names ``address``, or from its start."""
    at = max(notice.lower().find(address.lower()), 0)
    return notice[at : at + _SAID_LIMIT]


def _diagnosis(
    words: str, status: str, remote_mta: str, address: str, own: Sequence[OwnRule], around: str = ""
) -> Diagnosis:
    """Judge what is said of one address; a reply quoted in it is heard before the sentences around it.

    ``around`` is the notice, which may tell what a status part leaves out: the command that was refused.
    """
    provider = (provider_of(remote_mta) if remote_mta else None) or provider_of(address)
    command = command_within(words) or command_within(around)
    quoted = _SPOKEN.search(words)
    texts = (
        [words[quoted.start() : quoted.start() + _SMTP_WORDS].partition("\n\n")[0], words]
        if quoted
        else [words]
    )
    for text in texts:
        reply = read_reply(text)
        diagnosis = diagnose(
            provider=provider,
            code=reply.code,
            status=best_status(status, reply.status),
            text=reply.text,
            command=command,
            heard=False,
            own=own,
        )
        if diagnosis.category is not Category.UNKNOWN:
            break
    return diagnosis


def _of_notified(one: notification.Notified, own: Sequence[OwnRule]) -> FailedRecipient:
    if one.complaint:
        return _recipient(one.address, Diagnosis(Category.COMPLAINT, "", False, False, None, "SES"), "", "")
    diagnosis = _diagnosis(one.diagnostic, one.status, one.remote_mta, one.address, own)
    return _recipient(one.address, diagnosis, one.diagnostic, one.remote_mta, one.delivered)


def _recipient(
    address: str, diagnosis: Diagnosis, words: str, remote_mta: str, delayed: bool = False, original: str = ""
) -> FailedRecipient:
    return FailedRecipient(
        address=address,
        category=diagnosis.category,
        status=diagnosis.status,
        permanent=diagnosis.permanent and not delayed,
        dead=diagnosis.dead and not delayed,
        diagnostic=" ".join(words[:1_000].split()),
        remote_mta=remote_mta,
        original="" if original == address else original,
        reason=diagnosis.reason,
    )


def _told(reading: _Reading, kind: Kind, recipients: list[FailedRecipient] | None = None) -> Returned:
    return Returned(
        kind,
        tuple(recipients or ()),
        _message_id(reading),
        _return_path(reading),
        _sole_recipient(reading.original),
    )


# -- the letter it returns --------------------------------------------------------------------------------


def _message_id(reading: _Reading) -> str | None:
    if told := reading.original.get("message-id")[:998].strip():
        return told
    answered = reading.headers.get("in-reply-to") or reading.headers.get("references").rpartition(" ")[2]
    return answered[:998].strip() or None


def _return_path(reading: _Reading) -> str | None:
    for name in ("return-path", "x-envelope-from", "envelope-from"):
        if found := prose.ADDRESS.search(reading.original.get(name)[:1_000]):
            return found[0]
    return None


def _sole_recipient(original: Headers) -> str | None:
    to = {found[0] for found in prose.ADDRESS.finditer(original.get("to")[:2_000])}
    return to.pop() if len(to) == 1 else None


def _envelope_recipient(original: Headers) -> str | None:
    """Return whom the letter was sent to: the last host's "for", else its only To unless that is a list."""
    if found := _RECEIVED_FOR.search(original.get("received")[:2_000]):
        return found[1]
    if any(name in original for name in ("list-id", "x-beenthere", "newsgroups", "list-post")):
        return None
    return _sole_recipient(original)


def _first(values: list[str] | None) -> str | None:
    return values[0] if values and values[0] else None
