"""The second step: set up by a code, asked for at every door, each code good once."""

from __future__ import annotations

from base64 import b32decode
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from mailer.accounts import audit, second, sessions, totp
from mailer.accounts.audit import SYSTEM
from mailer.accounts.second import CodesOn, NotBegun, WrongCode
from mailer.accounts.store import AuditEntry, RecoveryCode, Totp
from mailer.sealing import Unsealable
from mailer.signing import Keyring
from tests.make import KEYS, NOON

STEP = timedelta(seconds=30)


def code_of(session, user_id, at):
    """Return what an app that scanned the picture shows."""
    return totp.code_at(secret_of(session, user_id), totp.step_of(at))


def secret_of(session, user_id):
    """Return what an app finds in the picture."""
    found = second.enrolment(session, user_id=user_id, account="a@example.org", issuer="m", keys=KEYS)
    return b32decode(parse_qs(urlsplit(found.address).query)["secret"][0])


@pytest.fixture
def ann(make):
    return make.user()


def enrolled(session, ann, at=NOON):
    """Set codes up; return the recovery codes, and what shows the app's code at an instant."""
    second.begin(session, user_id=ann.id, keys=KEYS, now=at)
    secret = secret_of(session, ann.id)

    def shows(at):
        return totp.code_at(secret, totp.step_of(at))

    recovery = second.confirm(
        session, user_id=ann.id, code=shows(at), keys=KEYS, now=at, actor=SYSTEM, keep=""
    )
    return recovery, shows


def test_codes_guard_an_account_once_one_was_typed(database, ann):
    """A picture that was only looked at locks nobody out."""
    with database.write() as session:
        with pytest.raises(NotBegun):
            second.confirm(session, user_id=ann.id, code="1", keys=KEYS, now=NOON, actor=SYSTEM, keep="")
        second.begin(session, user_id=ann.id, keys=KEYS, now=NOON)
        assert second.state(session, ann.id).confirmed_at is None
        with pytest.raises(WrongCode):
            second.confirm(session, user_id=ann.id, code="x", keys=KEYS, now=NOON, actor=SYSTEM, keep="")
        code = code_of(session, ann.id, NOON)
        made = second.confirm(session, user_id=ann.id, code=code, keys=KEYS, now=NOON, actor=SYSTEM, keep="")
        assert second.state(session, ann.id).confirmed_at == NOON
        assert len(set(made)) == 10
        with pytest.raises(CodesOn):
            second.begin(session, user_id=ann.id, keys=KEYS, now=NOON)
        with pytest.raises(CodesOn):  # a secret in force is shown no more
            code_of(session, ann.id, NOON)


def test_a_code_is_good_once_and_an_older_one_not_after_it(database, ann):
    """RFC 6238 §5.2: who looks over a shoulder comes too late."""
    with database.write() as session:
        _, shows = enrolled(session, ann)
        later = NOON + 4 * STEP
        with pytest.raises(WrongCode):  # the one it was set up with
            second.check(session, user_id=ann.id, code=shows(NOON), keys=KEYS, now=NOON)
        assert second.check(session, user_id=ann.id, code=shows(later), keys=KEYS, now=later)
        for refused in (shows(later), shows(later - STEP)):
            with pytest.raises(WrongCode):
                second.check(session, user_id=ann.id, code=refused, keys=KEYS, now=later)
        assert second.check(session, user_id=ann.id, code=shows(later + STEP), keys=KEYS, now=later)


def test_a_recovery_code_stands_in_once(database, ann, make):
    """Typed with or without its dashes, in any case; another's does not fit."""
    ben = make.user()
    with database.write() as session:
        recovery, _ = enrolled(session, ann)
        others, _ = enrolled(session, ben)
        typed = recovery[3].replace("-", "").upper()
        assert not second.check(session, user_id=ann.id, code=typed, keys=KEYS, now=NOON)
        assert second.left(session, ann.id) == 9
        for refused in (recovery[3], others[0]):
            with pytest.raises(WrongCode):
                second.check(session, user_id=ann.id, code=refused, keys=KEYS, now=NOON)
        fresh = second.renew_recovery_codes(session, user_id=ann.id, now=NOON, actor=SYSTEM)
        assert second.left(session, ann.id) == 10
        with pytest.raises(WrongCode):
            second.check(session, user_id=ann.id, code=recovery[0], keys=KEYS, now=NOON)
        assert not second.check(session, user_id=ann.id, code=fresh[0], keys=KEYS, now=NOON)


def test_a_stolen_database_tells_no_secret(database, ann):
    """The app's secret is sealed, and to this account; recovery codes are hashes."""
    stranger = Keyring.parse("1:another-secret-of-ours")
    with database.write() as session:
        recovery, _ = enrolled(session, ann)
        row = session.scalars(select(Totp)).one()
        hashes = session.scalars(select(RecoveryCode.code_hash)).all()
        assert row.secret.startswith("1:")
        assert not {code.replace("-", "") for code in recovery} & set(hashes)
        with pytest.raises(Unsealable):
            second.check(session, user_id=ann.id, code="123456", keys=stranger, now=NOON)


def test_switching_codes_on_closes_what_was_opened_without(database, ann):
    """But for the browser in which it is done."""
    with database.write() as session:
        mine, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        other, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        second.begin(session, user_id=ann.id, keys=KEYS, now=NOON)
        keep = sessions.find(session, mine, NOON).id
        code = code_of(session, ann.id, NOON)
        second.confirm(session, user_id=ann.id, code=code, keys=KEYS, now=NOON, actor=SYSTEM, keep=keep)
        assert sessions.find(session, mine, NOON).has_codes
        assert sessions.find(session, other, NOON) is None


def test_an_administrator_helps_who_lost_the_phone(database, ann):
    """Codes are off, sessions closed, and the log says so; a second time there is nothing to reset."""
    with database.write() as session:
        enrolled(session, ann)
        cookie, _ = sessions.open_session(session, user_id=ann.id, now=NOON)
        second.reset(session, user_id=ann.id, now=NOON, actor=SYSTEM)
        assert second.state(session, ann.id) is None
        assert second.left(session, ann.id) == 0
        assert sessions.find(session, cookie, NOON) is None
        with pytest.raises(NotBegun):
            second.reset(session, user_id=ann.id, now=NOON, actor=SYSTEM)
        session.flush()
        told = {entry.action: (entry.before, entry.after) for entry in audit.entries(session)}
        assert told["user.codes_off"] == ({"codes": True}, {"codes": False})
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "user.codes_on")).one()
