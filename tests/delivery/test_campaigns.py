"""A campaign is made, approved by another, launched whole, and steered."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.accounts.store import Role
from mailer.audience.segments import BadRule
from mailer.audience.store import Subscriber, SubscriptionState
from mailer.database import Database
from mailer.delivery import campaigns, states
from mailer.delivery.campaigns import NobodyMeant, NoSender, NotApproved, OwnApproval
from mailer.delivery.states import Move, WrongMoment
from mailer.delivery.store import CampaignState, Delivery, Exclusion
from mailer.errors import NotFound
from mailer.issues import editions, publications
from mailer.issues.store import Edition
from tests.delivery.desk import MINUTE, SHELL, Desk, now
from tests.make import document

ANY_TIME = {"window": "", "local_time": False}


@pytest.fixture
def ann(desk: Desk) -> Actor:
    """An editor with an account."""
    user = desk.make.user(Role.EDITOR, "ann@example.org")
    return Actor(user.id, user.email)


@pytest.fixture
def ben(desk: Desk) -> Actor:
    """An approver with an account."""
    user = desk.make.user(Role.APPROVER, "ben@example.org")
    return Actor(user.id, user.email)


def edit(desk: Desk, campaign: int, actor: Actor, headline: str) -> None:
    """Somebody edits the English edition."""
    with desk.database.write() as session:
        found = editions.edition(session, desk.campaign(campaign).issue_id, "en")
        editions.save(
            session, edition_id=found.id, document=document("en", headline=headline), version=found.version,
            now=now(), actor=actor,
        )  # fmt: skip


def exclusions(desk: Desk, campaign: int) -> dict[str, int]:
    counted: dict[str, int] = {}
    for row in desk._rows(Exclusion, campaign):
        counted[row.reason] = counted.get(row.reason, 0) + 1
    return counted


# -- approval --


def test_whoever_had_a_hand_in_it_cannot_approve_it(desk: Desk, ann: Actor, ben: Actor) -> None:
    """Not only the last one who edited: Ann's edit is followed by Ben's, and Ann still may not."""
    campaign = desk.draft("reader@example.org")
    edit(desk, campaign, ann, "Ann's headline")
    edit(desk, campaign, SHELL, "A last touch")
    desk.do(campaigns.ask, campaign, settings=desk.settings)
    with pytest.raises(OwnApproval):
        desk.do(campaigns.approve, campaign, actor=ann)
    assert desk.do(campaigns.approve, campaign, actor=ben).state == CampaignState.APPROVED


def test_whoever_chose_the_audience_cannot_approve_it(desk: Desk, ann: Actor) -> None:
    """To whom it goes is a part of what is approved."""
    campaign = desk.draft("reader@example.org")
    revised = {"audience": "everyone", "languages": ["en"], "fallback": True, "scheduled_at": None}
    desk.do(campaigns.revise, campaign, actor=ann, **revised, **ANY_TIME)
    desk.do(campaigns.ask, campaign, settings=desk.settings)
    with pytest.raises(OwnApproval):
        desk.do(campaigns.approve, campaign, actor=ann)


def test_an_edit_after_the_question_voids_it(desk: Desk) -> None:
    """What is approved are the frozen bytes, and they are not the issue any more."""
    campaign = desk.draft("reader@example.org")
    desk.do(campaigns.ask, campaign, settings=desk.settings)
    edit(desk, campaign, SHELL, "Another headline")
    with pytest.raises(NotApproved, match="edited since"):
        desk.do(campaigns.approve, campaign)
    desk.do(campaigns.ask, campaign, settings=desk.settings)
    assert desk.do(campaigns.approve, campaign).approved_by == "shell"


def test_an_edit_after_the_approval_voids_it(desk: Desk) -> None:
    """Nothing is written into the ledger then."""
    campaign = desk.approved("reader@example.org")
    edit(desk, campaign, SHELL, "Another headline")
    with pytest.raises(NotApproved):
        desk.do(campaigns.launch, campaign, settings=desk.settings)
    assert desk.ledger(campaign) == {}
    assert desk.campaign(campaign).state == CampaignState.APPROVED


def test_another_sender_voids_the_approval(desk: Desk) -> None:
    """Who it comes from is a part of what is approved."""
    campaign = desk.approved("reader@example.org")
    with desk.database.write() as session:
        publications.change(
            session, code="observer", sender_address="other@news.example", now=now(), actor=SHELL
        )
    with pytest.raises(NotApproved):
        desk.do(campaigns.launch, campaign, settings=desk.settings)


def test_a_revision_takes_an_approved_campaign_back_to_the_desk(desk: Desk) -> None:
    """And a launch needs a new approval."""
    campaign = desk.approved("reader@example.org")
    revised = {"audience": "language = en", "languages": ["en"], "fallback": True, "scheduled_at": None}
    found = desk.do(campaigns.revise, campaign, **revised, **ANY_TIME)
    assert (found.state, found.approved_hash, found.approved_by) == (CampaignState.DRAFT, None, None)
    with pytest.raises(WrongMoment, match="have it approved first"):
        desk.do(campaigns.launch, campaign, settings=desk.settings)


def test_a_campaign_is_not_made_of_what_does_not_exist(desk: Desk) -> None:
    """A rule that cannot be read, a language without an edition: at creation and at revision."""
    with pytest.raises(BadRule):
        desk.draft(audience="language =")
    with pytest.raises(NotFound):
        desk.draft(languages=["fr"])
    campaign = desk.draft()
    revised = {"audience": "everyone", "languages": ["fr"], "fallback": True, "scheduled_at": None}
    with pytest.raises(NotFound):
        desk.do(campaigns.revise, campaign, **revised, **ANY_TIME)


# -- launch --


def test_every_candidate_is_a_delivery_or_an_exclusion_with_its_reason(desk: Desk) -> None:
    """One of each kind; numbers are dense from 1."""
    make = desk.make
    make.subscriber("one@example.org", language="en")
    make.subscriber("two@example.org", language="zh")
    make.subscription(make.subscriber("left@example.org", subscribed=False), state=SubscriptionState.LEFT)
    make.subscription(
        make.subscriber("pending@example.org", subscribed=False), state=SubscriptionState.PENDING
    )
    gone = make.subscriber("gone@example.org")
    with desk.database.write() as session:
        session.get_one(Subscriber, gone.id).address = None
    make.subscriber("silent@example.org")
    make.suppression("silent@example.org", since=now() - MINUTE)
    make.subscriber("stranger@example.org", subscribed=False)
    campaign = desk.launched()
    assert exclusions(desk, campaign) == {"left": 1, "pending": 1, "erased": 1, "suppressed": 1}
    assert sorted(desk.ledger(campaign)) == [1, 2]
    assert desk.campaign(campaign).candidates == 6


@pytest.mark.parametrize(("fallback", "letters", "left_out"), [(True, 2, {}), (False, 1, {"no_edition": 1})])
def test_a_reader_without_an_edition_falls_back_or_is_left_out(
    desk: Desk, fallback: bool, letters: int, left_out: dict[str, int]
) -> None:
    """The English edition often comes a day later, as a second campaign to the rest."""
    desk.make.subscriber("zh@example.org", language="zh")
    desk.make.subscriber("en@example.org", language="en")
    campaign = desk.launched(languages=["zh"], fallback=fallback)
    assert len(desk.ledger(campaign)) == letters
    assert {row.language for row in desk.ledger(campaign).values()} == {"zh"}
    assert exclusions(desk, campaign) == left_out


def test_the_preview_counts_what_the_launch_writes(desk: Desk) -> None:
    """By language, and by reason of exclusion."""
    desk.make.subscriber("zh@example.org", language="zh")
    desk.readers("en1@example.org", "en2@example.org")
    desk.make.suppression("en2@example.org", since=now() - MINUTE)
    campaign = desk.launched()
    with desk.database.read() as session:
        meant = campaigns.preview(
            session, publication_id=desk.campaign(campaign).publication_id, audience="everyone",
            languages=["zh", "en"], now=now(),
        )  # fmt: skip
    assert (meant.letters, meant.excluded) == ({"zh": 1, "en": 1}, {"suppressed": 1})
    assert meant.total == len(desk.ledger(campaign))


def test_an_audience_of_nobody_is_not_launched(desk: Desk) -> None:
    """The campaign stays approved, and the ledger empty."""
    campaign = desk.approved()
    with pytest.raises(NobodyMeant):
        desk.do(campaigns.launch, campaign, settings=desk.settings)
    assert desk.campaign(campaign).state == CampaignState.APPROVED
    assert exclusions(desk, campaign) == {}


def test_a_placeholder_sender_never_leaves_the_machine(desk: Desk) -> None:
    """With a relay configured, somebody must have said who the letters come from."""
    desk.make.publication()
    with desk.database.write() as session:
        sender = f"news@{publications.UNSET_DOMAIN}"
        publications.change(session, code="observer", sender_address=sender, now=now(), actor=SHELL)
    campaign = desk.approved("reader@example.org")
    with pytest.raises(NoSender):
        desk.do(campaigns.launch, campaign, settings=desk.settings)
    desk.do(campaigns.launch, campaign, settings=desk.settings.model_copy(update={"smtp_url": ""}))


def test_a_campaign_is_launched_once(desk: Desk) -> None:
    """The second click is told so."""
    campaign = desk.launched("reader@example.org")
    with pytest.raises(WrongMoment, match="launch it once"):
        desk.do(campaigns.launch, campaign, settings=desk.settings)
    assert len(desk.ledger(campaign)) == 1


def test_of_two_who_launch_at_the_same_moment_one_is_told_to_look_again(desk: Desk) -> None:
    """Both had the page open: there is one ledger, and nobody gets two letters."""
    campaign = desk.approved("ann@example.org", "bob@example.org")
    ready = threading.Barrier(2)

    def press(_: int) -> str:
        try:
            with desk.database.write() as session:
                campaigns.get(session, campaign)  # the page looks at it first
                if desk.database.dialect == "postgresql":
                    ready.wait(20)  # SQLite lets one in after the other
                campaigns.launch(
                    session, campaign_id=campaign, settings=desk.settings, now=now(), actor=SHELL
                )
        except WrongMoment:
            return "look again"
        return "launched"

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(press, range(2))) == ["launched", "look again"]
    assert len(desk._rows(Delivery, campaign)) == 2


def test_of_two_edits_made_on_one_version_the_second_is_refused(desk: Desk, ann: Actor) -> None:
    """Each had read the edition before the other wrote: what was read earlier must not decide."""
    issue = desk.campaign(desk.draft()).issue_id
    with desk.database.read() as session:
        version = editions.edition(session, issue, "en").version
    ready = threading.Barrier(2)

    def save(headline: str) -> str:
        try:
            with desk.database.write() as session:
                found = editions.edition(session, issue, "en")
                if desk.database.dialect == "postgresql":
                    ready.wait(20)
                editions.save(
                    session, edition_id=found.id, document=document("en", headline=headline),
                    version=version, now=now(), actor=ann,
                )  # fmt: skip
        except editions.EditedMeanwhile:
            return "refused"
        return "saved"

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(save, ["One", "Other"])) == ["refused", "saved"]


# -- steering --


@pytest.mark.parametrize("state", CampaignState)
@pytest.mark.parametrize("move", Move)
def test_a_move_leads_somewhere_or_says_what_to_do(state: CampaignState, move: Move) -> None:
    """In every state, for every move: a button is offered exactly where the move is possible."""
    if states.allows(state, move):
        assert states.after(state, move) in CampaignState
    else:
        with pytest.raises(WrongMoment, match=r"^The campaign .+: .+\.$"):
            states.after(state, move)


def test_a_sent_campaign_cannot_be_resumed(desk: Desk) -> None:
    """Only its uncertain letters can be sent again, by a decision of their own."""
    assert not states.allows(CampaignState.SENT, Move.RESUME)
    assert states.allows(CampaignState.SENT, Move.RESEND)


def test_cancelling_withdraws_what_waits(desk: Desk) -> None:
    """The ledger keeps the rows, with the reason."""
    campaign = desk.launched("one@example.org", "two@example.org")
    found = desk.do(campaigns.cancel, campaign)
    assert (found.state, found.finished_at is None) == (CampaignState.CANCELLED, False)
    assert desk.state(campaign, "one@example.org") == ("WITHDRAWN", "cancelled")
    assert desk.counts(campaign) == {"WITHDRAWN": 2}


def test_the_audit_log_tells_a_campaigns_life(desk: Desk) -> None:
    """Each step once, in order."""
    campaign = desk.launched("one@example.org")
    desk.do(campaigns.pause, campaign)
    with desk.database.read() as session:
        told = [entry.action for entry in audit.entries(session) if entry.subject == f"campaign {campaign}"]
    steps = ["create", "ask", "approve", "launch", "pause"]
    assert told[::-1] == [f"campaign.{step}" for step in steps]


def test_scheduling_is_a_part_of_what_is_approved(desk: Desk, database: Database) -> None:
    """An approved time schedules by itself; an edition changed behind its back launches nothing."""
    campaign = desk.approved("one@example.org", scheduled_at=now() + timedelta(hours=1))
    assert desk.campaign(campaign).state == CampaignState.SCHEDULED
    with database.write() as session:
        found = session.get_one(Edition, editions.edition(session, desk.campaign(campaign).issue_id, "en").id)
        found.version += 1
    desk.sweep(now() + timedelta(hours=2))
    after = desk.campaign(campaign)
    assert (after.state, after.approved_hash) == (CampaignState.DRAFT, None)
    assert "edited since" in after.trouble
    assert desk.ledger(campaign) == {}


def test_a_saved_segment_names_an_audience_and_its_rule_is_kept(desk: Desk) -> None:
    """What changes in the segment afterwards changes no campaign; topics are those of this publication."""
    issue = desk.make.issue()
    desk.make.segment("language = zh", "readers at home")
    with desk.database.write() as session:
        made = campaigns.create(
            session, issue_id=issue.id, audience="readers at home", now=now(), actor=SHELL
        )
        assert made.audience == "language = zh"
