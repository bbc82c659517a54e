"""The look: whose letter it is, in what colour, and every colour that follows from that one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailer.errors import Invalid

WHITE, BLACK, INK = "#ffffff", "#000000", "#1f2624"
NIGHT_CARD = "#1c2221"  # the card's background in dark mode
_READABLE = 4.5  # WCAG 2.2, 1.4.3: contrast of text with its background
_AT_NIGHT = 7.0  # 1.4.6: coloured words on a dark ground look dimmer than the figure says


class BadColour(Invalid):
    """The accent colour cannot be used: write it as six hexadecimal digits, like #0b5d4b."""


@dataclass(frozen=True)
class Look:
    """What one publication's letters look like in one language.

    ``organisation`` and ``address`` (postal, one line per line) stand in the footer: anti-spam laws ask
    for both. ``reason`` says why the reader gets this; empty: the theme's own sentence. ``logo`` is an
    absolute address of a PNG or JPEG at most 160 px wide; empty: none. ``accent`` is ``#rrggbb``.

    :raises BadColour: the accent is not of that form
    """

    organisation: str
    address: str
    reason: str = ""
    logo: str = ""
    accent: str = "#0b5d4b"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.accent):
            raise BadColour

    @property
    def on_accent(self) -> str:
        """Text on the accent colour: white, or black where white could not be read."""
        return WHITE if contrast(WHITE, self.accent) >= _READABLE else BLACK

    @property
    def link(self) -> str:
        """The accent, darkened until it can be read on white."""
        return _until_readable(self.accent, BLACK, WHITE, _READABLE)

    @property
    def night_link(self) -> str:
        """The accent, lightened until it can be read on the dark card."""
        return _until_readable(self.accent, WHITE, NIGHT_CARD, _AT_NIGHT)

    @property
    def night_masthead(self) -> str:
        """The accent, deepened so that it glows less at night."""
        return mix(self.accent, BLACK, 0.35)

    @property
    def tint(self) -> str:
        """A breath of the accent, behind quotes and banners."""
        return mix(self.accent, WHITE, 0.95)


def mix(colour: str, other: str, share: float) -> str:
    """Return the colour that is ``share`` (0 to 1) of ``other``, the rest of ``colour``; both ``#rrggbb``."""
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def contrast(colour: str, other: str) -> float:
    """Return the contrast ratio, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    light, dark = sorted((_luminance(colour), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _until_readable(colour: str, towards: str, background: str, wanted: float) -> str:
    steps = (mix(colour, towards, step / 20) for step in range(21))
    return next(shade for shade in steps if contrast(shade, background) >= wanted)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))
