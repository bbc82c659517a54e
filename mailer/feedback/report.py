"""The machine-readable parts of a report: delivery status (RFC 3464, 6533) and feedback (RFC 5965).

Both are header-like fields; both are read leniently, since half the systems that write them get a line
end, a blank line or a field wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailer.feedback.prose import ADDRESS

RECIPIENT_LIMIT = 1_000  # recipients read from one report; each of our letters has one

_FIELD = re.compile(r"^[ \t]{0,4}([A-Za-z][A-Za-z0-9-]{1,60})[ \t]*:[ \t]*(.*)$")
_ADDRESS_TYPE = re.compile(r"^\s*[\w/.-]{1,20}\s*;\s*")
_UNICODE_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 §3
_NEEDLESS_QUOTES = re.compile(r"^\"([\w.!#$%&'*+/=?^`{|}~-]+)\"@")  # RFC 5321 §4.1.2: the same mailbox
_XTEXT = re.compile(r"\+([0-9A-F]{2})")  # RFC 3461 §4
_MAILTO = re.compile(r"(?i)\bmailto:")
_TELLS_RECIPIENT = frozenset({"final-recipient", "original-recipient", "x-actual-recipient"})
_OPENS = _TELLS_RECIPIENT | {"action", "status"}
_KNOWN = _OPENS | {"diagnostic-code", "remote-mta"}


@dataclass(slots=True)
class Fate:
    """One recipient's block of a delivery-status part; fields absent in the mail are ""."""

    final: str = ""  # where it was last tried
    original: str = ""  # whom the sender wrote to
    actual: str = ""  # Exim's and Sendmail's third name, after aliases
    action: str = ""  # failed, delayed, delivered, relayed, expanded; lower case
    status: str = ""
    diagnostic: str = ""
    remote_mta: str = ""
    reporting_mta: str = ""

    @property
    def address(self) -> str:
        """The name that is an address, the one last tried before the one first written.

        A host inside the system that reports (ann@store1) is an address only where no other is told.
        """
        named = [name for name in (self.final, self.original, self.actual) if name]
        known = [name for name in named if "@" in name]
        public = (name for name in known if "." in name.rpartition("@")[2])
        return next(public, None) or (known or named or [""])[0]

    @property
    def arrived(self) -> bool:
        """Whether it went on: delivered, relayed or expanded (RFC 3464 §2.3.3)."""
        return self.action.startswith(("deliver", "relay", "expand"))

    @property
    def failed(self) -> bool:
        """RFC 3464 §2.3.3 knows five actions; others in use ("error", "expired") mean failed."""
        if self.action:
            return not (self.arrived or self.action.startswith("delay"))
        return self.status.startswith(("4", "5")) or bool(self.diagnostic)


def read_fates(text: str) -> list[Fate]:
    """Return the recipients of a delivery-status part, in order, RECIPIENT_LIMIT at most."""
    fates: list[Fate] = []
    current: dict[str, str] = {}
    reporting = ""
    closed = False
    for name, value in _fields(text):
        if not name:
            closed = bool(_TELLS_RECIPIENT & current.keys())
            continue
        if name == "reporting-mta":
            reporting = _ADDRESS_TYPE.sub("", value).strip()
        if name in _OPENS and (name in current or (closed and name in _TELLS_RECIPIENT)):
            _keep(fates, current, reporting)
            if len(fates) >= RECIPIENT_LIMIT:
                return fates
            current = {}
        closed = False
        current.setdefault(name, value)
    _keep(fates, current, reporting)
    return fates


def read_feedback(text: str) -> dict[str, list[str]]:
    """Return the fields of a feedback-report part, names in lower case (RFC 5965 §3)."""
    fields: dict[str, list[str]] = {}
    for name, value in _fields(text):
        if name and len(fields.setdefault(name, [])) < RECIPIENT_LIMIT:
            fields[name].append(value)
    return fields


def address_in(value: str) -> str:
    """Return the address of an "rfc822; <ann@example.org> (Ann)" field, else what stands there, or "".

    A pipe or a file, where Sendmail and Exim deliver to one, is left as it is.
    """
    value = _ADDRESS_TYPE.sub("", value).strip()
    if "<" in value and "@" in value[value.find("<") :]:
        value = value[value.find("<") + 1 :].partition(">")[0]
    value = _UNICODE_ESCAPE.sub(_unescaped, _MAILTO.sub("", value).strip(" \t<>'"))
    if "@" in value and not value.startswith(("|", "/")) and (found := ADDRESS.search(value)):
        value = _NEEDLESS_QUOTES.sub(r"\1@", found[0])
    return value[:320]


def _unescaped(found: re.Match[str]) -> str:
    point = int(found[1], 16)
    return chr(point) if 0x20 <= point < 0xD800 or 0xDFFF < point < 0x110000 else ""


def _keep(fates: list[Fate], fields: dict[str, str], reporting_mta: str) -> None:
    if not (_OPENS | {"diagnostic-code"}) & fields.keys():
        return  # the block about the whole message
    get = fields.get
    original = address_in(get("original-recipient", ""))
    fates.append(
        Fate(
            final=address_in(get("final-recipient", "")),
            original=_XTEXT.sub(lambda hex_: chr(int(hex_[1], 16)), original),
            actual=address_in(get("x-actual-recipient", "")),
            action=get("action", "").strip().lower(),
            status=_status(get("status", "")),
            diagnostic=_ADDRESS_TYPE.sub(
                "", get("diagnostic-code") or get("status", "").partition(" ")[2], count=1
            ),
            remote_mta=_ADDRESS_TYPE.sub("", get("remote-mta", "")).strip(),
            reporting_mta=reporting_mta,
        )
    )


def _status(value: str) -> str:
    found = re.search(r"\b([245])\s?\.\s?(\d{1,3})\s?\.\s?(\d{1,3})\b", value[:200])
    return ".".join(found.groups()) if found else ""


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, unfolded value); a blank line yields ("", "")."""
    name, value = "", ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name and line.strip() and not _known(line):
            if len(value) < 4_000:
                value += " " + line.strip()
            continue
        if name:
            yield name, value
        found = _FIELD.match(line)
        name, value = (found[1].lower(), found[2].strip()) if found else ("", "")
        if not line.strip():
            yield "", ""
    if name:
        yield name, value


def _known(line: str) -> bool:
    """Some systems indent the fields themselves: an indented known name is no continuation."""
    return ":" in line and line.partition(":")[0].strip().lower() in _KNOWN
