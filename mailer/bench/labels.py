"""A labelled corpus: what people say that mails and replies are, to hold against what we say.

Both files are tab-separated; a line that begins with "#" is a comment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mailer.errors import MailerError

_SHA1 = 12  # hexadecimal digits by which labels name a message


class Unlabelled(MailerError):
    """The labels do not fit the folder."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What one mail is. What its labeller left open is empty, None for ``dead``.

    ``recipients`` holds, for each failed mailbox, the names it may be given, in lower case.
    ``categories`` holds those that are right, one or several.
    """

    sha1: str
    file: str
    kind: str
    recipients: tuple[frozenset[str], ...]
    categories: frozenset[str]
    dead: bool | None


@dataclass(frozen=True, slots=True)
class LabelledReply:
    """An SMTP reply as the MX of ``provider`` gives it, and what it means."""

    provider: str
    mx: str
    reply: str
    category: str
    dead: bool


def read_labels(path: Path) -> list[Labels]:
    """Read lines of sha1, file, kind, recipients, category, status, dead.

    :raises Unlabelled: a line has not seven columns
    """
    return [_labels(fields) for fields in _rows(path, 7)]


def read_replies(path: Path) -> list[LabelledReply]:
    """Read lines of provider, MX, reply, category, dead.

    :raises Unlabelled: a line has not five columns
    """
    return [
        LabelledReply(provider, mx, reply, category, dead == "1")
        for provider, mx, reply, category, dead in _rows(path, 5)
    ]


def read_mails(folder: Path, labels: list[Labels]) -> list[tuple[Labels, bytes]]:
    """Return each labelled mail of ``folder``: the hash of its bytes says which it is, not its name.

    :raises Unlabelled: a mail that is labelled is not there
    """
    contents = {
        hashlib.sha1(raw, usedforsecurity=False).hexdigest()[:_SHA1]: raw
        for raw in (path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    }
    missing = [one.file for one in labels if one.sha1 not in contents]
    if missing:
        raise Unlabelled(
            "{folder} lacks {count} of the mails that are labelled, {first} among them: "
            "give the folder the labels were made for.",
            folder=folder,
            count=len(missing),
            first=missing[0],
        )
    return [(one, contents[one.sha1]) for one in labels]


def _labels(fields: list[str]) -> Labels:
    sha1, file, kind, recipients, category, _, dead = fields
    return Labels(
        sha1=sha1,
        file=file,
        kind=kind,
        recipients=tuple(frozenset(one.lower().split("|")) for one in recipients.split(",") if one),
        categories=frozenset(category.split("|")) if category else frozenset(),
        dead={"1": True, "0": False}.get(dead),
    )


def _rows(path: Path, columns: int) -> Iterator[list[str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != columns:
            raise Unlabelled(
                "Line {number} of {path} has {found} columns instead of {columns}: separate them with tabs.",
                number=number,
                path=path,
                found=len(fields),
                columns=columns,
            )
        yield fields
