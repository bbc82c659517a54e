"""Typos in well-known mail domains: suggested to a person, never mended. Pure."""

from __future__ import annotations

from functools import lru_cache

from mailer.sentence import Sentence


def note(address: str) -> str:
    """Return what to ask about an address whose domain looks mistyped, else ""."""
    local, _, domain = address.rpartition("@")
    meant = suggestion(domain)
    return Sentence("Did you mean {address}?", address=f"{local}@{meant}") if meant else ""


@lru_cache(maxsize=4096)
def suggestion(domain: str) -> str:
    """Return the well-known domain that was probably meant, "" when there is nothing to ask."""
    return ""
