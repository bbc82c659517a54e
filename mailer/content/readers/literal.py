"""Plain paragraphs written as Markdown, so that every sign means itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mailer.content.readers import pages


def as_markdown(texts: Sequence[str]) -> list[str]:
    """Write plain paragraphs as Markdown: bullets make a list, everything else means itself."""
    found: list[str] = []
    listing = False
    for text in texts:
        bullet = None if text[0].isdigit() else pages.bullet_text(text)
        if bullet and listing:
            found[-1] += f"\n- {_literal(bullet)}"
        else:
            found.append(f"- {_literal(bullet)}" if bullet else _literal(text))
        listing = bullet is not None
    return found


def _literal(text: str) -> str:
    """Put a backslash before signs that Markdown would take for markup, and only there."""
    text = re.sub(
        r"([\\`*]|~~|<(?!https?://[^\s<>]+>)(?=[A-Za-z/!?])|&(?=#?\w+;)|\[(?=[^\]]*\][(\[:]))", r"\\\1", text
    )
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    return re.sub(r"^([#>+=-])|^(\d+)([.)])(?=\s)", lambda found: _escape_start(found), text)


def _escape_start(found: re.Match[str]) -> str:
    return f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}"
