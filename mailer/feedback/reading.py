"""A mail taken apart: its leaves by what they are for, and the letter it returns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from mailer.diagnosis import OwnRule
from mailer.feedback import mime, prose
from mailer.feedback.mime import Headers, Part
from mailer.feedback.report import Fate, read_fates, read_feedback

_RECEIVED_FOR = re.compile(r"\bfor <?([^\s<>;@]{1,128}@[\w.-]{1,255})>?")  # RFC 5321 §4.4
_HEADER_BLOCK = re.compile(r"^(?:[\w-]+:[ \t].*\n(?:[ \t].*\n)*){3,}", re.MULTILINE)
_FORWARDED = re.compile(
    r"(?:^|\n)[-_ >]*(?:(?:begin )?forwarded message|original message|转发邮件|原始邮件)[-_ :]*\n"
    r"(?P<mail>(?:[> \t]*\n)*[> \t]{0,4}(?:from|subject|date|to|发件人):.*)",
    re.DOTALL | re.IGNORECASE,
)
_QUOTED = re.compile(r"^(?:> ?)+", re.MULTILINE)
_MARK = 200  # characters above the split in which the line may stand
_LISTS = ("list-id", "x-beenthere", "newsgroups", "list-post")
_THIN = 400  # characters; a plain part as short as that may only say "see the HTML"


@dataclass(slots=True)
class Reading:
    """One mail, its leaves sorted by what they are for."""

    message: Part
    notice: str = ""  # what a person would read, without the returned letter
    rest: str = ""  # what stands below, where the letter is quoted as text
    fates: list[Fate] = field(default_factory=list)
    feedback: dict[str, list[str]] | None = None
    original: Headers = field(default_factory=Headers)
    own: Sequence[OwnRule] = ()  # of the house, asked before what the tables know

    @property
    def headers(self) -> Headers:
        """Those of the mail itself."""
        return self.message.headers

    @property
    def is_receipt(self) -> bool:
        """Whether a mail program tells what became of the letter at its reader's (RFC 8098)."""
        return "disposition-notification" in self.headers.get("content-type").lower()

    @property
    def message_id(self) -> str | None:
        """The returned letter's Message-ID, else the one this mail answers; None if it tells neither."""
        if told := self.original.get("message-id")[:998].strip():
            return told
        answered = self.headers.get("in-reply-to") or self.headers.get("references").rpartition(" ")[2]
        return answered[:998].strip() or None

    @property
    def return_path(self) -> str | None:
        """Whom the returned letter was sent under; None if it does not tell."""
        for name in ("return-path", "x-envelope-from", "envelope-from"):
            if found := prose.ADDRESS.search(self.original.get(name)[:1_000]):
                return found[0]
        return None

    @property
    def sole_recipient(self) -> str | None:
        """The only address in the returned letter's To; None if there is none, or are several."""
        to = {found[0] for found in prose.ADDRESS.finditer(self.original.get("to")[:2_000])}
        return to.pop() if len(to) == 1 else None

    @property
    def envelope_recipient(self) -> str | None:
        """Whom the letter was sent to: the last host's "for", else its only To unless that is a list."""
        if found := _RECEIVED_FOR.search(self.original.get("received")[:2_000]):
            return found[1]
        return None if any(name in self.original for name in _LISTS) else self.sole_recipient


def read(message: Part, own: Sequence[OwnRule] = ()) -> Reading:
    """Take a message apart; ``own`` rules go with it to whoever judges."""
    reading = Reading(message, own=own)
    text = _texts(reading)
    if not reading.fates and "inal-" in text.lower():
        reading.fates = _fates_in_text(text)
    reading.notice, reading.rest = prose.split_notice(
        text[: prose.NOTICE_LIMIT] if reading.original else text
    )
    if reading.rest and not reading.original:
        reading.original = _headers_within(reading.rest)
    return reading


def forwarded(reading: Reading) -> Part | None:
    """Return the mail a person forwards as text, below a line that says so; None if there is none."""
    found = _FORWARDED.search(reading.notice[-_MARK:] + reading.rest[: prose.NOTICE_LIMIT])
    if not found:
        return None
    return mime.read(_QUOTED.sub("", found["mail"]).encode("utf-8", "replace"))


def _texts(reading: Reading) -> str:
    """File what machines read, and return what people read, up to the returned letter."""
    plain: list[str] = []
    rich: list[str] = []
    for part in mime.parts_of(reading.message):
        match part.kind:
            case "message/delivery-status" | "message/global-delivery-status":
                reading.fates.extend(read_fates(part.text(mime.STATUS_LIMIT)))
            case "message/feedback-report":
                reading.feedback = read_feedback(part.text())
            case "message/rfc822" | "text/rfc822-headers" | "message/global" | "message/global-headers":
                reading.original = reading.original or mime.inner(part).headers
            case "text/plain" if plain and _is_attachment(part):
                reading.original = reading.original or _headers_within(part.text())
            case "text/html":
                rich.append(part.text())
            case kind if kind.startswith(("text/", "multipart/", "message/delivery")):
                if not reading.original:
                    plain.append(part.text())
    text = "\n\n".join(plain)
    if not text.strip() or (len(text) < _THIN and "@" not in text):
        text = "\n\n".join([text, *rich])
    return text


def _fates_in_text(text: str) -> list[Fate]:
    """Read status fields that stand among the sentences."""
    lower = text.lower()
    at = lower.find("final-recipient")
    return read_fates(text[max(lower.rfind("reporting-mta", 0, at), 0) :]) if at >= 0 else []


def _is_attachment(part: Part) -> bool:
    return part.headers.get("content-disposition")[:10].lower() == "attachment"


def _headers_within(returned: str) -> Headers:
    """Read the header block of a letter that is quoted as plain text."""
    found = _HEADER_BLOCK.search(returned + "\n")
    return mime.read_headers(found[0], 0, len(found[0]))[0] if found else Headers()
