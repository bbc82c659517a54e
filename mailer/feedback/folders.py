"""Folders of mail on disk: single files, mbox (RFC 4155) and Maildir.

A folder's files are read in the order of their names, whatever they are called; of a Maildir what is still
being written (``tmp``) is left out. An mbox is read line by line: it may be larger than memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_LIMIT = 20 * 1024 * 1024  # octets of one mail; of a longer one the beginning
_POSTMARK = re.compile(  # "From ann@example.org Fri Nov 20 12:00:00 2026", RFC 4155 appendix A
    rb"From \S+ +(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) +[A-Z][a-z]{2} +\d{1,2} +\d\d:\d\d(?::\d\d)?"
    rb"(?: +\S+)? +\d{4}(?: +[-+]\d{4})?\s*$"
)
_QUOTED = re.compile(rb">+From ")


def mails(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each mail with its name, relative to ``path``; those of an mbox are numbered, ``inbox:3``.

    :raises OSError: something cannot be read
    """
    if not path.is_dir():
        yield from _of_file(path, path.name)
        return
    for file in sorted(path.rglob("*")):
        if file.is_file() and not _unfinished(file):
            yield from _of_file(file, file.relative_to(path).as_posix())


def _unfinished(file: Path) -> bool:
    folder = file.parent
    return folder.name == "tmp" and (folder.parent / "cur").is_dir()


def _of_file(file: Path, name: str) -> Iterator[tuple[str, bytes]]:
    with file.open("rb") as stream:
        first = stream.readline(1_000)
        if not _POSTMARK.match(first):
            yield name, (first + stream.read(_LIMIT))[:_LIMIT]
            return
        for number, mail in enumerate(_of_mbox(stream), 1):
            yield f"{name}:{number}", mail


def _of_mbox(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the mails of an mbox whose first line is read: one begins at a postmark after an empty line."""
    mail, blank = bytearray(), False
    for line in lines:
        if blank and _POSTMARK.match(line):
            yield bytes(mail)
            mail.clear()
        elif len(mail) < _LIMIT:
            mail += line[1:] if _QUOTED.match(line) else line
        blank = not line.strip(b"\r\n")
    yield bytes(mail)
