"""A lenient, bounded reading of MIME (RFC 2045, 2046, 2047) for mail that came back.

The stdlib parser builds a tree of everything; what came back is mostly the letter we sent. This one walks
the message by offsets, decodes only what is asked for, never raises, and stops at fixed depths and counts,
so that a hostile message costs no more than an honest one.
"""

from __future__ import annotations

import base64
import binascii
import html
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

DEPTH_LIMIT = 8  # levels of multipart and message; real reports nest three
PART_LIMIT = 64  # parts looked at in one message
BOUNDARY_LIMIT = 5_000  # places looked at for a boundary line; a boundary may begin another
HEADER_LIMIT = 65_536  # characters of one header block
TEXT_LIMIT = 262_144  # characters of one part that are decoded and read
STATUS_LIMIT = 1_048_576  # the same for a delivery-status part: one block for each recipient

_FIELD = re.compile(r"^[!-9;-~]{1,100}[ \t]{0,10}:", re.MULTILINE)
_SPACE_BEFORE_COLON = re.compile(r"^([!-9;-~]{1,100})[ \t]{1,10}:", re.MULTILINE)
_FIELD_END = re.compile(r"\n(?![ \t])")
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?]{0,2000})\?=(?:\s+(?==\?))?")
_PARAMETER = re.compile(r';\s*([\w-]{1,40})\*?\s*=\s*(?:"([^"]{0,500})"|([^\s;]{0,500}))')
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_CHARSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "big5": "big5hkscs",
    "ks_c_5601-1987": "cp949",
}
_CHARSETS |= {
    "unicode-1-1-utf-7": "utf-7",
    "iso-8859-8-i": "iso-8859-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
}


