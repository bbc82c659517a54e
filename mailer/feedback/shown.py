"""A mail that came back, as a page shows it: headers and parts as text, nothing of it ever run. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.feedback import mime

HEADERS_SHOWN = 20_000  # characters
TEXT_SHOWN = 40_000  # characters of one part


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a mail. ``text`` "": it is no text, and only its ``kind`` is told."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A mail as text: its own headers, then its parts in order."""

    headers: str
    pieces: tuple[Piece, ...]


def read(raw: bytes) -> Shown:
    """Return any bytes as a page shows them; time and memory are bounded by ``mime``."""
    if is_json(raw):
        return Shown("", (Piece("application/json", raw[:TEXT_SHOWN].decode(errors="replace")),))
    message = mime.read(raw)
    headers = message.source[: message.start].strip()[:HEADERS_SHOWN]
    return Shown(headers, tuple(_piece(part) for part in mime.parts_of(message)))


def is_json(raw: bytes) -> bool:
    """Tell whether a provider's post is what was kept, and no mail."""
    return raw[:1] == b"{"


def _piece(part: mime.Part) -> Piece:
    text = part.text(TEXT_SHOWN) if part.kind.startswith(("text/", "message/")) else ""
    return Piece(part.kind, text.replace("\x00", "").strip()[:TEXT_SHOWN])
