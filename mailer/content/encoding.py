"""Encodings of mail: quoted-printable and base64 with holes in them, and what may stand in a header.

RFC 2045 §6.7 and §6.8 (transfer encodings), RFC 2047 (encoded words), RFC 5322 §3.2 and §3.4 (phrases and
mailboxes), RFC 6532 §3.2 (addresses beyond ASCII).
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter, mul
from typing import NamedTuple

from mailer.errors import Invalid

_LINE = 76  # octets, RFC 2045 §6.7 rule 5, without CRLF
_SOFT = b"=\r\n"
_WORD_OCTETS = 39  # in one encoded word: 64 characters with it, so "Reply-To: " and it fit in 76
_PLAIN_NAME = 60  # characters of a name that still goes as quoted string
_BASE64_LINE = 57  # octets that make 76 of base64

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ATOMS = re.compile(r"[\w!#$%&'*+/=?^`{|}~ -]+", re.ASCII)
_ADDRESS = re.compile(r"[^\s<>()\[\]\\,;:@\"]+@[A-Za-z0-9.-]+")
_LIST_ID = re.compile(r"[A-Za-z0-9._-]+")
_TOKEN = re.compile(r"[!-~]{1,900}")  # with the field's name still under the 998 of RFC 5322 §2.1.1
_PHRASE = re.compile(r"[ -~]{1,900}")

Values = Mapping[str, str]  # of slots, by name
Fill = Callable[[Values], bytes]  # what goes on the wire in a slot's place


class BadHeader(Invalid):
    """A value cannot stand in a letter's header."""

    def __init__(self, value: str) -> None:
        super().__init__(
            "“{value}” cannot stand in a letter's header: correct the address or setting.", value=value[:80]
        )


# --- header ---------------------------------------------------------------------------------------------


def one_line(text: str) -> str:
    """Return the text as one line: control characters and line ends are spaces, and spaces are single."""
    return " ".join(_CONTROL.sub(" ", text).split())


def token(value: str, *, spaces: bool = False) -> bytes:
    """Return a value of printable ASCII as it is.

    :raises BadHeader: empty, longer than 900, or anything else in it
    """
    if not (_is_plain(value) or (_PHRASE if spaces else _TOKEN).fullmatch(value)):
        raise BadHeader(value)
    return value.encode()


def _is_plain(value: str) -> bool:
    """Say whether a value is some letters and digits of ASCII, as signed tokens are: it fits anywhere."""
    return value.isascii() and value.isalnum() and len(value) < _LINE


def mailbox(name: str, address: str, *, is_list: bool = False) -> str:
    """Return ``"Name" <address>``, folded; without a name the bare address (a List-Id keeps its brackets).

    :raises BadHeader: the address is not one dot-atom, an at sign and a domain
    """
    if not (_LIST_ID if is_list else _ADDRESS).fullmatch(address) or not (
        address.isprintable() and len(address) <= 320
    ):
        raise BadHeader(address)
    name = one_line(name) if name else ""
    if not name:
        return f"<{address}>" if is_list else address
    phrase = _phrase(name)
    fold = "\r\n " if len(phrase) + len(address) > 60 else " "
    return f"{phrase}{fold}<{address}>"


def _phrase(name: str) -> str:
    if not name.isascii() or len(name) > _PLAIN_NAME or "=?" in name:
        return _encoded_words(name)
    if _ATOMS.fullmatch(name):
        return name
    return '"' + name.replace("\\", r"\\").replace('"', r"\"") + '"'


def unstructured(text: str) -> str:
    """Return a subject or other free text, folded between words, as encoded words where it must be."""
    text = one_line(text)
    if not text.isascii() or "=?" in text or any(len(word) > 60 for word in text.split()):
        return _encoded_words(text)
    lines, room = [""], _LINE - len("Feedback-ID: ")
    for word in text.split():
        if len(lines[-1]) + len(word) > room:
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines).removeprefix(" ")


def _encoded_words(text: str) -> str:
    """Return RFC 2047 words, none splitting a character (§5), folded; readers join them without the space."""
    return "\r\n ".join(
        f"=?utf-8?B?{b2a_base64(chunk, newline=False).decode()}?=" for chunk in _chunks(text.encode())
    )


