"""Addresses: one way to read, compare and show an e-mail address (RFC 5321, 6531, 5890)."""

from __future__ import annotations

from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from mailer.errors import Invalid


class BadAddress(Invalid):
    """This is not an e-mail address: write it like name@example.org."""


@dataclass(frozen=True, slots=True)
class Address:
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
        found = validate_email(
            text.strip(), check_deliverability=False, allow_smtputf8=True, test_environment=False,
            globally_deliverable=False,
        )  # fmt: skip
    except EmailNotValidError as error:
        raise BadAddress(f"“{text.strip()[:80]}” is not an e-mail address: {error}") from error
    if "." not in found.domain:
        raise BadAddress(f"“{text.strip()[:80]}” is not an e-mail address: the domain has no dot.")
    return Address(
        found.local_part,
        (found.ascii_domain or found.domain).lower(),
        not found.local_part.isascii(),
        found.normalized,
    )


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
