"""Gone: who left or bounced in another system is remembered, so that no later list brings them back."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailer.accounts.audit import SYSTEM
from mailer.audience import imports, sign_ups, subscribers, subscriptions, suppressions
from mailer.audience.intake import Consent, LeftElsewhere, Verdict
from mailer.audience.names import Names
from mailer.audience.sign_ups import Mail, Wish
from mailer.audience.store import ConsentKind, Subscriber, Suppression
from mailer.audience.suppressions import Scope
from tests.make import KEYS, NOON

MAILCHIMP = "Email Address,First Name,UNSUB_TIME,UNSUB_REASON\nann@example.org,Ann,2020-01-02 03:04:05,N\n"
CLEANED = "Email Address,First Name,CLEAN_TIME,LEID\nben@example.org,Ben,2020-01-02 03:04:05,1\n"
LISTMONK = (
    "uuid,email,name,attributes,status,created_at,updated_at\n"
    "5e6b,cho@example.org,Cho,{},enabled,2020-01-02,2020-01-02\n"
    "5e6c,ann@example.org,Ann,{},blocklisted,2020-01-02,2020-01-02\n"
    "5e6d,dee@example.org,Dee,{},disabled,2020-01-02,2020-01-02\n"
)
MAILMAN = (
    "email,display_name,delivery_status\ncho@example.org,Cho,enabled\nben@example.org,Ben,by_bounces\n"
    "ann@example.org,Ann,by_user\ndee@example.org,Dee,by_moderator\n"
)
PLAIN = "email,name\nann@example.org,Ann\nben@example.org,Ben\ncho@example.org,Cho\n"


@pytest.fixture
def run(database, job):
    """Import a text; give back the report, which the dry run before it has foretold."""

    def run(text, **given):
        with database.write() as session:
            foretold = imports.dry_run(session, job(text, **given), now=NOON)
        report = imports.run(database, job(text, **given), clock=lambda: NOON)
        assert report.verdicts == foretold.verdicts
        return report

    return run


def verdicts(report):
    """Verdicts by line."""
    return {row.line: row.verdict.value for row in report.verdicts}


def silenced(database):
    """Reasons and notes of what is in force, by the addresses of this file's people."""
    names = {KEYS.address_hash(f"{who}@example.org"): who for who in ("ann", "ben", "cho", "dee")}
    with database.read() as session:
        return {
            names[row.address_hash]: (row.reason, row.note)
            for row in session.scalars(select(Suppression).where(Suppression.released_at.is_(None)))
        }


def test_who_left_mailchimp_is_remembered_and_not_brought_back_by_another_list(run, database):
    """Nobody is made of the row: the keyed mark of the address is all that is kept."""
    report = run(MAILCHIMP, name="unsubscribed.csv")
    assert (verdicts(report), report.counts[Verdict.AWAY]) == ({2: "kept_away"}, 1)
    assert silenced(database) == {
        "ann": ("left_elsewhere", "unsubscribed.csv:2: unsubscribed 2020-01-02 03:04:05")
    }
    with database.read() as session:
        assert session.scalars(select(Subscriber)).all() == []
    later = run(PLAIN)
    assert verdicts(later) == {2: "refused", 3: "added", 4: "added"}
    assert "only they themselves can come back" in later.verdicts[0].message


def test_who_was_cleaned_there_is_an_address_that_letters_come_back_from(run, database):
    """A bounce is what it is here too."""
    report = run(CLEANED, name="cleaned.csv")
    assert silenced(database) == {"ben": ("bad_mailbox", "cleaned.csv:2: cleaned 2020-01-02 03:04:05")}
    assert "Letters came back there" in report.verdicts[0].message
    assert verdicts(run(PLAIN))[3] == "refused"


def test_listmonk_says_it_in_its_status(run, database):
    """One whom nobody knows why is only refused."""
    assert verdicts(run(LISTMONK)) == {2: "added", 3: "kept_away", 4: "refused"}
    assert silenced(database) == {"ann": ("left_elsewhere", "people.csv:3: blocklisted")}


def test_mailman_says_it_in_the_delivery_status(run, database):
    """Who switched delivery off did so themselves; a moderator's word says nothing of them."""
    assert verdicts(run(MAILMAN)) == {2: "added", 3: "kept_away", 4: "kept_away", 5: "refused"}
    assert {who: reason for who, (reason, _) in silenced(database).items()} == {
        "ben": "bad_mailbox", "ann": "left_elsewhere",
    }  # fmt: skip


def test_it_binds_the_publication_of_the_import(run, database, make):
    """Another newsletter asks for its own."""
    run(MAILCHIMP)
    with database.read() as session:
        (row,) = session.scalars(select(Suppression)).all()
        assert Scope(row.publication_id, row.sender) == Scope(make.publication().id)


def test_the_same_file_again_finds_it_known(run, database):
    """Nothing is said twice."""
    run(MAILCHIMP)
    assert verdicts(run(MAILCHIMP)) == {2: "unchanged"}
    with database.read() as session:
        assert len(session.scalars(select(Suppression)).all()) == 1