def _chunks(octets: bytes) -> list[bytes]:
    """Cut UTF-8 between characters into pieces of at most ``_WORD_OCTETS``."""
    chunks, start = [], 0
    while start < len(octets):
        end = min(start + _WORD_OCTETS, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # a continuation octet: RFC 3629 §3
            end -= 1
        chunks.append(octets[start:end])
        start = end
    return chunks


# --- quoted-printable -----------------------------------------------------------------------------------

_QUOTED = [chr(n) if n in b"\t" or (32 <= n < 127 and n != 61) else f"={n:02X}" for n in range(256)]
_SAFE_VALUE = re.compile(r"(?![.]|From )[ -<>-~]{0,75}")
_OPENS_BADLY = re.compile(rb"^(?:[.]|From )", re.MULTILINE)


def quoted_is_shorter(text: str) -> bool:
    """Say whether quoted-printable needs fewer octets than base64."""
    octets = text.encode()
    quoted = sum(len(_QUOTED[octet]) for octet in octets)
    return quoted * (_LINE + 2) <= (len(octets) + 2) // 3 * 4 * _LINE


def encode_quoted(text: str, *, ends: bool) -> str:
    """Return a stretch of text that begins a line; unless it ``ends`` the body, a slot follows.

    Line feeds become CRLF. No line is longer than 76, begins with a dot or with "From ", or ends in a space.
    """
    lines = text.split("\n")
    last = len(lines) - 1
    encoded = [_hard_line(line, slot_follows=place == last and not ends) for place, line in enumerate(lines)]
    return "\r\n".join(encoded)


def _hard_line(line: str, *, slot_follows: bool) -> str:
    """Return one line of text as one or more lines on the wire; before a slot the last break is soft."""
    if not line:
        return ""  # even before a slot: its value opens the line
    signs = [_QUOTED[octet] for octet in line.encode()]
    if signs[-1] in " \t":
        signs[-1] = f"={ord(signs[-1]):02X}"
    wire = [""]
    for sign in signs:
        if len(wire[-1]) + len(sign) >= _LINE:  # one column for the soft break
            wire.append("")
        wire[-1] += "=2E" if sign == "." and not wire[-1] else sign
    guarded = [re.sub("^From ", "=46rom ", piece) for piece in wire]
    return "=\r\n".join(guarded) + ("=\r\n" if slot_follows else "")


@lru_cache(maxsize=256)  # a greeting stands in both parts, and "Dear Reader," in many letters
def quoted_value(value: str) -> bytes:
    """Return a slot's value, which holds no line end, on soft-broken lines of its own."""
    if _SAFE_VALUE.fullmatch(value):
        return value.encode() + _SOFT
    quick = b2a_qp(value.encode(), istext=False).replace(b"\n", b"\r\n")
    if _OPENS_BADLY.search(quick) or len(quick) - quick.rfind(b"\n") > _LINE:  # no column for the soft break
        return _hard_line(value, slot_follows=True).encode()
    return quick + _SOFT


def quoted_slot(name: str, escape: Callable[[str], str]) -> Fill:
    """Return what fills a slot between texts of ``encode_quoted``."""

    def fill(values: Values) -> bytes:
        value = values[name]
        return value.encode() + _SOFT if _is_plain(value) else quoted_value(escape(line_of(value)))

    return fill


def line_of(value: str) -> str:
    """Return a slot's value as it may stand in a body: on one line."""
    return value if value.isprintable() else one_line(value)


class Pieces(NamedTuple):
    """A message, or a run of one, in pieces: most of them are the same for every reader."""

    pieces: tuple[bytes, ...]
    octets: int  # in all

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)


class Pattern:
    """Texts and, between them, slots. A slot that stands in many places is filled once."""

    def __init__(self, texts: Sequence[bytes], slots: Sequence[Fill]) -> None:
        """``slots`` are one fewer than ``texts``; those that are the same function hold the same."""
        self._fills = tuple(dict.fromkeys(slots))
        self._weave = _Weave(texts, [self._fills.index(fill) for fill in slots])

    def write(self, values: Values) -> Pieces:
        """Return the texts and slots in turn."""
        return self._weave([fill(values) for fill in self._fills])


class _Weave:
    """Texts and between them, each in any number of places, what is given."""

    def __init__(self, texts: Sequence[bytes], places: Sequence[int]) -> None:
        """``places`` are one fewer than ``texts``: which of what is given stands there."""
        self._texts = tuple(texts)
        self._octets = sum(map(len, texts))
        self._times = [places.count(place) for place in range(max(places, default=-1) + 1)]
        self._pick: Callable[[Sequence[bytes]], tuple[bytes, ...]] = tuple
        if places:
            between = ((len(texts) + place, after) for after, place in enumerate(places, 1))
            self._pick = itemgetter(0, *chain.from_iterable(between))

    def __call__(self, given: Sequence[bytes]) -> Pieces:
        octets = self._octets + sum(map(mul, map(len, given), self._times))
        return Pieces(self._pick((*self._texts, *given)), octets)


