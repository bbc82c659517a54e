"""The letter: an edition encoded once, as bytes with slots, so that a reader's letter is little but a join.

A ``Blueprint`` is what approval freezes. Parts are quoted-printable with every slot on soft-broken lines of
its own, or base64 in three phases where that is shorter (mostly Chinese). No line begins with a dot, so
SMTP has nothing to stuff (RFC 5321 §4.5.2); all is 7-bit unless the reader's own address is not (RFC 6531).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache, cached_property
from html import escape
from itertools import chain, groupby
from typing import Literal

from mailer.content import slots
from mailer.content.compile import Compiled
from mailer.content.encoding import (
    Base64Body,
    Fill,
    Pattern,
    Pieces,
    Values,
    encode_quoted,
    line_of,
    mailbox,
    one_line,
    quoted_is_shorter,
    quoted_slot,
    quoted_value,
    token,
    unstructured,
)
from mailer.content.words import WORDS

# The header's slots; a Blueprint also needs those of ``content.slots`` that its edition uses.
TO_NAME = "to_name"  # display name, any script, may be empty
TO_ADDRESS = "to_address"  # addr-spec, domain as A-labels; a non-ASCII local part makes the header UTF-8
DATE = "date"  # RFC 5322 §3.3 date-time, as ``email.utils.format_datetime`` writes it
MESSAGE_ID = "message_id"  # with its angle brackets
SUBJECT = "subject"  # only when the heading leaves the subject open
UNSUBSCRIBE_MAIL = "unsubscribe_mail"  # address that a mail to it leaves, if the heading says there is one
_TO = "to"


@dataclass(frozen=True)
class Heading:
    """What the header says to every reader of an edition.

    ``subject`` None: it comes per reader, for trials of two subjects. ``list_id`` is a domain-like name
    (RFC 2919 §2), stable for the publication. ``feedback_id`` are up to four names joined by colons, by which
    Gmail groups complaints; empty: none. ``leave_by_mail``: whether readers may also leave by writing.
    """

    sender_name: str
    sender_address: str
    subject: str | None
    list_id: str
    list_name: str = ""
    reply_to: str = ""
    feedback_id: str = ""
    leave_by_mail: bool = False


@dataclass(frozen=True)
class Attachment:
    """A file that goes with every letter. ``media_type`` such as ``application/pdf``."""

    name: str
    media_type: str
    data: bytes


Kind = Literal["head", "quoted", "base64"]


@dataclass(frozen=True)
class Segment:
    """A run of the message: texts, and the slots between them. ``html`` says slot values are escaped.

    The texts of ``head`` and ``quoted`` are as they go on the wire, those of ``base64`` are not encoded yet.
    """

    kind: Kind
    texts: tuple[str, ...]
    slots: tuple[str, ...] = ()
    html: bool = False

    @property
    def escape(self) -> Callable[[str], str]:
        """What makes a slot's value fit to stand in the text."""
        return escape if self.html else str