class Headers:
    """A block of header fields, searched when one is asked for: of forty, a report's reader needs five.

    False when it holds none. Values come unfolded, those of one name in order of appearance.
    """

    __slots__ = ("_block", "_lower")

    def __init__(self, block: str = "") -> None:
        """``block``: lines that end with a line feed; lines that are no fields are passed over."""
        block = "\n" + block.replace("\u0130", "I")  # the one character that lower() makes longer
        if " :" in block or "\t:" in block:
            block = _SPACE_BEFORE_COLON.sub(r"\1:", block)
        self._block, self._lower = block, block.lower()

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of ``name`` (lower case), or ``default``."""
        at = self._lower.find(f"\n{name}:")
        return default if at < 0 else self._value(at + len(name) + 2)

    def all(self, name: str) -> list[str]:
        """Return every value of ``name`` (lower case)."""
        values = []
        at = -1
        while (at := self._lower.find(f"\n{name}:", at + 1)) >= 0:
            values.append(self._value(at + len(name) + 2))
        return values

    def __contains__(self, name: str) -> bool:
        return f"\n{name}:" in self._lower

    def __bool__(self) -> bool:
        return len(self._block) > 1

    def _value(self, start: int) -> str:
        end = _FIELD_END.search(self._block, start)
        value = self._block[start : end.start() if end else None]
        return " ".join(value.split()) if "\n" in value else value.strip()


@dataclass(slots=True)
class Part:
    """A body with its headers; ``start`` and ``end`` are where the body lies in ``source`` (latin-1 text).

    ``kind`` is its content type in lower case, "text/plain" where none is told (RFC 2045 §5.2).
    """

    source: str
    headers: Headers
    start: int
    end: int
    depth: int
    kind: str = field(init=False)
    encoding: str = field(init=False)

    def __post_init__(self) -> None:
        told = self.headers.get("content-type").partition(";")[0].strip().lower()
        self.kind = told if "/" in told else "text/plain"
        self.encoding = self.headers.get("content-transfer-encoding").lower()

    def parameter(self, name: str) -> str:
        """Return a parameter of Content-Type, "" where it has none by that name (lower case)."""
        value = self.headers.get("content-type")[:2_000]
        found = (quoted or bare for told, quoted, bare in _PARAMETER.findall(value) if told.lower() == name)
        return next(found, "")

    def raw(self, limit: int = TEXT_LIMIT) -> str:
        """Return the body as it came, latin-1 characters, no longer than ``limit``."""
        return self.source[self.start : min(self.end, self.start + limit)]

    def content(self, limit: int = TEXT_LIMIT) -> bytes:
        """Return the body with its transfer encoding undone, no longer than ``limit`` before decoding."""
        raw = self.raw(limit)
        match self.encoding:
            case "base64":
                return _from_base64(raw)
            case "quoted-printable":
                return quopri.decodestring(raw.encode("latin-1"))
        return raw.encode("latin-1")

    def text(self, limit: int = TEXT_LIMIT) -> str:
        """Return the body as people read it; HTML loses its tags and keeps its lines."""
        charset = self.parameter("charset")
        if self.encoding not in ("base64", "quoted-printable") and (raw := self.raw(limit)).isascii():
            text = raw if _reads_ascii(charset) else decode(raw.encode("ascii"), charset)
        else:
            text = decode(self.content(limit), charset)
        return plain_of_html(text) if self.kind == "text/html" else text


def read(raw: bytes) -> Part:
    """Return the whole message as a part. Never raises, whatever the bytes."""
    source = raw.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    start = 0
    while source.startswith(("\n", "From ", ">From "), start):  # mbox
        start = source.find("\n", start) + 1 or len(source)
    headers, body = read_headers(source, start, len(source))
    return Part(source, headers, body, len(source), 0)


def read_headers(source: str, start: int, end: int) -> tuple[Headers, int]:
    """Return the header block that begins at ``start`` and where its body begins."""
    if source.startswith("\n", start):
        return Headers(), start + 1
    blank = _BLANK_LINE.search(source, start, min(end, start + HEADER_LIMIT))
    stop = blank.start() + 1 if blank else min(end, start + HEADER_LIMIT)
    block = source[start:stop]
    if not _FIELD.search(block):
        return Headers(), start
    return Headers(block), blank.end() if blank else stop


def parts_of(message: Part) -> Iterator[Part]:
    """Walk the leaves in order; a message/* part is a leaf, see ``inner``. Ends at the limits above."""
    waiting = [message]
    seen = 0
    while waiting and seen < PART_LIMIT:
        part = waiting.pop()
        seen += 1
        children = _children(part)
        if children:
            waiting.extend(reversed(children))
        else:
            yield part  # a multipart without parts is read as the text it is


def inner(part: Part) -> Part:
    """Return the message a message/rfc822 (or text/rfc822-headers) part carries."""
    if part.encoding in ("base64", "quoted-printable"):
        source = part.content().decode("latin-1").replace("\r\n", "\n")
        start, end = 0, len(source)
    else:
        source, start, end = part.source, part.start, part.end
    while start < end and source[start] == "\n":
        start += 1
    headers, body = read_headers(source, start, end)
    return Part(source, headers, min(body, end), end, part.depth + 1)


def _children(part: Part) -> list[Part]:
    if not part.kind.startswith("multipart/") or part.depth >= DEPTH_LIMIT:
        return []
    boundary = part.parameter("boundary") or _boundary_guessed(part)
    if not boundary:
        return []
    spans = _spans(part.source, "--" + boundary.rstrip(), part.start, part.end)
    return [_child(part, start, end) for start, end in spans]


def _child(part: Part, start: int, end: int) -> Part:
    headers, body = read_headers(part.source, start, end)
    return Part(part.source, headers, min(body, end), end, part.depth + 1)


def _spans(source: str, line: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return where the parts lie between boundary lines; a missing last boundary is forgiven."""
    spans: list[tuple[int, int]] = []
    opened: int | None = None
    at = start
    for _ in range(BOUNDARY_LIMIT):
        at = source.find(line, at, end)
        if at < 0:
            break
        after = at + len(line)
        before = source[max(start, at - 8) : at].rpartition("\n")[2]
        tail = source[after : min(after + 80, end)].partition("\n")[0].strip()
        if before.strip() or tail not in ("", "--"):
            at = after
            continue
        line_end = source.find("\n", after, end)
        if opened is not None:
            spans.append((opened, at))
        opened = None if tail else line_end + 1
        at = line_end if line_end >= 0 else end
        if tail or line_end < 0 or len(spans) >= PART_LIMIT:
            break
    if opened is not None and opened < end and len(spans) < PART_LIMIT:
        spans.append((opened, end))
    return spans


def _boundary_guessed(part: Part) -> str:
    """Read the boundary off the first line that looks like one: some systems forget to name it."""
    found = re.search(r"^--(\S[^\n]{4,70})\nContent-", part.raw(HEADER_LIMIT), re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def _reads_ascii(charset: str) -> bool:
    """Tell whether ASCII letters mean themselves in a charset: not so in UTF-7, UTF-16, ISO-2022, HZ."""
    name = charset.strip("'\" ").lower()
    return not name or name.startswith(("us-ascii", "utf-8", "iso-8859", "windows-", "gb", "big5"))


def _from_base64(raw: str) -> bytes:
    letters = re.sub(r"[^A-Za-z0-9+/]", "", raw)
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4))
    except (binascii.Error, ValueError):
        return b""


_COMMON = frozenset("的不在有您件信收邮郵箱无無法送地址退用户戶被系统統请請对對方原因人")


def decode(content: bytes, charset: str) -> str:
    """Turn bytes into text by the named charset, else UTF-8, GB18030 or Big5, latin-1. Never raises.

    Chinese systems leave the charset out; the two Chinese ones read each other's bytes as rare characters,
    so the one that yields more common ones is taken. Both refuse most other text.
    """
    name = charset.strip().strip("'\"").lower()
    if name and (decoded := _try(content, _CHARSETS.get(name, name))) is not None:
        return decoded
    if (decoded := _try(content, "utf-8")) is not None:
        return decoded
    guesses = [guess for name in ("gb18030", "big5hkscs") if (guess := _try(content, name)) is not None]
    return max(guesses, key=_commonness) if guesses else content.decode("latin-1")


def _commonness(text: str) -> int:
    return sum(character in _COMMON for character in text[:2_000])


def _try(content: bytes, charset: str) -> str | None:
    try:
        decoded = content.decode(charset)
    except (LookupError, ValueError):  # UnicodeError is a ValueError; an embedded NUL in a name as well
        return None
    return decoded if isinstance(decoded, str) else None


def decode_words(value: str) -> str:
    """Undo RFC 2047 encoded words in a header's value; raw 8-bit characters become UTF-8 where they can."""
    if not value.isascii():
        value = decode(value.encode("latin-1", "replace"), "")
    return _ENCODED_WORD.sub(_decoded_word, value) if "=?" in value else value


def _decoded_word(found: re.Match[str]) -> str:
    charset, encoding, word = found[1].partition("*")[0], found[2].lower(), found[3]
    if encoding == "b":
        return decode(_from_base64(word), charset)
    return decode(quopri.decodestring(word.encode("utf-8", "replace"), header=True), charset)


_HIDDEN = re.compile(r"<(?:(style|script|head|title)\b|!--)", re.IGNORECASE)
_LINE_ENDS = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h\d|/?table|/?pre|hr)\b[^<>]{0,2000}>", re.I)
_TAG = re.compile(r"</?[a-zA-Z!][^<>@]{0,2000}>")


def plain_of_html(text: str) -> str:
    """Strip tags, keep line ends. An unescaped <ann@example.org> in bad HTML is an address, not a tag."""
    text = _TAG.sub("", _LINE_ENDS.sub("\n", _shown(text)))
    text = re.sub(r"<a\b[^<>]{0,2000}>", "", text, flags=re.I)
    return html.unescape(text).replace("\xa0", " ")


def _shown(text: str) -> str:
    """Leave out what a browser never shows; what is opened and not closed is left in."""
    shown = []
    lower = text.lower()
    at = 0
    while (found := _HIDDEN.search(lower, at)) and len(lower) == len(text):
        closing = f"</{found[1]}" if found[1] else "-->"
        close = lower.find(closing, found.end())
        if close < 0:
            break
        shown.append(text[at : found.start()])
        at = close + len(closing)
    return "".join([*shown, text[at:]])
