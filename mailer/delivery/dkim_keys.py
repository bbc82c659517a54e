"""DKIM keys of sending domains: made, published, used, replaced. The SQL of ``DkimKey``.

A key is made first and signs nothing. Once its record stands in the DNS it is activated, and takes the
place of the one before it of the same domain and algorithm, at once: but letters on their way are verified
late, so the old record must stay for ``LINGER``. Private keys are sealed (``mailer.sealing``) with the name
of their domain and selector. A selector is never used twice: receivers keep old records for a while.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import cast

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from mailer import address
from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.delivery import dkim, dkim_dns
from mailer.delivery.dkim import Algorithm, Key, PrivateKey, Signer
from mailer.delivery.dkim_dns import Finding, LookUp
from mailer.delivery.store import DkimKey
from mailer.errors import Conflict, Invalid, MailerError, NotFound
from mailer.issues.publications import UNSET_DOMAIN
from mailer.issues.store import publications
from mailer.sealing import Unsealable, seal, unseal
from mailer.settings import Settings
from mailer.signing import Keyring

LINGER = timedelta(days=7)  # a letter waits up to 5 days in queues (RFC 5321 §4.5.4.1), then is read
FRESH = timedelta(seconds=60)  # so long may a worker go on with the key that was replaced

_SELECTOR = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class BadDomain(Invalid):
    """This is not a domain: write it like news.example.org."""


class BadSelector(Invalid):
    """A selector is one word of a-z, 0-9 and hyphens, 63 at most, such as n2026a."""


class SelectorTaken(Conflict):
    """There is, or was, a key with this selector: choose one that was never used."""


class NoKey(NotFound):
    """There is no such DKIM key: `mailer dkim list` shows those that exist."""


class NotPublished(Conflict):
    """Receivers would not find the key: publish its record first."""


class KeyRetired(Conflict):
    """This key was retired and is gone: make a new one with `mailer dkim make`."""


class LastKey(Conflict):
    """Without this key the domain's letters go unsigned: activate another first, or say --last."""


class UnreadableKey(MailerError):
    """A DKIM key cannot be opened with MAILER_SECRET as it is now."""


class State(StrEnum):
    """Where a key stands."""

    NEW = "new"  # signs nothing yet
    SIGNING = "signing"
    REPLACED = "replaced"  # signs no more, may be activated again
    RETIRED = "retired"  # its private key is erased


def state(key: DkimKey, now: datetime) -> State:
    """Return where a key stands."""
    if not key.secret:
        return State.RETIRED
    if key.signs_from is None or key.signs_from > now:
        return State.NEW
    return State.SIGNING if key.signs_until is None or key.signs_until > now else State.REPLACED


def record_until(key: DkimKey) -> datetime | None:
    """Return until when a key's record must stand in the DNS; None: as long as it signs, or may sign.

    A key retired before it ever signed needs none from then on.
    """
    if key.signs_until is None:
        return None
    return key.signs_until + LINGER if key.signs_from else key.signs_until


# Verbs


def make(
    session: Session,
    *,
    domain: str,
    algorithm: Algorithm,
    keys: Keyring,
    now: datetime,
    actor: Actor,
    selector: str = "",
) -> DkimKey:
    """Make a key that signs nothing yet. ``selector`` "": one made of the date.

    :raises BadDomain:
    :raises BadSelector:
    :raises SelectorTaken: by a key of this domain, retired ones too
    """
    domain = _domain(domain)
    selector = selector.lower() or _free_selector(session, domain, algorithm, now)
    if not _SELECTOR.fullmatch(selector):
        raise BadSelector
    if session.get(DkimKey, (domain, selector)) is not None:
        raise SelectorTaken
    private = dkim.generate(algorithm)
    key = DkimKey(
        domain=domain,
        selector=selector,
        algorithm=algorithm,
        public=dkim.public_text(private),
        secret=_sealed(private, keys, domain, selector),
        made_at=now,
    )
    session.add(key)
    session.flush()
    _note(session, "make", key, now, actor, None, {"algorithm": algorithm})
    return key