@dataclass(frozen=True)
class Blueprint:
    """An edition's letter with slots. ``to_json`` is stable: equal blueprints give equal text."""

    segments: tuple[Segment, ...]

    @classmethod
    def build(cls, edition: Compiled, heading: Heading, attachments: Sequence[Attachment] = ()) -> Blueprint:
        """Encode an edition.

        :raises BadHeader: the sender's address, Reply-To or a name in the header cannot be written
        """
        text, html = _part("plain", edition.text), _part("html", edition.html)
        files = [_file(attachment) for attachment in attachments]
        seal = hashlib.sha256("".join((edition.text, edition.html, *files)).encode()).hexdigest()
        bodies = _multipart("alternative", seal[:20], [text, html])
        if files:
            bodies = _multipart("mixed", seal[20:40], [bodies, *([Segment("head", (it,))] for it in files)])
        language = f"Content-Language: {WORDS[edition.language].tag}\r\n"
        return cls(_merged([_head(heading), Segment("head", (language,)), *bodies]))

    @classmethod
    def from_json(cls, stored: str) -> Blueprint:
        """Read what ``to_json`` wrote."""
        return cls(
            tuple(
                Segment(it["kind"], tuple(it["texts"]), tuple(it["slots"]), it["html"])
                for it in json.loads(stored)["segments"]
            )
        )

    def to_json(self) -> str:
        """Return the blueprint as ASCII JSON."""
        return json.dumps({"segments": [vars(it) for it in self.segments]}, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """SHA-256 of the stored form, in hexadecimal: what an approver approves."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def names(self) -> frozenset[str]:
        """The values every letter needs."""
        found = {name for segment in self.segments for name in segment.slots}
        return frozenset(found - {_TO} | {TO_NAME, TO_ADDRESS})

    def bound(self, texts: Mapping[str, str]) -> Blueprint:
        """Return the blueprint with some slots filled for good, by texts that may hold slots themselves.

        In the header only addresses and identifiers can be bound.

        :raises BadHeader: a text could not stand in a header
        """
        return Blueprint(_merged(_bound(segment, texts) for segment in self.segments))

    def carrying(self, fields: str) -> Blueprint:
        """Return the blueprint with more header fields in front: whole lines, which may hold slots."""
        return Blueprint(_merged((_segment("head", fields), *self.segments)))

    def letter(self, values: Values) -> bytes:
        """Return a complete message (RFC 5322): CRLF line ends, no line of more than 998 octets.

        :raises KeyError, BadHeader: as ``pieces``
        """
        return bytes(self.pieces(values))

    def pieces(self, values: Values) -> Pieces:
        """Return a message that is to be joined when it leaves.

        :raises KeyError: a value named by ``names`` is missing
        :raises BadHeader: an address, date or identifier could not stand in a header
        """
        if len(self._writers) == 1:
            return self._writers[0](values)
        runs, octets = zip(*[write(values) for write in self._writers], strict=True)
        return Pieces(tuple(chain.from_iterable(runs)), sum(octets))

    @cached_property
    def _writers(self) -> tuple[Callable[[Values], Pieces], ...]:
        """Return one for every base64 body, and one for all that stands between two of them."""
        runs = groupby(self.segments, key=lambda segment: segment.kind == "base64")
        return tuple(_base64(*run) if is_base64 else _pattern(run) for is_base64, run in runs)


def _base64(segment: Segment) -> Callable[[Values], Pieces]:
    return Base64Body([text.encode() for text in segment.texts], segment.slots, segment.escape).write


def _pattern(run: Iterable[Segment]) -> Callable[[Values], Pieces]:
    texts, fills = [b""], list[Fill]()
    for segment in run:
        first, *rest = (text.encode() for text in segment.texts)
        texts[-1] += first
        texts += rest
        fills += [_fill(segment.kind, segment.escape, name) for name in segment.slots]
    return Pattern(texts, fills).write


@cache  # what fills the same slot of several parts is one function, and called once
def _fill(kind: Kind, escape: Callable[[str], str], name: str) -> Fill:
    if kind == "quoted":
        return quoted_slot(name, escape)
    return _FIELDS.get(name) or (lambda values: token(values[name]))


_FIELDS: Mapping[str, Fill] = {
    _TO: lambda values: mailbox(values[TO_NAME], values[TO_ADDRESS]).encode(),
    SUBJECT: lambda values: unstructured(values[SUBJECT]).encode(),
    DATE: lambda values: token(values[DATE], spaces=True),
}


def _bound(segment: Segment, bound: Mapping[str, str]) -> Segment:
    first, *rest = segment.texts
    texts, names = [first], list[str]()
    for name, text in zip(segment.slots, rest, strict=True):
        pieces, inner = slots.split(bound.get(name, slots.mark(name)))
        opening, *others = (_written(segment, piece) if piece else "" for piece in pieces)
        texts[-1] += opening
        texts += others
        texts[-1] += text
        names += inner
    return replace(segment, texts=tuple(texts), slots=tuple(names))


def _written(segment: Segment, text: str) -> str:
    """Return a slot's value as it stands in a segment's texts."""
    if segment.kind == "head":
        return token(text).decode()
    line = segment.escape(line_of(text))
    return quoted_value(line).decode() if segment.kind == "quoted" else line


def _head(heading: Heading) -> Segment:
    """Return the header down to where MIME begins."""
    subject = slots.mark(SUBJECT) if heading.subject is None else unstructured(heading.subject)
    fields = [
        ("From", mailbox(heading.sender_name, heading.sender_address)),
        ("Reply-To", mailbox("", heading.reply_to) if heading.reply_to else ""),
        ("To", slots.mark(_TO)),
        ("Subject", subject),
        ("Date", slots.mark(DATE)),
        ("Message-ID", slots.mark(MESSAGE_ID)),
        ("List-Id", mailbox(heading.list_name, heading.list_id, is_list=True)),
        ("List-Unsubscribe", _ways_to_leave(heading)),  # RFC 2369 §3.2
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),  # RFC 8058 §3.1
        ("Feedback-ID", unstructured(heading.feedback_id)),
        ("Precedence", "bulk"),  # RFC 3834 §2: tells vacation programs to be silent
        ("X-Auto-Response-Suppress", "OOF, AutoReply"),  # and Exchange, which looks for its own
        ("MIME-Version", "1.0"),
    ]
    return _segment("head", "".join(f"{name}: {value}\r\n" for name, value in fields if value))


def _ways_to_leave(heading: Heading) -> str:
    by_mail = f",\r\n <mailto:{slots.mark(UNSUBSCRIBE_MAIL)}>" if heading.leave_by_mail else ""
    return f"<{slots.mark(slots.UNSUBSCRIBE)}>{by_mail}"


def _part(subtype: str, body: str) -> list[Segment]:
    """Return a text part, its own header first, in whichever encoding is shorter."""
    quoted = quoted_is_shorter(body)
    head = (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {'quoted-printable' if quoted else 'base64'}\r\n\r\n"
    )
    texts, names = slots.split(body)
    if quoted:
        last = len(names)
        texts = [encode_quoted(text, ends=place == last) for place, text in enumerate(texts)]
    else:
        texts = [text.replace("\n", "\r\n") for text in texts]  # RFC 2045 §6.8: canonical form first
    kind: Kind = "quoted" if quoted else "base64"
    return [Segment("head", (head,)), Segment(kind, tuple(texts), tuple(names), html=subtype == "html")]


def _multipart(subtype: str, seal: str, parts: Iterable[list[Segment]]) -> list[Segment]:
    """Wrap parts. ``=_`` occurs neither in quoted-printable nor in base64: RFC 2045 §6.7."""
    boundary = f"=_{seal}"
    lead = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n'
    wrapped = [Segment("head", (lead,))]
    for part in parts:
        wrapped += [Segment("head", (f"--{boundary}\r\n",)), *part, Segment("head", ("\r\n",))]
    return [*wrapped, Segment("head", (f"--{boundary}--\r\n",))]


def _file(attachment: Attachment) -> str:
    """Return an attachment as a MIME part; the standard library writes RFC 2231 names."""
    part = EmailMessage(policy=SMTP)
    main, _, sub = attachment.media_type.partition("/")
    part.set_content(attachment.data, main, sub, disposition="attachment", filename=one_line(attachment.name))
    del part["MIME-Version"]
    return part.as_bytes().decode("ascii").removesuffix("\r\n")


def _segment(kind: Kind, text: str) -> Segment:
    texts, names = slots.split(text)
    return Segment(kind, tuple(texts), tuple(names))


def _merged(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """Join neighbouring head segments, so that a letter has few pieces."""
    merged: list[Segment] = []
    for segment in segments:
        if merged and merged[-1].kind == segment.kind == "head":
            before = merged.pop()
            joint = before.texts[-1] + segment.texts[0]
            segment = Segment(
                "head",
                (*before.texts[:-1], joint, *segment.texts[1:]),
                before.slots + segment.slots,
            )
        merged.append(segment)
    return tuple(merged)
