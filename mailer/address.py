"""Addresses: one way to read, compare and show an e-mail address (RFC 5321, 6531, 5890)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from mailer.errors import Invalid
from mailer.sentence import Sentence

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")  # RFC 5322 §3.2.3, dot-atom-text


class BadAddress(Invalid):
    """This is not an e-mail address: write it like name@example.org."""


class Address(NamedTuple):
    """A valid address. ``smtputf8``: the local part is not ASCII, so the relay must speak RFC 6531."""

    local: str
    domain: str  # A-labels, lower case
    smtputf8: bool
    shown: str  # as people write it, Unicode domain

    @property
    def wire(self) -> str:
        """The form for SMTP: the domain as A-labels, the local part as it is."""
        return f"{self.local}@{self.domain}"

    @property
    def key(self) -> str:
        """The form by which two spellings are one mailbox: no large provider tells case apart."""
        return self.wire.casefold()


def parse(text: str) -> Address:
    """Read one address; white space around it is dropped.

    :raises BadAddress: not an address; the message quotes it and says what is wrong
    """
    try:
        found = _read(text.strip())
    except EmailNotValidError as error:
        raise _bad(text, _why(str(error))) from error
    if "." not in found.domain:
        raise _bad(text, Sentence("the domain has no dot."))
    return found


def _bad(text: str, why: Sentence) -> BadAddress:
    return BadAddress("“{text}” is not an e-mail address: {why}", text=text.strip()[:80], why=why)


def _why(words: str) -> Sentence:
    """Return what email-validator says, with the signs it lists apart: the pages know its sentences."""
    listed = re.fullmatch(r"(?P<what>[^:{}]+: )(?P<signs>.+)\.", words)
    if listed is None:
        return Sentence(words)
    template = listed["what"] + "{signs}."
    return Sentence(template, signs=listed["signs"])


def _read(text: str) -> Address:
    local, _, domain = text.partition("@")
    if _PLAIN.fullmatch(local) and len(local) <= 64 and len(text) <= 200 and domain and "@" not in domain:
        in_ascii, shown = _domain(domain)  # people of one organisation share it: it is judged once
        return Address(local, in_ascii, False, f"{local}@{shown}")
    found = _validated(text)
    return Address(
        found.local_part,
        (found.ascii_domain or found.domain).lower(),
        not found.local_part.isascii(),
        found.normalized,
    )


@lru_cache(maxsize=4096)
def _domain(text: str) -> tuple[str, str]:
    found = _validated(f"a@{text}")
    return (found.ascii_domain or found.domain).lower(), found.domain


def _validated(text: str) -> ValidatedEmail:
    return validate_email(
        text, check_deliverability=False, allow_smtputf8=True, test_environment=False,
        globally_deliverable=False,
    )  # fmt: skip


def key_of(text: str) -> str:
    """Return the comparing form of ``text``, address or not: used to look an address up."""
    try:
        return parse(text).key
    except BadAddress:
        return text.strip().casefold()


def masked(address: str) -> str:
    """Show an address without giving it away: ``a•••@example.org``."""
    local, _, domain = address.partition("@")
    return f"{local[:1]}•••@{domain}"