def listing(session: Session, domain: str = "") -> list[DkimKey]:
    """Return keys, of one domain or of all, by domain and age.

    :raises BadDomain:
    """
    query = select(DkimKey).order_by(DkimKey.domain, DkimKey.made_at, DkimKey.selector)
    return list(session.scalars(query.where(DkimKey.domain == _domain(domain)) if domain else query))


def get(session: Session, *, domain: str, selector: str) -> DkimKey:
    """Return a key.

    :raises BadDomain:
    :raises NoKey:
    """
    key = session.get(DkimKey, (_domain(domain), selector.lower()))
    if key is None:
        raise NoKey
    return key


def check(key: DkimKey, look_up: LookUp) -> Finding:
    """Ask the DNS whether receivers find a key.

    :raises DnsSilent: no answer, neither yes nor no
    """
    return dkim_dns.check(key.domain, key.selector, Algorithm(key.algorithm), key.public, look_up)


def activate(
    session: Session, *, domain: str, selector: str, seen: Finding | None, now: datetime, actor: Actor
) -> list[DkimKey]:
    """Have a key sign from now on; return those of its algorithm whose place it takes.

    ``seen`` is what ``check`` found just now; None: somebody vouches for the record. A key that was
    replaced may come back so. Nothing changes if it signs already.

    :raises NoKey:
    :raises KeyRetired:
    :raises NotPublished: receivers would not find it
    """
    key = get(session, domain=domain, selector=selector)
    if not key.secret:
        raise KeyRetired
    if seen is not None and not seen.good:
        raise NotPublished(seen.says.template, **seen.says.values)
    signing = _signing(session, [key.domain], now, lock=True)
    if key in signing:
        return []
    replaced = [other for other in signing if other.algorithm == key.algorithm]
    for other in replaced:
        other.signs_until = now
    key.signs_from, key.signs_until = now, None
    session.flush()
    _note(
        session, "activate", key, now, actor,
        {"selector": [other.selector for other in replaced]}, {"selector": [key.selector]},
    )  # fmt: skip
    return replaced


def retire(
    session: Session, *, domain: str, selector: str, now: datetime, actor: Actor, last: bool = False
) -> DkimKey:
    """End a key for good and erase its private half; its row keeps its selector from being used again.

    :raises NoKey:
    :raises LastKey: the domain has no other that signs; ``last`` says that this is meant
    """
    key = get(session, domain=domain, selector=selector)
    signing = _signing(session, [key.domain], now, lock=True)
    if signing == [key] and not last:
        raise LastKey
    if key.secret:
        before = state(key, now)
        key.signs_until = min(key.signs_until or now, now)
        key.secret = ""
        session.flush()
        _note(session, "retire", key, now, actor, {"state": before}, {"state": "retired"})
    return key


# Signing


def signer(session: Session, domain: str, *, settings: Settings, now: datetime) -> Signer | None:
    """Return what signs for a sender's domain; None: it has no key in force, nor has a parent domain.

    :raises UnreadableKey: MAILER_SECRET no longer opens one of the keys
    """
    found = in_force(session, domain, now)
    return Signer([_opened(key, settings.keys) for key in found]) if found else None


def in_force(session: Session, domain: str, now: datetime) -> list[DkimKey]:
    """Return the keys that sign for a sender's domain; none: its letters go unsigned.

    The nearest domain with a key answers (``d=`` may be a parent: RFC 6376 §3.5). With keys of both
    algorithms there are two signatures, RSA first: every receiver knows it.
    """
    found = _signing(session, _with_parents(domain.lower()), now)
    nearest = max((key.domain for key in found), key=len, default="")
    chosen = sorted((key for key in found if key.domain == nearest), key=lambda key: key.algorithm)
    return chosen[::-1]


