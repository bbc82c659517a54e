"""Own rules: tried on the past without changing it, asked at once, and taken back whole."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailer.accounts.audit import Actor
from mailer.accounts.store import AuditEntry
from mailer.audience.store import Suppression
from mailer.audience.suppressions import NoReason
from mailer.database import Database
from mailer.delivery import events, own_rules
from mailer.delivery.events import News
from mailer.delivery.store import Case, Delivery, Event, EventInbox, EventKind, OwnRule
from mailer.diagnosis import Category, RuleRefused
from mailer.feedback import decisions, inbox, policy, record, rulebook, tryout
from mailer.feedback.inbox import Filter
from mailer.feedback.rulebook import Draft
from mailer.feedback.tryout import Judged
from tests.feedback import samples
from tests.make import KEYS, NOON, Make

ADMIN = Actor(None, "admin@example.org")
GONE = Draft(words="left the service", category=Category.BAD_MAILBOX, dead=True)
SAID = "RCPT: 554 The addressee has left the service"


def bounce(database: Database, delivery: Delivery, detail: str = SAID, category: str = "unknown") -> int:
    news = News(
        campaign_id=delivery.campaign_id, n=delivery.n, kind=EventKind.BOUNCE, at=NOON - timedelta(days=1),
        source="smtp", category=category, permanent=True, detail=detail,
    )  # fmt: skip
    with database.write() as session:
        [event] = events.record_many(session, [news])
        policy.apply_pending(session, now=NOON - timedelta(days=1))
    return event


def add(database: Database, draft: Draft = GONE) -> int:
    with database.write() as session:
        return rulebook.add(session, draft, now=NOON, actor=ADMIN)


def judge(database: Database, rule: int) -> int:
    with database.write() as session:
        judged = tryout.judge_anew(session, rule, now=NOON, actor=ADMIN)
    with database.write() as session:
        policy.apply_pending(session, now=NOON)
    return judged


def suppressed(database: Database) -> int:
    with database.read() as session:
        return session.query(Suppression).where(Suppression.released_at.is_(None)).count()


def test_trying_says_what_would_change_and_changes_nothing(database, make: Make) -> None:
    """Before and after, with counts and examples; what it fits and leaves as it is counts apart."""
    event = bounce(database, make.delivery())
    bounce(database, make.delivery(), "RCPT: 550 mailbox full", "mailbox_full")
    with database.read() as session:
        tried = tryout.on_past(session, GONE.as_rule())
        assert (tried.looked_at, tried.fits, tried.changed, tried.waiting) == (2, 1, 1, 1)
        assert tried.changes == {(Judged("unknown", False), Judged("bad_mailbox", True)): 1}
        assert [example.event.id for example in tried.examples] == [event]
        assert session.query(Event).count() == 2
        assert session.get_one(Case, event).category == "unknown"
        unchanged = tryout.on_past(
            session, Draft(words="left the service", category=Category.UNKNOWN).as_rule()
        )
        assert (unchanged.fits, unchanged.changed) == (1, 0)


def test_trying_ends_in_time_and_says_how_far_it_came(database, make: Make) -> None:
    """At most so many bounces, at most so long."""
    campaign = make.campaign()
    for _ in range(120):
        make_event(database, make.delivery(campaign=campaign))
    with database.read() as session:
        assert tryout.on_past(session, GONE.as_rule(), most=10).looked_at == 10
        assert tryout.on_past(session, GONE.as_rule(), seconds=0).looked_at == 100


def make_event(database: Database, delivery: Delivery) -> None:
    news = News(
        campaign_id=delivery.campaign_id, n=delivery.n, kind=EventKind.BOUNCE, at=NOON, source="smtp",
        category="unknown", detail=SAID,
    )  # fmt: skip
    with database.write() as session:
        events.record_many(session, [news])


def test_a_rule_that_is_asked_first_keeps_what_is_its_own(database, make: Make) -> None:
    """The newest is asked first: an older one that is tried anew does not get what the newer one takes."""
    bounce(database, make.delivery())
    older = add(database)
    add(database, Draft(words="addressee has left", category=Category.POLICY))
    with database.read() as session:
        assert tryout.on_past(session, GONE.as_rule(), place=older).fits == 0
        assert tryout.on_past(session, GONE.as_rule()).fits == 1


def test_a_saved_rule_is_asked_at_once_and_not_when_it_is_switched_off(database, make: Make) -> None:
    """In the process that saved it; others look again within seconds."""
    rule = add(database)
    with database.read() as session:
        assert [each.name for each in own_rules.in_force(session)] == [str(rule)]
    with database.write() as session:
        rulebook.switch(session, rule, on=False, now=NOON, actor=ADMIN)
    with database.read() as session:
        assert own_rules.in_force(session) == ()
        assert session.get_one(OwnRule, rule).active is False


def test_mail_that_comes_back_is_judged_by_an_own_rule(database, make: Make) -> None:
    """Its reason names the rule, so that the page can lead there."""
    rule = add(database)
    delivery = make.delivery("ann@example.org")
    raw = samples.dsn(("ann@example.org", "554 The addressee has left the service"))
    with database.write() as session:
        heard = record.hear(session, raw=raw, envelope_to=samples.return_path(delivery), now=NOON, keys=KEYS)
        row = inbox.get(session, heard.events[0])
        assert (row.case.category, row.event.dead) == ("bad_mailbox", True)
        assert row.case.reason == f"own rule {rule}"


def test_what_nobody_understood_keeps_the_words_of_the_system_that_refused(database, make: Make) -> None:
    """A person makes a rule of them, not of the notice around them."""
    delivery = make.delivery("ann@example.org")
    raw = samples.dsn(("ann@example.org", "554 5.0.0 The addressee has left the service"))
    with database.write() as session:
        heard = record.hear(session, raw=raw, envelope_to=samples.return_path(delivery), now=NOON, keys=KEYS)
        assert "left the service" in inbox.get(session, heard.events[0]).event.detail


def test_the_past_is_judged_anew_decided_about_and_put_back(database, make: Make) -> None:
    """The old event stays as it was; undoing releases whom it silenced and has the case wait again."""
    event = bounce(database, make.delivery())
    rule = add(database)
    assert judge(database, rule) == 1
    assert judge(database, rule) == 0
    with database.read() as session:
        anew = inbox.get(session, event)
        assert (anew.case.category, anew.case.judges, anew.case.rule_id) == ("bad_mailbox", event, rule)
        assert anew.event.at == NOON - timedelta(days=1)
        assert session.get_one(Event, event).category == "unknown"
        assert [row.case.event_id for row in inbox.listing(session, Filter()).rows] == [anew.case.event_id]
        assert rulebook.listing(session)[0].judged == 1
    assert suppressed(database) == 1
    with database.write() as session, pytest.raises(NoReason):
        tryout.undo(session, event, why=" ", now=NOON, actor=ADMIN)
    with database.write() as session:
        assert tryout.undo(session, event, why="she wrote to us", now=NOON, actor=ADMIN) == event
    assert suppressed(database) == 0
    with database.read() as session:
        case = session.get_one(Case, event)
        assert (case.category, case.open) == ("unknown", True)
        assert [row.case.event_id for row in inbox.listing(session, Filter()).rows] == [event]
        actions = {entry.action for entry in session.query(AuditEntry)}
    assert {"rule.add", "rule.judge", "rule.undo", "decision.undo"} <= actions


def test_all_that_a_rule_judged_is_taken_back_before_and_after_it_was_decided(database, make: Make) -> None:
    """What the policy has not looked at yet it never will."""
    campaign = make.campaign()
    for _ in range(3):
        bounce(database, make.delivery(campaign=campaign))
    rule = add(database)
    with database.write() as session:
        assert tryout.judge_anew(session, rule, now=NOON, actor=ADMIN) == 3
        assert tryout.undo_all(session, rule, why="a mistake", now=NOON, actor=ADMIN) == 3
        assert session.query(EventInbox).count() == 0
    assert judge_again(database, rule) == 3
    with database.write() as session:
        assert tryout.undo_all(session, rule, why="a mistake", now=NOON, actor=ADMIN) == 3
    assert suppressed(database) == 0


def judge_again(database: Database, rule: int) -> int:
    """A rule that was changed judges anew what was taken back from it."""
    with database.write() as session:
        rulebook.edit(session, rule, GONE, now=NOON + timedelta(hours=1), actor=ADMIN)
    return judge(database, rule)


def test_what_was_understood_is_never_judged_anew(database, make: Make) -> None:
    """Only unknown and technical."""
    bounce(database, make.delivery(), category="mailbox_full")
    assert judge(database, add(database)) == 0


@pytest.mark.parametrize(("told_of", "dead"), [("ann@example.org", True), ("bob@elsewhere.example", False)])
def test_a_report_of_another_mailbox_kills_no_address(database, make: Make, told_of: str, dead: bool) -> None:
    """Law 4: whoever forwards to a mailbox that is gone may well read the letters."""
    delivery = make.delivery("ann@example.org")
    raw = samples.dsn((told_of, "554 The addressee has left the service"))
    with database.write() as session:
        heard = record.hear(session, raw=raw, envelope_to=samples.return_path(delivery), now=NOON, keys=KEYS)
    assert judge(database, add(database)) == 1
    with database.read() as session:
        assert inbox.get(session, heard.events[0]).event.dead is dead


def test_a_report_whose_mail_is_gone_kills_no_address(database, make: Make) -> None:
    """Nobody can tell any more of which mailbox it spoke."""
    event = make.event(make.delivery(), source="dsn", detail=SAID, category="unknown", permanent=True)
    assert judge(database, add(database)) == 1
    with database.read() as session:
        assert inbox.get(session, event.id).event.dead is False


def test_what_changed_nothing_cannot_be_undone(database, make: Make) -> None:
    """And says so."""
    event = bounce(database, make.delivery())
    with database.write() as session, pytest.raises(decisions.NothingToUndo):
        tryout.undo(session, event, why="no reason", now=NOON, actor=ADMIN)


def test_a_rule_for_everything_is_refused(database) -> None:
    """Made or edited."""
    rule = add(database)
    wide = Draft(category=Category.BAD_MAILBOX)
    with database.write() as session:
        with pytest.raises(RuleRefused):
            rulebook.add(session, wide, now=NOON, actor=ADMIN)
        with pytest.raises(RuleRefused):
            rulebook.edit(session, rule, wide, now=NOON, actor=ADMIN)
        with pytest.raises(rulebook.NoRule):
            rulebook.switch(session, 99, on=True, now=NOON, actor=ADMIN)


def test_a_stored_rule_that_is_refused_today_is_passed_over(database, make: Make) -> None:
    """Letters go on; the other rules are asked."""
    rule = add(database)
    make.own_rule("")
    with database.read() as session:
        own_rules.forget(session)
        assert [each.name for each in own_rules.in_force(session)] == [str(rule)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5.1.1 <ann@example.org>: Recipient has left (ref 8821)", "Recipient has left (ref"),
        ("see https://example.org/help", "see"),
        ("用户不存在 1234567", "用户不存在"),
        ("", ""),
    ],
)
def test_a_rule_begins_with_words_that_are_not_of_one_letter(text: str, words: str) -> None:
    """No address, no number, no link."""
    assert tryout.words_of(text) == words