# --- base64 ---------------------------------------------------------------------------------------------


Field = tuple[str, ...]  # names of slots at even places, at odd ones the octet or none that parts them


class Base64Body:
    """A base64 body: each text is encoded in three phases beforehand, one per number of octets (0, 1, 2) that
    the group before it still needs. At run time only the slots and an octet or two beside them are encoded.
    Lines end early around slots: readers ignore line ends (RFC 2045 §6.8).

    Which phases come together follows from the lengths of the values, modulo 3: tokens are all of one
    length, so a campaign meets very few such layouts, and each is made once.
    """

    def __init__(self, texts: Sequence[bytes], names: Sequence[str], escape: Callable[[str], str]) -> None:
        (first, *rest), fields = _without_gaps(texts, names)
        distinct = list(dict.fromkeys(fields))
        self._fills = [_filling(field, escape) for field in distinct]
        self._opening, self._carry = _phase(first, 0, is_last=not rest)
        last = len(rest) - 1
        self._steps = [
            (
                distinct.index(field),
                text[:2],
                tuple(_phase(text, need, is_last=place == last) for need in range(3)),
            )
            for place, (field, text) in enumerate(zip(fields, rest, strict=True))
        ]
        self._layouts: dict[tuple[int, ...], _Layout] = {}

    def write(self, values: Values) -> Pieces:
        """Return the body."""
        filled = [fill(values) for fill in self._fills]
        lengths = tuple([len(value) % 3 for value in filled])
        layout = self._layouts.get(lengths)
        if layout is None:
            layout = self._layouts[lengths] = self._lay_out(lengths)
        return layout.write(filled)

    def _lay_out(self, lengths: Sequence[int]) -> _Layout:
        texts, groups, carry = [self._opening], list[Group](), self._carry
        for field, head, phases in self._steps:
            need = -(len(carry) + lengths[field]) % 3
            groups.append((carry, field, head[:need]))
            text, carry = phases[need]
            texts.append(text)
        return _Layout(texts, groups)


Group = tuple[
    bytes, int, bytes
]  # octets that the text before left over, a field's place, octets that fill up


class _Layout:
    """A base64 body for values of certain lengths: encoded texts, and groups that hold a value each."""

    def __init__(self, texts: Sequence[bytes], groups: Sequence[Group]) -> None:
        self._groups = tuple(dict.fromkeys(groups))  # few: a token has the same neighbours in many places
        self._weave = _Weave(texts, [self._groups.index(group) for group in groups])

    def write(self, filled: Sequence[bytes]) -> Pieces:
        groups = [before + filled[field] + after for before, field, after in self._groups]
        encoded = [
            b2a_base64(group, newline=False) if len(group) <= _BASE64_LINE else _wrapped(group)
            for group in groups
        ]
        return self._weave(encoded)


def _filling(field: Field, escape: Callable[[str], str]) -> Fill:
    """Return what writes a field: the values of its slots, and the octets between them as they are."""
    first, *more = field

    def written(value: str) -> bytes:
        return (value if _is_plain(value) else escape(line_of(value))).encode()

    def fill(values: Values) -> bytes:
        filled = written(values[first])
        for gap, name in zip(more[::2], more[1::2], strict=True):
            filled += gap.encode() + written(values[name])
        return filled

    return fill if more else lambda values: written(values[first])


def _phase(text: bytes, need: int, *, is_last: bool) -> tuple[bytes, bytes]:
    """Return the text on lines of its own but for its first ``need`` octets, and what it leaves over.

    Nothing is left over by the last text: padding ends it.
    """
    octets = text[need:]
    whole = len(octets) if is_last else len(octets) // 3 * 3
    encoded = _wrapped(octets[:whole])
    return b"\r\n".join([b"", encoded, b""] if encoded and not is_last else [b"", encoded]), octets[whole:]


def _wrapped(octets: bytes) -> bytes:
    starts = range(0, len(octets), _BASE64_LINE)
    return b"\r\n".join([b2a_base64(octets[at : at + _BASE64_LINE], newline=False) for at in starts])


def _without_gaps(texts: Sequence[bytes], names: Sequence[str]) -> tuple[list[bytes], list[Field]]:
    """Join slots that fewer than two octets part into one field: a text must be able to fill any group."""
    kept, fields = [texts[0]], list[Field]()
    for place, (name, text) in enumerate(zip(names, texts[1:], strict=True)):
        if place and len(kept[-1]) < 2:
            fields[-1] = (*fields[-1], kept.pop().decode(), name)
        else:
            fields.append((name,))
        kept.append(text)
    return kept, fields
