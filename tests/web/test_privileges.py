"""Least privilege: every route, called as every role, lets in whom the table names and nobody else."""

from __future__ import annotations

import pytest

from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import Role
from mailer.audience.changes import wholesale
from mailer.audience.changes.kinds import Kind, Plan
from mailer.audience.intake import Consent
from mailer.audience.selection import Selection
from mailer.audience.store import ConsentKind, Import, Membership
from mailer.audience.uploads import steps
from mailer.delivery.store import CampaignState
from mailer.issues.store import Issue
from tests.make import KEYS, NOON
from tests.web import privileges


@pytest.fixture
def people(sign_in, make):
    """Somebody of every role; the manager's partner is ``ours``."""
    ours = make.partner("ours")
    return {role: sign_in(role, **({"partner_id": ours.id} if role == Role.PARTNER else {})) for role in Role}


@pytest.fixture
def places(make, people, outbox):
    """What stands in paths: a row of each kind, the manager's own where it is a partner's."""
    with make.database.read() as session:
        ours = session.get_one(type(make.partner()), people[Role.PARTNER].user.partner_id)
    person = make.subscriber("ann@example.org", partner=ours)
    campaign = make.campaign(CampaignState.SENDING)
    delivery = make.delivery(campaign=campaign, subscriber=person, partner=ours)
    other, change = make.subscriber("bob@example.org"), _changed(make)
    event, rule = make.event(delivery, detail="550 no"), make.own_rule("no such luck")
    suppression, account = make.suppression("gone@example.org"), make.user(Role.VIEWER)
    (upload, file), (our_upload, our_file) = (_imported(make, owner) for owner in (None, ours))
    outbox.record(received_at=NOON, mail_from="", recipients=["a@example.org"], content=b"Subject: x\n\nbody")
    with make.database.read() as session:
        membership = session.query(Membership).filter_by(partner_id=ours.id).one().public_id
        issue = session.get_one(Issue, campaign.issue_id).public_id
    return {
        "partner:{person}": str(membership),
        "partner:{upload}": our_upload,
        "partner:{file}": our_file,
        "{upload}": upload,
        "{file}": file,
        "{mail}": "1",
        "admin:{person}": str(other.public_id),
        "{person}": str(person.public_id),
        "{issue}": str(issue),
        "{campaign}": str(campaign.public_id),
        "{event}": str(event.id),
        "{rule}": str(rule.id),
        "{suppression}": str(suppression.id),
        "{user}": str(account.id),
        "{letter}": "1",
        "{segment}": str(make.segment("language = zh").id),
        "{request_id}": str(make.request(ours).public_id),
        "admin/partners:{code}": make.partner("away").code,
        "{code}": "observer",
        "{kind}": "csv",
        "{change}": change,
        "{kept}": str(person.public_id),
        "{gone}": str(other.public_id),
        "{language}": "en",
        "{figure}": "accepted",
    }


def _changed(make):
    """Return the id of a bulk change."""
    plan = Plan(Kind.LANGUAGE, make.publication().id, "zh")
    with make.database.write() as session:
        return str(wholesale.begin(session, Selection(), plan, now=NOON, actor=SYSTEM).public_id)


def _imported(make, owner):
    """Return the ids of an upload and of the import it became, the secretariat's or a partner's."""
    with make.database.write() as session:
        upload = steps.keep(
            session, content=b"email\nnew@example.org\n", name="new.csv", actor=SYSTEM, now=NOON,
            partner_id=owner.id if owner else None, publication_id=make.publication().id,
            consent=Consent(ConsentKind.VOUCHED if owner else ConsentKind.IMPORTED, wording="yes"),
        )  # fmt: skip
        steps.check(session, upload, keys=KEYS, now=NOON)
        steps.start(session, upload, upload.consent)
        id = str(upload.public_id)
    steps.work(make.database, keys=KEYS, clock=lambda: NOON)
    with make.database.read() as session:
        return id, str(session.query(Import).order_by(Import.id.desc()).first().public_id)


def test_every_route_lets_in_whom_the_table_names(app, people, places, visit):
    """Also those that come later: a route without a line fails here, with the line that was measured."""
    table, wrong = privileges.written(), []
    for route, let_in in privileges.measured(app, people, visit, places):
        method, path = route
        if table.pop(route, None) != let_in:
            wrong.append(f"{method:<4} {path} {' '.join(sorted(let_in))}".rstrip())
    assert wrong == [], "\n".join(["not as written in the table:", *wrong])
    assert table == {}, "routes of the table that are gone"


def test_nobody_comes_in_without_an_account_but_by_what_they_carry():
    """The table itself: only pages for readers, providers and the door are open."""
    is_open = [path for (_, path), who in privileges.written().items() if who == {privileges.ANYBODY}]
    assert [path for path in is_open if not path.startswith(privileges.BY_PROOF)] == []


def test_a_manager_is_let_in_to_the_partners_desk_and_ones_own_account_only():
    """Law 6, in the table."""
    theirs = [path for (_, path), who in privileges.written().items() if "partner" in who]
    assert [path for path in theirs if not path.startswith(("/partner", "/account", "/sign-out"))] == ["/"]
