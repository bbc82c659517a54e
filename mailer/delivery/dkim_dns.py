"""DKIM in the DNS: the record that a key needs, and whether it is there (RFC 6376 §3.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import dns.exception
import dns.resolver

from mailer.delivery.dkim import Algorithm
from mailer.errors import MailerError
from mailer.sentence import Sentence

LookUp = Callable[[str], Sequence[str]]
"""Returns the TXT records of a name, the strings of each joined; none if there is no such name."""

PATIENCE = 10.0  # seconds for one look-up, all servers and retries together
_STRING = 255  # octets in one string of a TXT record, RFC 1035 §3.3.14


class DnsSilent(MailerError):
    """The DNS gives no answer: check this machine's name servers, or name another with --nameserver."""


class Verdict(StrEnum):
    """What the DNS says about a key."""

    PUBLISHED = "published"
    MISSING = "missing"
    DIFFERENT = "different"  # a record for another key, or another use
    REVOKED = "revoked"  # p= is empty: RFC 6376 §3.6.1
    TESTING = "testing"  # t=y: receivers do as if nothing were signed
    SEVERAL = "several"  # which of them counts is undefined: §3.6.2.2
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands under a key's name, and what that means."""

    name: str
    verdict: Verdict
    records: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether receivers will find the key."""
        return self.verdict is Verdict.PUBLISHED

    @property
    def says(self) -> Sentence:
        """What to do, in a sentence."""
        return Sentence(_SAYS[self.verdict].template, name=self.name)


_SAYS = {
    Verdict.PUBLISHED: Sentence("The record at {name} is right."),
    Verdict.MISSING: Sentence(
        "There is no TXT record at {name}: publish it, and wait until the DNS shows it."
    ),
    Verdict.DIFFERENT: Sentence(
        "The TXT record at {name} is not this key's: put the right one in its place."
    ),
    Verdict.REVOKED: Sentence(
        "The TXT record at {name} revokes the key (p= is empty): put the right one in its place."
    ),
    Verdict.TESTING: Sentence(
        "The TXT record at {name} has the flag t=y, so receivers ignore the signature: remove the flag."
    ),
    Verdict.SEVERAL: Sentence("There are several TXT records at {name}: leave only the right one."),
    Verdict.MALFORMED: Sentence("The TXT record at {name} cannot be read: put the right one in its place."),
}


def record_name(domain: str, selector: str) -> str:
    """Return where a key's record stands."""
    return f"{selector}._domainkey.{domain}"


def record(algorithm: Algorithm, public: str) -> str:
    """Return what a key's record says. ``public``: base64, as ``dkim.public_text`` writes it."""
    return f"v=DKIM1; k={algorithm.key_type}; p={public}"


def strings(text: str) -> list[str]:
    """Cut a record into the strings that a TXT record is made of."""
    return [text[at : at + _STRING] for at in range(0, len(text), _STRING)]


def check(domain: str, selector: str, algorithm: Algorithm, public: str, look_up: LookUp) -> Finding:
    """Ask the DNS for a key's record.

    :raises DnsSilent: no answer, neither yes nor no
    """
    name = record_name(domain, selector)
    records = tuple(look_up(name))
    return Finding(name, _judge(records, algorithm, public), records)


def _judge(records: Sequence[str], algorithm: Algorithm, public: str) -> Verdict:
    match records:
        case []:
            return Verdict.MISSING
        case [only]:
            tags = _tags(only)
            return Verdict.MALFORMED if tags is None else _judge_tags(tags, algorithm, public)
        case _:
            return Verdict.SEVERAL


def _judge_tags(tags: Mapping[str, str], algorithm: Algorithm, public: str) -> Verdict:
    if tags["p"] == "":
        return Verdict.REVOKED
    if tags["p"] != public or tags.get("k", "rsa") != algorithm.key_type:
        return Verdict.DIFFERENT
    if "sha256" not in tags.get("h", "sha256").split(":"):
        return Verdict.DIFFERENT
    if not {"*", "email"} & set(tags.get("s", "*").split(":")):
        return Verdict.DIFFERENT
    return Verdict.TESTING if "y" in tags.get("t", "").split(":") else Verdict.PUBLISHED


def _tags(text: str) -> Mapping[str, str] | None:
    """Read a tag list (RFC 6376 §3.2), white space left out; None: it is none, or not of a key."""
    tags: dict[str, str] = {}
    for tag in text.strip().removesuffix(";").split(";"):
        name, equals, value = tag.partition("=")
        name = name.strip()
        if not equals or not name or name in tags:
            return None
        tags[name] = re.sub(r"\s+", "", value)
    wrong = tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v")
    return None if wrong or "p" not in tags else tags


def resolver(nameserver: str = "", port: int = 53) -> LookUp:
    """Return what asks the system's name servers, or the one at this IP address.

    :raises DnsSilent: this machine knows no name server, or that is no address
    """
    try:
        asked = dns.resolver.Resolver(configure=not nameserver)
        if nameserver:
            asked.nameservers, asked.port = [nameserver], port
    except (dns.exception.DNSException, ValueError) as error:
        raise DnsSilent from error

    def look_up(name: str) -> Sequence[str]:
        try:
            answer = asked.resolve(name, "TXT", search=False, lifetime=PATIENCE)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise DnsSilent from error
        return [b"".join(found.strings).decode("utf-8", "replace") for found in answer]

    return look_up
