"""The second step of signing in: a code from an app, or one of ten recovery codes.

A code is good once (RFC 6238 §5.2). The app's secret is kept sealed, recovery codes as hashes: 80 random bits
need no slow hash.
"""

from __future__ import annotations

import re
import secrets
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy.orm import Session

from mailer.accounts import audit, sessions, store, totp
from mailer.accounts.audit import Actor
from mailer.accounts.store import RecoveryCode, Totp
from mailer.errors import Conflict, Invalid
from mailer.sealing import seal, unseal
from mailer.signing import Keyring

RECOVERY_CODES = 10
_RECOVERY_OCTETS = 10  # 80 bits, 16 signs of base32
_RECOVERY = re.compile(r"[a-z2-7]{16}")


class WrongCode(Invalid):
    """This code does not fit, or was used already: wait for the next one in the app and type that."""


class CodesOn(Conflict):
    """Codes are on for this account already: switch them off first to set up another device."""


class NotBegun(Conflict):
    """Nothing is set up yet: begin with the QR code."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What is shown while an app is set up: the secret to type, and the address the QR code holds."""

    secret: str
    address: str


def state(session: Session, user_id: int) -> Totp | None:
    """Return an account's secret; its ``confirmed_at`` says whether it is in force. None: none was made."""
    return session.get(Totp, user_id)


def left(session: Session, user_id: int) -> int:
    """Return how many recovery codes the account still has."""
    return store.recovery_codes_left(session, user_id)


def begin(session: Session, *, user_id: int, keys: Keyring, now: datetime) -> None:
    """Make a secret that guards nothing until a code of it was typed; one begun before is replaced.

    :raises CodesOn: they are in force
    """
    found = state(session, user_id)
    if found is not None and found.confirmed_at is not None:
        raise CodesOn
    if found is None:
        found = Totp(user_id=user_id)
        session.add(found)
    fresh = secrets.token_bytes(totp.SECRET_OCTETS)
    found.secret, found.made_at = seal(keys, fresh, purpose=_purpose(user_id)), now
    session.flush()


def enrolment(session: Session, *, user_id: int, account: str, issuer: str, keys: Keyring) -> Enrolment:
    """Return what the app needs.

    :raises NotBegun: no secret was made
    :raises CodesOn: the secret is in force, and is shown no more
    """
    found = _begun(session, user_id)
    secret = unseal(keys, found.secret, purpose=_purpose(user_id))
    return Enrolment(totp.readable(secret), totp.address(secret, account=account, issuer=issuer))


def confirm(
    session: Session, *, user_id: int, code: str, keys: Keyring, now: datetime, actor: Actor, keep: str
) -> list[str]:
    """Put the secret in force, given a code of it, and return the recovery codes: nobody sees them again.

    Other sessions than ``keep`` are closed: they were opened without a code.

    :raises NotBegun: no secret was made
    :raises CodesOn: one is in force
    :raises WrongCode: not one of this secret's just now
    """
    found = _begun(session, user_id)
    _take(session, found, code, keys, now)
    found.confirmed_at = now
    store.close_sessions(session, user_id, keep)
    made = _new_recovery_codes(session, user_id)
    _note(session, "user.codes_on", user_id, now, actor, before={"codes": False}, after={"codes": True})
    return made


def check(session: Session, *, user_id: int, code: str, keys: Keyring, now: datetime) -> bool:
    """Use a code of the app or a recovery code up; False: it was a recovery code.

    :raises WrongCode: neither fits, or it was used
    """
    found = state(session, user_id)
    if found is None or found.confirmed_at is None:
        raise WrongCode
    typed = totp.figures(code).lower()
    if _RECOVERY.fullmatch(typed):
        if not store.take_recovery_code(session, user_id, _hash(typed), now):
            raise WrongCode
        left_ = {"recovery_codes": left(session, user_id)}
        actor = audit.Actor(user_id, session.get_one(store.User, user_id).email)
        _note(session, "user.recovery_code", user_id, now, actor,
              before={"recovery_codes": left_["recovery_codes"] + 1}, after=left_)  # fmt: skip
        return False
    _take(session, found, code, keys, now)
    return True


def renew_recovery_codes(session: Session, *, user_id: int, now: datetime, actor: Actor) -> list[str]:
    """Replace the recovery codes and return the new ones: nobody sees them again."""
    before = left(session, user_id)
    made = _new_recovery_codes(session, user_id)
    _note(session, "user.recovery_codes", user_id, now, actor,
          before={"recovery_codes": before}, after={"recovery_codes": len(made)})  # fmt: skip
    return made


def turn_off(session: Session, *, user_id: int, now: datetime, actor: Actor) -> None:
    """Forget the secret and the recovery codes. Who calls has asked for a code, or is an administrator."""
    found = state(session, user_id)
    if found is None:
        return
    was_on = found.confirmed_at is not None
    store.forget_second_step(session, user_id)
    if was_on:
        _note(session, "user.codes_off", user_id, now, actor, before={"codes": True}, after={"codes": False})


def reset(session: Session, *, user_id: int, now: datetime, actor: Actor) -> None:
    """Help somebody who lost phone and recovery codes: codes are off, and every session is closed.

    :raises NotBegun: codes are not on
    """
    found = state(session, user_id)
    if found is None or found.confirmed_at is None:
        raise NotBegun("This account signs in without codes: there is nothing to reset.")
    turn_off(session, user_id=user_id, now=now, actor=actor)
    sessions.revoke_all(session, user_id=user_id, now=now, actor=actor)


def _begun(session: Session, user_id: int) -> Totp:
    found = state(session, user_id)
    if found is None:
        raise NotBegun
    if found.confirmed_at is not None:
        raise CodesOn
    return found


def _take(session: Session, found: Totp, code: str, keys: Keyring, now: datetime) -> None:
    secret = unseal(keys, found.secret, purpose=_purpose(found.user_id))
    step = totp.step_matching(secret, code, now)
    if step is None or not store.take_step(session, found.user_id, step):
        raise WrongCode


def _new_recovery_codes(session: Session, user_id: int) -> list[str]:
    store.forget_recovery_codes(session, user_id)
    made = [b32encode(secrets.token_bytes(_RECOVERY_OCTETS)).decode().lower() for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(user_id=user_id, code_hash=_hash(code)) for code in made)
    session.flush()
    return ["-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in made]


def _purpose(user_id: int) -> str:
    return f"totp {user_id}"


def _hash(code: str) -> str:
    return sha256(code.encode()).hexdigest()


def _note(
    session: Session, action: str, user_id: int, now: datetime, actor: Actor, before: object, after: object
) -> None:
    audit.record(session, now=now, actor=actor, action=action, subject=f"user {user_id}", before=before,
                 after=after)  # fmt: skip