def test_undoing_the_import_releases_it(run, database):
    """What came with the file goes with it; what a person has released meanwhile stays released by them."""
    report = run(LISTMONK + "5e6e,ben@example.org,Ben,{},unsubscribed,2020-01-02,2020-01-02\n")
    with database.write() as session:
        (ben,) = suppressions.of_address(session, KEYS.address_hash("ben@example.org"), NOON)
        suppressions.release(session, ben.id, NOON, SYSTEM, "asked for")
    undone = imports.undo(database, report.id, clock=lambda: NOON, actor=SYSTEM)
    assert undone == imports.Undone(2, 1)
    assert silenced(database) == {}
    assert verdicts(run(PLAIN)) == {2: "added", 3: "added", 4: "added"}


def test_undoing_leaves_what_was_said_before_the_import(run, database, make):
    """The file only repeated it."""
    make.suppression("ann@example.org", "left_elsewhere", publication_id=make.publication().id)
    report = run(MAILCHIMP)
    imports.undo(database, report.id, clock=lambda: NOON, actor=SYSTEM)
    assert set(silenced(database)) == {"ann"}


def test_the_persons_own_sign_up_lifts_it(run, database, make):
    """A mail to the address was read: they want it here."""
    run(MAILCHIMP)
    wish = Wish(address="ann@example.org", language="en", wording="Yes, please.", origin="192.0.2.1")
    with database.write() as session:
        asked = sign_ups.ask(session, wish, publication_id=make.publication().id, keys=KEYS, now=NOON)
        assert asked.mail is Mail.CONFIRM
        assert sign_ups.confirm(session, asked.id, now=NOON, origin="192.0.2.1")
    assert silenced(database) == {}
    assert verdicts(run(PLAIN))[2] == "updated"


def test_who_has_said_yes_here_is_not_silenced_by_what_they_said_elsewhere(run, database, make):
    """Their own yes, confirmed by mail, is about this newsletter."""
    make.subscriber("ann@example.org")
    report = run(MAILCHIMP)
    assert (verdicts(report), silenced(database)) == ({2: "unchanged"}, {})
    assert "by their own yes" in report.verdicts[0].message


def test_who_came_by_a_list_is_silenced_by_a_later_file_of_those_who_left(run, database):
    """The subscribed file first, the unsubscribed one after it: the order does not matter."""
    run(PLAIN)
    assert verdicts(run(MAILCHIMP)) == {2: "kept_away"}
    assert set(silenced(database)) == {"ann"}


def test_who_left_here_is_away_already(run, database, make):
    """One leave is enough."""
    ann = make.subscriber("ann@example.org")
    with database.write() as session:
        subscriptions.leave(session, subscriber_id=ann.id, publication_id=make.publication().id, now=NOON)
    assert (verdicts(run(MAILCHIMP)), silenced(database)) == ({2: "unchanged"}, {})


def test_a_leave_outranks_the_rest_of_its_file(run, database):
    """Above or below it, in one list or another of the same export."""
    text = (
        "email,status\nann@example.org,enabled\nANN@example.org,unsubscribed\nann@example.org,enabled\n"
        "ann@example.org,unsubscribed\nnot an address@,unsubscribed\n"
    )
    assert verdicts(run(text)) == {2: "added", 3: "kept_away", 4: "refused", 5: "refused", 6: "refused"}
    assert set(silenced(database)) == {"ann"}


def test_a_partners_file_silences_nobody(run, database, make):
    """Its rows are refused as ever: what a partner says of an address binds no other partner."""
    moe, sea = make.partner("moe"), make.partner("sea")
    for text in (MAILCHIMP, CLEANED):
        report = run(text, partner=moe)
        assert (verdicts(report), silenced(database)) == ({2: "refused"}, {})
        assert "The other system does not write to this person" in report.verdicts[0].message
    assert verdicts(run(PLAIN, partner=sea)) == {2: "added", 3: "added", 4: "added"}


def test_a_partner_learns_nothing_of_who_left_elsewhere(run, make):
    """The verdict on somebody kept away is that on a stranger."""
    run(MAILCHIMP)
    report = run("email\nann@example.org\nnew@example.org\n", partner=make.partner("moe"))
    assert [(row.verdict, row.message) for row in report.verdicts] == [(Verdict.ADDED, "")] * 2


def test_an_import_that_stopped_remembers_the_rest_once(run, job, database):
    """The same file again: what is kept already is not kept twice."""
    text = LISTMONK + "5e6e,ben@example.org,Ben,{},unsubscribed,2020-01-02,2020-01-02\n"
    half = job(text)
    with database.write() as session:
        begun = imports.begin(session, half, now=NOON)
        imports.take(session, half, begun, list(half.sheet.rows())[:2], now=NOON)
    report = imports.run(database, job(text), clock=lambda: NOON)
    assert verdicts(report) == {2: "added", 3: "kept_away", 4: "refused", 5: "kept_away"}
    with database.read() as session:
        assert {row.people_import_id for row in session.scalars(select(Suppression))} == {begun}
        assert len(session.scalars(select(Suppression)).all()) == 2


def test_nobody_kept_away_can_be_added_by_hand_either(run, database, make):
    """The secretariat's form asks the same rule."""
    run(MAILCHIMP)
    with database.write() as session, pytest.raises(LeftElsewhere):
        subscribers.add(
            session, keys=KEYS, now=NOON, actor=SYSTEM, address="ann@example.org", names=Names(),
            language="en", publication_id=make.publication().id,
            consent=Consent(ConsentKind.IMPORTED, "Agreed."),
        )  # fmt: skip
