"""The outbox: letters the built-in listener caught, kept in a file of their own.

``data/outbox.db`` is separate from the ledger on purpose: it is the receiving side's own count, so that
"accepted" can be checked against something that the sending side did not write.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from typing import Any

from mailer.database import private_file, private_folder
from mailer.errors import NotFound

PAGE_SIZE = 50  # letters on a page of the listing
_SUBJECT_LIMIT = 400  # characters kept for the listing; the letter has it all
_HEADERS_LIMIT = 65_536  # octets in which the subject is looked for
_SUBJECT = re.compile(r"^Subject:[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE | re.MULTILINE)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS letters (
    id INTEGER PRIMARY KEY,
    received_at TEXT NOT NULL,
    mail_from TEXT NOT NULL,
    rcpt_to TEXT NOT NULL,
    subject TEXT NOT NULL,
    size INTEGER NOT NULL,
    content BLOB NOT NULL
)
"""
_INSERT = (
    "INSERT INTO letters (received_at, mail_from, rcpt_to, subject, size, content) VALUES (?, ?, ?, ?, ?, ?)"
)
_COLUMNS = "id, received_at, mail_from, rcpt_to, subject, size"
_MATCHES = r"(rcpt_to LIKE :like ESCAPE '\' OR subject LIKE :like ESCAPE '\')"


class NoSuchLetter(NotFound):
    """The outbox has no such letter: go back to its list and choose one."""


@dataclass(frozen=True, slots=True)
class Caught:
    """One caught letter as the listing shows it; ``size`` in octets, ``mail_from`` "" for the null sender."""

    id: int
    received_at: datetime
    mail_from: str
    rcpt_to: str
    subject: str
    size: int


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that came with a letter; ``size`` in octets."""

    file_name: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Parts:
    """A letter taken apart for showing. ``html`` is as it came: show it in a sandboxed frame only.

    ``html`` and ``text`` are None when the letter has no such part.
    """

    headers: tuple[tuple[str, str], ...]
    html: str | None
    text: str | None
    attachments: tuple[Attached, ...]


class Outbox:
    """The caught letters of one data folder. May be used from any thread, and from several processes."""

    def __init__(self, data_folder: Path) -> None:
        private_folder(data_folder)
        private_file(data_folder / "outbox.db")
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            data_folder / "outbox.db", timeout=30, check_same_thread=False, isolation_level=None
        )
        # NORMAL: a committed letter outlives the process; only a power cut may take the last ones
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", _SCHEMA):
            self._ask(statement)

    def record(self, *, received_at: datetime, mail_from: str, recipients: list[str], content: bytes) -> None:
        """Keep one letter, a row for each recipient; once this returns it is stored."""
        packed = zlib.compress(content, 1)
        about = (_subject(content), len(content), packed)
        rows = [(received_at.astimezone(UTC).isoformat(), mail_from, to, *about) for to in recipients]
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(_INSERT, rows)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise

    def count(self, search: str = "") -> int:
        """Return how many letters were caught, or how many of them match ``search``."""
        where = f" WHERE {_MATCHES}" if search else ""
        [(count,)] = self._ask(f"SELECT count(*) FROM letters{where}", {"like": _like(search)})  # noqa: S608  constants
        return int(count)

    def listing(self, search: str = "", page: int = 1) -> list[Caught]:
        """Return a page of caught letters, newest first; ``search`` looks in recipients and subjects."""
        rows = self._ask(
            f"SELECT {_COLUMNS} FROM letters WHERE {_MATCHES} ORDER BY id DESC LIMIT :size OFFSET :skip",  # noqa: S608
            {"like": _like(search), "size": PAGE_SIZE, "skip": (max(page, 1) - 1) * PAGE_SIZE},
        )
        return [Caught(row[0], datetime.fromisoformat(row[1]), *row[2:]) for row in rows]

    def letter(self, letter_id: int) -> bytes:
        """Return a letter exactly as it came.

        :raises NoSuchLetter: no letter has that number
        """
        rows = self._ask("SELECT content FROM letters WHERE id = :id", {"id": letter_id})
        if not rows:
            raise NoSuchLetter
        return zlib.decompress(rows[0][0])

    def parts(self, letter_id: int) -> Parts:
        """Return a letter taken apart.

        :raises NoSuchLetter: no letter has that number
        """
        return taken_apart(self.letter(letter_id))

    def forget(self, addresses: Iterable[str]) -> None:
        """Drop the letters to an address, whatever its spelling."""
        for address in addresses:
            self._ask("DELETE FROM letters WHERE lower(rcpt_to) = lower(:to)", {"to": address})

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _ask(self, statement: str, values: dict[str, Any] | None = None) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values or {}).fetchall()


def taken_apart(content: bytes) -> Parts:
    """Take any message apart; what cannot be decoded is shown as well as it can be."""
    message = message_from_bytes(content)
    bodies: dict[str, str] = {}
    attached = []
    for part in message.walk():
        kind = part.get_content_type()
        if part.is_multipart():
            continue
        if kind in ("text/html", "text/plain") and not part.get_filename() and kind not in bodies:
            bodies[kind] = _text(part)
        else:
            attached.append(Attached(part.get_filename() or "", kind, len(_octets(part))))
    headers = tuple((name, _shown(str(value))) for name, value in message.items())
    return Parts(headers, bodies.get("text/html"), bodies.get("text/plain"), tuple(attached))


def _octets(part: Message) -> bytes:
    body = part.get_payload(decode=True)
    return body if isinstance(body, bytes) else b""


def _text(part: Message) -> str:
    charset = part.get_content_charset() or "utf-8"
    try:
        return _octets(part).decode(charset, errors="replace")
    except (LookupError, UnicodeError):
        return _octets(part).decode("utf-8", errors="replace")


def _subject(content: bytes) -> str:
    block = re.split(rb"\r?\n\r?\n", content[:_HEADERS_LIMIT], maxsplit=1)[0]
    found = _SUBJECT.search(block.decode("utf-8", errors="replace"))
    return _shown(found[1])[:_SUBJECT_LIMIT] if found else ""


def _shown(value: str) -> str:
    """Unfold a header and decode its encoded words (RFC 2047)."""
    unfolded = re.sub(r"\r?\n[ \t]", " ", value).strip()
    try:
        text = str(make_header(decode_header(unfolded)))
    except (HeaderParseError, LookupError, ValueError):
        text = unfolded
    return text.encode(errors="replace").decode()


def _like(search: str) -> str:
    return "%" + re.sub(r"([%_\\])", r"\\\1", search.strip()) + "%"
