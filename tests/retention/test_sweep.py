"""Retention runs by itself: what is due goes, sums stay, twice is once, and periods are set with care."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from mailer.accounts import audit
from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import AuditEntry
from mailer.audience import silenced, subscriptions
from mailer.audience.changes import journal, wholesale
from mailer.audience.changes.kinds import Kind, Plan
from mailer.audience.changes.store import Change, ChangeRow
from mailer.audience.evidence import history
from mailer.audience.evidence.store import PastConsent
from mailer.audience.selection import Selection
from mailer.audience.store import (
    Import,
    ImportRow,
    SignUp,
    Subscriber,
    Subscription,
    SubscriptionState,
)
from mailer.delivery.events import MACHINE
from mailer.delivery.store import CampaignState, Event, EventKind
from mailer.reports import store as reports
from mailer.retention import rules, store, sweep
from mailer.retention.rules import RULES, Key
from mailer.settings import Settings
from mailer.tracking.store import VisitSum
from tests.make import KEYS, NOON, SECRET

DAY = timedelta(days=1)
RULE = {rule.key: rule for rule in RULES}


def forget(database, key, *, before, now=NOON, seconds=20.0):
    return sweep.forget(database, RULE[key], before, now=now, seconds=seconds)


def count(database, table):
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_the_log_forgets_its_oldest_entries_alone(database):
    """Three years, unless somebody says otherwise."""
    with database.write() as session:
        for age in (1, 1_094, 1_096, 2_000):
            audit.record(session, now=NOON - age * DAY, actor=SYSTEM, action="a.b", subject=str(age))
    assert forget(database, Key.AUDIT, before=rules.before(RULE[Key.AUDIT], NOON)).forgotten == 2
    with database.read() as session:
        assert set(session.scalars(select(AuditEntry.subject))) == {"1", "1094"}


def test_what_mail_systems_said_goes_and_what_it_meant_stays(database, make):
    """Visits keep the word that tells machines apart."""
    letter = make.delivery()
    old = make.event(letter, at=NOON - 400 * DAY, category="bad_mailbox", detail="550 no ann@example.org")
    make.event(letter, at=NOON, category="bad_mailbox", detail="550 gone")
    make.event(letter, EventKind.OPEN, at=NOON - 400 * DAY, detail=f"{MACHINE}: Gmail")
    assert forget(database, Key.EVENT_WORDS, before=NOON - 365 * DAY).forgotten == 1
    assert forget(database, Key.EVENT_WORDS, before=NOON - 365 * DAY).forgotten == 0
    with database.read() as session:
        assert session.get_one(Event, old.id).detail == ""
        assert session.get_one(Event, old.id).category == "bad_mailbox"
        details = set(session.scalars(select(Event.detail)))
    assert details == {"", "550 gone", f"{MACHINE}: Gmail"}


@pytest.fixture
def visited(make):
    """A campaign of long ago: two people opened, one of them twice; one clicked; a machine did both."""
    campaign = make.campaign(CampaignState.SENT, launched_at=NOON - 800 * DAY, finished_at=NOON - 799 * DAY)
    ann, bob, bot = (make.delivery(campaign=campaign) for _ in range(3))
    for letter in (ann, ann, bob):
        make.event(letter, EventKind.OPEN)
    make.event(bob, EventKind.CLICK, link=0)
    for kind in (EventKind.OPEN, EventKind.CLICK):
        make.event(bot, kind, detail=f"{MACHINE}: Gmail", link=0)
    make.event(ann, EventKind.BOUNCE, category="mailbox_full")
    return campaign


def test_who_opened_goes_and_how_many_stays(database, visited, make):
    """Reports say after as before; bounces and younger campaigns are not touched."""
    young = make.campaign(CampaignState.SENT, finished_at=NOON)
    make.event(make.delivery(campaign=young), EventKind.OPEN)
    with database.read() as session:
        before = reports.by_kind(session, visited.id)
    assert (before["open"], before["click"], before["bounce"]) == (2, 1, 1)
    assert forget(database, Key.VISITS, before=NOON - 730 * DAY).forgotten == 6
    with database.read() as session:
        assert reports.by_kind(session, visited.id) == before
        assert reports.by_kind(session, young.id)["open"] == 1
        sums = {(row.kind, row.link): (row.people, row.visits) for row in session.scalars(select(VisitSum))}
    assert sums == {("open", -1): (2, 3), ("click", -1): (1, 1), ("click", 0): (1, 1)}


def test_sums_are_written_once_and_a_half_made_run_goes_on(database, visited, monkeypatch):
    """Nothing is counted twice, also while half of the visits are still there."""
    monkeypatch.setattr(sweep, "AT_ONCE", 2)
    assert forget(database, Key.VISITS, before=NOON, seconds=0).more
    with database.read() as session:
        assert reports.by_kind(session, visited.id)["open"] == 2
    done = forget(database, Key.VISITS, before=NOON)
    assert (done.forgotten, done.more) == (4, False)
    assert forget(database, Key.VISITS, before=NOON).forgotten == 0
    assert count(database, VisitSum) == 3


def imported(make, age, lines=1):
    publication = make.publication()
    done = make._add(
        Import(
            public_id=__import__("uuid").uuid4(), publication_id=publication.id, file_name="a.csv",
            file_hash="0" * 64, actor="admin@example.org", started_at=NOON - age, finished_at=NOON - age,
        )
    )  # fmt: skip
    for line in range(1, lines + 1):
        make._add(ImportRow(import_id=done.id, line=line, verdict="added", message=""))
    return done


def test_verdicts_on_rows_go_and_the_import_stays(database, make):
    """That a file came, from whom and when, is history."""
    imported(make, 91 * DAY, lines=3)
    imported(make, 1 * DAY)
    assert forget(database, Key.IMPORT_ROWS, before=NOON - 90 * DAY).forgotten == 3
    assert (count(database, ImportRow), count(database, Import)) == (1, 2)


def changed(database, make, at):
    with database.write() as session:
        plan = Plan(Kind.COUNTRY, make.publication().id, "FR")
        wholesale.begin(session, Selection(), plan, now=at, actor=SYSTEM)
    wholesale.work(database, clock=lambda: at, seconds=60)


def test_changes_go_with_their_rows(database, make):
    """They could not be taken back any more."""
    make.subscriber("ann@example.org", country="CN")
    changed(database, make, NOON - 100 * DAY)
    assert forget(database, Key.CHANGES, before=NOON - 90 * DAY).forgotten == 1
    assert (count(database, ChangeRow), count(database, Change)) == (0, 0)


def test_nothing_is_left_of_who_was_erased(database, make):
    """Imports, changes and past consents are looked through once more."""
    ann = make.subscriber("ann@example.org", country="CN")
    bob = make.subscriber("bob@example.org", country="CN")
    changed(database, make, NOON)
    for reader in (ann, bob):
        with database.write() as session:
            subscriptions.rejoin(
                session, subscriber_id=reader.id, publication_id=make.publication().id, now=NOON
            )
            subscriptions.leave(
                session, subscriber_id=reader.id, publication_id=make.publication().id, now=NOON,
                by="admin@example.org",
            )  # fmt: skip
    with database.write() as session:
        session.query(PastConsent).update({"consent_origin": "203.0.113.9"})
        session.get_one(Subscriber, ann.id).erased_at = NOON
    assert forget(database, Key.LEFT_OVERS, before=NOON + DAY).forgotten == 1
    assert forget(database, Key.LEFT_OVERS, before=NOON + DAY).forgotten == 0
    with database.read() as session:
        held = {row.subscriber_id: row.written for row in session.scalars(select(ChangeRow))}
        origins = {row.subscriber_id: row.consent_origin for row in session.scalars(select(PastConsent))}
    assert held[ann.id] is None
    assert held[bob.id] is not None
    assert origins == {ann.id: "", bob.id: "203.0.113.9"}


@pytest.fixture
def mine(tmp_path):
    return Settings(data=tmp_path, secret=SECRET)


def test_a_dry_run_says_what_would_go_and_nothing_goes(database, make, mine, visited):
    """Also the sums are not written."""
    imported(make, 91 * DAY, lines=3)
    told = {done.key: done.forgotten for done in sweep.run(database, settings=mine, now=NOON, dry=True)}
    assert (told[Key.IMPORT_ROWS], told[Key.VISITS]) == (3, 6)
    assert (count(database, ImportRow), count(database, VisitSum)) == (3, 0)
    assert count(database, store.RetentionRun) == 0


def test_a_run_notes_what_went_and_runs_for_nothing_do_not_pile_up(database, make, mine):
    """One row says that it ran lately; those that forgot something stay."""
    imported(make, 91 * DAY, lines=3)
    for hour in range(4):
        sweep.run(database, settings=mine, now=NOON + timedelta(hours=hour))
    with database.read() as session:
        last = store.last_runs(session)
        assert last[Key.IMPORT_ROWS].at == NOON + timedelta(hours=3)
        assert store.forgotten(session)[Key.IMPORT_ROWS] == 3
        assert [run.key for run in store.runs(session, 10)] == [Key.IMPORT_ROWS]
        mine_alone = select(func.count()).where(store.RetentionRun.key == Key.IMPORT_ROWS)
        assert session.scalar(mine_alone) == 2


def test_a_period_that_was_set_is_in_force(database, make, mine):
    """None: for ever; the log tells who set it."""
    imported(make, 91 * DAY)
    with database.write() as session:
        sweep.set_period(session, key="import_rows", days=None, settings=mine, now=NOON, actor=SYSTEM)
    sweep.run(database, settings=mine, now=NOON)
    assert count(database, ImportRow) == 1
    with database.write() as session:
        sweep.set_period(session, key="import_rows", days=30, settings=mine, now=NOON, actor=SYSTEM)
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
        assert (entry.before, entry.after) == ({"days": None}, {"days": 30})
    sweep.run(database, settings=mine, now=NOON)
    assert count(database, ImportRow) == 0


@pytest.mark.parametrize(
    ("key", "days", "error"), [("changes", 29, sweep.TooShort), ("else", 1, sweep.NoRule)]
)
def test_a_period_that_would_break_a_promise_is_refused(database, mine, key, days, error):
    """A change can be taken back for 30 days: its rows stay as long."""
    with pytest.raises(error), database.write() as session:
        sweep.set_period(session, key=key, days=days, settings=mine, now=NOON, actor=SYSTEM)


def test_undo_is_possible_as_long_as_rows_are_kept():
    """The least period of changes is the time in which they can be taken back."""
    assert timedelta(days=RULE[Key.CHANGES].least) == journal.UNDO_FOR


def asked(make, subscriber, at, **given):
    facts = {"language": "en", "topics": [], "names": {}, "wording": "yes", "origin": "203.0.113.9"}
    ids = {"publication_id": make.publication().id, "subscriber_id": subscriber.id}
    return make._add(SignUp(**{**facts, **ids, "asked_at": at, **given}))


def addresses(database):
    with database.read() as session:
        return set(session.scalars(select(Subscriber.address)))


def test_a_sign_up_that_nobody_confirmed_goes_with_its_person(database, make):
    """Who is tied to anything else stays; a confirmed one is not touched."""
    alone, late, member = (make.subscriber(f"{name}@example.org", subscribed=False) for name in "abc")
    reader = make.subscriber("d@example.org")
    make.membership(make.partner(), member)
    asked(make, alone, NOON - 31 * DAY)
    asked(make, late, NOON - 1 * DAY)
    asked(make, member, NOON - 31 * DAY)
    asked(make, reader, NOON - 31 * DAY, confirmed_at=NOON - 31 * DAY)
    assert forget(database, Key.SIGN_UPS, before=NOON - 30 * DAY).forgotten == 2
    assert addresses(database) == {"b@example.org", "c@example.org", "d@example.org"}
    assert count(database, SignUp) == 2


def test_who_had_left_before_an_unconfirmed_sign_up_has_left_again(database, make):
    """Else an import could subscribe them."""
    reader = make.subscriber("ann@example.org")
    ids = {"subscriber_id": reader.id, "publication_id": make.publication().id}
    with database.write() as session:
        subscriptions.leave(session, now=NOON - 60 * DAY, **ids)
        own = session.get_one(Subscription, (ids["publication_id"], reader.id))
        history.keep_subscription(session, own, now=NOON - 40 * DAY)
        own.state, own.changed_at = SubscriptionState.PENDING, NOON - 40 * DAY
    forget(database, Key.SIGN_UPS, before=NOON - 30 * DAY)
    with database.read() as session:
        own = session.get_one(Subscription, (ids["publication_id"], reader.id))
        assert (own.state, own.changed_at) == (SubscriptionState.LEFT, NOON - 60 * DAY)


def test_people_without_any_tie_go_after_a_year(database, make):
    """Whoever left is kept; a membership counts until a year after its end; ledgers keep their sums."""
    old = NOON - 400 * DAY
    make.subscriber("a@example.org", subscribed=False, created_at=old)
    ended = make.subscriber("b@example.org", subscribed=False, created_at=old)
    make.membership(make.partner(), ended, ended_at=NOON - 380 * DAY)
    lately = make.subscriber("c@example.org", subscribed=False, created_at=old)
    make.membership(make.partner(), lately, ended_at=NOON - 10 * DAY)
    left = make.subscriber("d@example.org", subscribed=False, created_at=old)
    make.subscription(left, state=SubscriptionState.LEFT)
    make.subscriber("e@example.org", subscribed=False, created_at=NOON)
    written_to = make.subscriber("f@example.org", subscribed=False, created_at=old)
    make.delivery(subscriber=written_to)
    assert forget(database, Key.STRANGERS, before=NOON - 365 * DAY).forgotten == 3
    assert forget(database, Key.STRANGERS, before=NOON - 365 * DAY).forgotten == 0
    assert addresses(database) == {None, "c@example.org", "d@example.org", "e@example.org"}
    with database.read() as session:
        assert session.get_one(Subscriber, written_to.id).erased_at == NOON
        assert not silenced.of_hashes(session, [KEYS.address_hash("f@example.org")], NOON)