def sender_domains(session: Session) -> list[str]:
    """Return the domains that publications send from, but for the placeholder of those not set up yet."""
    found = {each.sender_address.rpartition("@")[2].lower() for each in publications(session)}
    return sorted(found - {UNSET_DOMAIN})


class Signers:
    """The signers of sender domains, which it asks the database for once a minute."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, tuple[datetime, Signer | None]] = {}  # by domain, and when it was asked

    def of(self, session: Session, domain: str, now: datetime) -> Signer | None:
        """Return what ``signer`` says, or said less than ``FRESH`` ago.

        :raises UnreadableKey: MAILER_SECRET no longer opens one of the keys
        """
        known = self._known.get(domain)
        if known is None or not timedelta() <= now - known[0] < FRESH:
            known = now, signer(session, domain, settings=self._settings, now=now)
            self._known[domain] = known
        return known[1]


def signed(session: Session, letter: bytes, *, settings: Settings, now: datetime) -> bytes:
    """Return a letter with the signatures of its From's domain before it, if that has keys.

    :raises UnreadableKey: MAILER_SECRET no longer opens one of the keys
    """
    found = signer(session, dkim.sender_domain(letter), settings=settings, now=now)
    return found.sign(letter, now) + letter if found else letter


def _with_parents(domain: str) -> list[str]:
    """Return a domain and those above it, but no top-level domain."""
    labels = domain.split(".")
    return [".".join(labels[at:]) for at in range(max(len(labels) - 1, 1))]


def _signing(session: Session, domains: Sequence[str], now: datetime, *, lock: bool = False) -> list[DkimKey]:
    query = select(DkimKey).where(
        DkimKey.domain.in_(domains),
        DkimKey.secret != "",
        DkimKey.signs_from <= now,
        or_(DkimKey.signs_until.is_(None), DkimKey.signs_until > now),
    )
    return list(session.scalars(query.with_for_update() if lock else query))


def _sealed(private: PrivateKey, keys: Keyring, domain: str, selector: str) -> str:
    octets = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return seal(keys, octets, purpose=_purpose(domain, selector))


def _opened(key: DkimKey, keys: Keyring) -> Key:
    try:
        octets = unseal(keys, key.secret, purpose=_purpose(key.domain, key.selector))
    except Unsealable as error:
        raise UnreadableKey(
            "The DKIM key {selector} of {domain} cannot be opened: put the key that MAILER_SECRET held before"
            " back, behind the newest, or make and activate another with `mailer dkim make {domain}`.",
            selector=key.selector,
            domain=key.domain,
        ) from error
    return Key(key.domain, key.selector, cast(PrivateKey, load_der_private_key(octets, password=None)))


def _purpose(domain: str, selector: str) -> str:
    return f"dkim {dkim_dns.record_name(domain, selector)}"


def _domain(text: str) -> str:
    try:
        return address.parse(f"postmaster@{text.strip().removesuffix('.')}").domain
    except address.BadAddress as error:
        raise BadDomain from error


def _free_selector(session: Session, domain: str, algorithm: Algorithm, now: datetime) -> str:
    """Return a selector that says when a key was made and of what kind, such as ``m20261122r``."""
    taken = set(session.scalars(select(DkimKey.selector).where(DkimKey.domain == domain)))
    stem = f"m{now:%Y%m%d}{algorithm[0]}"
    return next(
        word for word in (stem, *(f"{stem}{number}" for number in range(2, 1000))) if word not in taken
    )


_Facts = dict[str, object] | None


def _note(
    session: Session, verb: str, key: DkimKey, now: datetime, actor: Actor, before: _Facts, after: _Facts
) -> None:
    subject = f"dkim {dkim_dns.record_name(key.domain, key.selector)}"
    audit.record(session, now=now, actor=actor, action=f"dkim.{verb}", subject=subject, before=before,
                 after=after)  # fmt: skip
