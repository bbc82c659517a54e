"""Folder names as IMAP writes them: modified UTF-7 (RFC 3501 §5.1.3). Pure."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

_OTHER = re.compile(r"[^\x20-\x7e]+")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


def encode(name: str) -> str:
    """``已读 & more`` becomes ``&XfKL+w- &- more``."""
    plain = name.replace("&", "&-")
    return _OTHER.sub(lambda found: f"&{_base64(found[0])}-", plain)


def decode(name: str) -> str:
    """Read a name as a server writes it; what is not well written stays as it is."""
    return _SHIFTED.sub(lambda found: _plain(found[1]) if found[1] else "&", name)


def _base64(text: str) -> str:
    octets = b64encode(text.encode("utf-16-be", errors="replace"))
    return octets.decode().rstrip("=").replace("/", ",")


def _plain(text: str) -> str:
    try:
        padded = text.replace(",", "/") + "=" * (-len(text) % 4)
        return b64decode(padded, validate=True).decode("utf-16-be")
    except ValueError:
        return f"&{text}-"
