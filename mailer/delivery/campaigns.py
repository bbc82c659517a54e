"""Campaigns: made, frozen, approved, launched, and steered while they are sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from mailer import queue
from mailer.accounts import audit
from mailer.accounts.audit import SYSTEM, Actor
from mailer.audience import segments
from mailer.delivery import batches, lanes, slices, states, store, windows
from mailer.delivery import launch as launching
from mailer.delivery.reach import Audience as Audience
from mailer.delivery.reach import preview as preview
from mailer.delivery.states import Move
from mailer.delivery.store import Campaign, CampaignState, DeliveryState
from mailer.errors import Conflict, Forbidden, Invalid, MailerError, NotFound
from mailer.issues import editions, freeze, publications
from mailer.issues import store as issues
from mailer.sentence import Sentence
from mailer.settings import Settings

WITHDRAWN_AT_ONCE = 25  # batches in a transaction: well under a second


class NoCampaign(NotFound):
    """There is no such campaign: `mailer campaign list` shows those that exist."""


class NotApproved(Conflict):
    """The campaign is not what was approved: ask for approval again."""


class OwnApproval(Forbidden):
    """Whoever wrote the issue or made the campaign cannot approve it: ask a colleague."""


class NobodyMeant(Invalid):
    """The audience is empty: nobody in it would get a letter, so there is nothing to launch."""


class NoHour(Invalid):
    """Readers' own time needs a day and an hour: say when it goes out, or take local time off."""


class NoSender(Conflict):
    """The sender address is still the placeholder: set a real one with `mailer publication set`."""


def get(session: Session, campaign_id: int, *, lock: bool = False) -> Campaign:
    """:raises NoCampaign: none of that id"""
    found = store.campaign(session, campaign_id, lock=lock)
    if found is None:
        raise NoCampaign
    return found


def create(
    session: Session,
    *,
    issue_id: int,
    audience: str,
    now: datetime,
    actor: Actor,
    languages: Sequence[str] = (),
    fallback: bool = True,
    scheduled_at: datetime | None = None,
    window: str | None = None,
    local_time: bool = False,
) -> Campaign:
    """Make a draft.

    ``audience`` is a rule or a saved segment's name; the rule is kept, so that a later change of the segment
    changes no campaign. ``languages`` in order of fallback; empty: all the issue has. ``scheduled_at`` None:
    launched by hand. ``window`` as ``windows`` reads it; None: the publication's. ``local_time``: each reader
    gets it when the clocks at home show the hour that the publication's show at ``scheduled_at``.

    :raises BadRule: the audience cannot be read
    :raises BadWindow: the send window cannot be read
    :raises NoHour: local time without a time
    :raises NotFound: the issue lacks an edition in one of the languages
    """
    issue = editions.get(session, issue_id)
    segment, rule = segments.named(session, audience), segments.resolve(session, audience)
    chosen = _existing(session, issue_id, languages)
    campaign = Campaign(
        public_id=uuid7(),
        publication_id=issue.publication_id,
        issue_id=issue_id,
        audience=str(rule),
        segment_id=segment.id if segment else None,
        languages=chosen,
        fallback=fallback,
        state=CampaignState.DRAFT,
        created_by=actor.name,
        created_at=now,
    )
    _time(campaign, scheduled_at, _default_window(session, issue) if window is None else window, local_time)
    session.add(campaign)
    session.flush()
    _note(session, campaign, "create", None, now=now, actor=actor)
    return campaign


def revise(
    session: Session,
    *,
    campaign_id: int,
    audience: str,
    languages: Sequence[str],
    fallback: bool,
    scheduled_at: datetime | None,
    window: str,
    local_time: bool,
    now: datetime,
    actor: Actor,
) -> Campaign:
    """Change what a campaign sends, to whom and when; an approval is void from then on.

    :raises BadRule: the audience cannot be read
    :raises BadWindow: the send window cannot be read
    :raises NoHour: local time without a time
    :raises NotFound: the issue lacks an edition in one of the languages
    """
    campaign = get(session, campaign_id, lock=True)
    before = _facts(campaign)
    segment, rule = segments.named(session, audience), segments.resolve(session, audience)
    if campaign.state != CampaignState.DRAFT:
        _reopen(campaign)
    campaign.audience, campaign.languages = str(rule), _existing(session, campaign.issue_id, languages)
    campaign.segment_id = segment.id if segment else None
    campaign.fallback = fallback
    _time(campaign, scheduled_at, window, local_time)
    _note(session, campaign, "revise", before, now=now, actor=actor)
    return campaign


def ask(session: Session, *, campaign_id: int, settings: Settings, now: datetime, actor: Actor) -> Campaign:
    """Freeze the editions' compiled bytes and ask for approval of them.

    :raises Invalid: an edition has errors; the message names the block
    """
    campaign = get(session, campaign_id, lock=True)
    before = _facts(campaign)
    campaign.state, campaign.trouble = states.after(campaign.state, Move.ASK), ""
    frozen = freeze.freeze(
        session, issue_id=campaign.issue_id, languages=campaign.languages, settings=settings, now=now
    )
    store.set_editions(session, campaign.id, frozen)
    campaign.hash = _hash(session, campaign)
    _note(session, campaign, "ask", before, now=now, actor=actor)
    return campaign


def approve(session: Session, *, campaign_id: int, now: datetime, actor: Actor) -> Campaign:
    """Approve what was frozen. A campaign with a time is scheduled by it.

    A shell may approve its own: whoever has one may do anything, and the audit log says it was the shell.

    :raises OwnApproval: the approver wrote the issue or made the campaign
    :raises NotApproved: the issue was edited since it was frozen
    """
    campaign = get(session, campaign_id, lock=True)
    before = _facts(campaign)
    if actor.user_id is not None and actor.name in _authors(session, campaign):
        raise OwnApproval
    campaign.state = states.after(campaign.state, Move.APPROVE)
    _unchanged(session, campaign, campaign.hash)
    campaign.approved_hash, campaign.approved_by, campaign.approved_at = campaign.hash, actor.name, now
    if campaign.scheduled_at is not None:
        campaign.state = states.after(campaign.state, Move.SCHEDULE)
    _note(session, campaign, "approve", before, now=now, actor=actor)
    return campaign


def send_back(session: Session, *, campaign_id: int, why: str, now: datetime, actor: Actor) -> Campaign:
    """Do not approve what was asked for: it is a draft again, and its author reads why."""
    campaign = get(session, campaign_id, lock=True)
    before, why = _facts(campaign), why.strip()
    if not why:
        raise Invalid("Say what has to change: the author reads it here.")
    _reopen(campaign)
    campaign.trouble = Sentence("{who} sent it back: {why}", who=actor.name, why=why)
    _note(session, campaign, "reject", before, now=now, actor=actor, why=why)
    return campaign


def launch(
    session: Session, *, campaign_id: int, settings: Settings, now: datetime, actor: Actor
) -> Campaign:
    """Write one delivery or one exclusion per candidate, and cut batches: one transaction.

    :raises NotApproved: what would be sent is not what was approved
    :raises NobodyMeant: no delivery came of it
    :raises NoSender: letters would leave this machine from a placeholder address
    """
    campaign = get(session, campaign_id, lock=True)
    before = _facts(campaign)
    campaign.state = states.after(campaign.state, Move.LAUNCH)
    _unchanged(session, campaign, campaign.approved_hash)
    publication = session.get_one(issues.Publication, campaign.publication_id)
    if settings.smtp_url and publication.sender_address.endswith(f"@{publications.UNSET_DOMAIN}"):
        raise NoSender
    query = launching.candidates(
        publication_id=campaign.publication_id,
        condition=segments.condition(
            segments.parse(campaign.audience), now=now, publication_id=campaign.publication_id
        ),
        languages=campaign.languages,
        fallback=campaign.fallback,
        now=now,
        local_time=campaign.local_time,
    )

    due_at = _due_at(campaign, publication.zone, now)
    ledger = launching.write_ledger(session, campaign.id, query, due_at=due_at, batch=batches.SIZE)
    if ledger.candidates != ledger.deliveries + ledger.exclusions:
        raise AssertionError(str(ledger))
    if not ledger.deliveries:
        raise NobodyMeant
    campaign.candidates, campaign.launched_at, campaign.trouble = ledger.candidates, now, ""
    _forget_failures(campaign)
    _note(session, campaign, "launch", before, now=now, actor=actor)
    queue.ring(session, queue.WORK)
    return campaign


def opens(session: Session, campaign: Campaign, now: datetime) -> datetime | None:
    """Return when the window of a campaign that is being sent opens; None: it is open, or nothing waits."""
    if campaign.state != CampaignState.SENDING or not campaign.window:
        return None
    zone = session.get_one(issues.Publication, campaign.publication_id).zone
    found = windows.read(campaign.window).opens(now, zone)
    return found if found > now else None


def launch_scheduled(session: Session, *, campaign_id: int, settings: Settings, now: datetime) -> bool:
    """Launch a campaign whose time has come; False when it was not, or is being launched elsewhere.

    One that cannot be launched goes back to the desk and says why.
    """
    campaign = launching.claim(session, campaign_id)
    if campaign is None or campaign.state != CampaignState.SCHEDULED:
        return False
    before = _facts(campaign)
    try:
        with session.begin_nested():
            launch(session, campaign_id=campaign_id, settings=settings, now=now, actor=SYSTEM)
    except (Conflict, Invalid, NotFound) as error:
        session.refresh(campaign)
        _reopen(campaign)
        campaign.trouble = error.sentence
        _note(session, campaign, "not launched", before, now=now, actor=SYSTEM)
        return False
    return True


def put_off_launch(session: Session, *, campaign_id: int, error: Exception, now: datetime) -> None:
    """A launch has failed for no reason of the campaign's: say so on it, and try again after a pause.

    It stays scheduled.
    """
    campaign = launching.claim(session, campaign_id)
    if campaign is None or campaign.state != CampaignState.SCHEDULED:
        return
    campaign.launch_failures += 1
    wait = launching.pause(campaign.launch_failures)
    campaign.launch_after = now + wait
    campaign.trouble = Sentence(
        "The launch failed ({reason}) and is tried again by itself after {minutes} min: should it fail"
        " again, ask whoever runs this server to look for campaign {campaign} in its log.",
        minutes=int(wait.total_seconds()) // 60,
        reason=error.sentence if isinstance(error, MailerError) else type(error).__name__,
        campaign=campaign_id,
    )


def pause(session: Session, *, campaign_id: int, now: datetime, actor: Actor) -> Campaign:
    """Stop sending; workers notice before their next letter."""
    return _steer(session, campaign_id, Move.PAUSE, now=now, actor=actor)


def hold(session: Session, *, campaign_id: int, why: Sentence, now: datetime) -> None:
    """Pause a campaign whose letters nobody takes, and say why, until a person resumes it."""
    if get(session, campaign_id, lock=True).state == CampaignState.SENDING:
        campaign = _steer(session, campaign_id, Move.PAUSE, now=now, actor=SYSTEM)
        campaign.trouble = why


def resume(session: Session, *, campaign_id: int, now: datetime, actor: Actor) -> Campaign:
    """Go on sending where it stopped."""
    campaign = _steer(session, campaign_id, Move.RESUME, now=now, actor=actor)
    queue.ring(session, queue.WORK)
    return campaign


def cancel(session: Session, *, campaign_id: int, now: datetime, actor: Actor) -> Campaign:
    """Stop for good: what waits is withdrawn; letters on their way arrive and are recorded.

    Of a large campaign the sweep withdraws the rest: workers see the word only once it is committed.
    """
    campaign = _steer(session, campaign_id, Move.CANCEL, now=now, actor=actor)
    _withdraw_waiting(session, campaign.id)
    campaign.finished_at = now
    return campaign


def withdraw_cancelled(session: Session) -> None:
    """Withdraw what still waits in cancelled campaigns: the rest of a large one, what workers gave back."""
    for campaign_id in batches.cancelled(session):
        _withdraw_waiting(session, campaign_id)


def _withdraw_waiting(session: Session, campaign_id: int) -> None:
    for batch in batches.waiting(session, campaign_id, limit=WITHDRAWN_AT_ONCE):
        batches.withdraw(session, batch, "cancelled")
    session.flush()


def finish(session: Session, *, now: datetime) -> int:
    """Say of every campaign in which nothing waits any more that it has been sent; return how many."""
    done = 0
    for found in store.campaigns(session, CampaignState.SENDING):
        if not batches.all_done(session, found.id):
            continue
        campaign = get(session, found.id, lock=True)
        before = _facts(campaign)
        if campaign.state == CampaignState.SENDING and batches.all_done(session, campaign.id):
            campaign.state, campaign.finished_at = states.after(campaign.state, Move.FINISH), now
            campaign.trouble = ""
            _note(session, campaign, "finish", before, now=now, actor=SYSTEM)
            done += 1
    return done


def settle_uncertain(session: Session, *, campaign_id: int, resend: bool, now: datetime, actor: Actor) -> int:
    """Decide about a campaign's uncertain letters: send them again, or take them as sent. Returns how many.

    Sent again, a reader may get a second copy; taken as sent, one may get none. That is why a person decides.

    :raises WrongMoment: to be sent again, but the campaign was cancelled
    """
    campaign = get(session, campaign_id, lock=True)
    before = _facts(campaign)
    numbers = slices.in_state(session, campaign_id, DeliveryState.UNCERTAIN)
    if not numbers:
        return 0
    if not resend:
        slices.set_state(session, campaign_id, numbers, DeliveryState.ACCEPTED, "declared")
    else:
        campaign.state, campaign.finished_at = states.after(campaign.state, Move.RESEND), None
        slices.set_state(session, campaign_id, numbers, DeliveryState.WAITING)
        for (attempt, lane), again in _by_attempt_and_lane(session, campaign_id, numbers).items():
            batches.add(session, campaign_id, again, attempt=attempt + 1, lane=lane, due_at=now)
        queue.ring(session, queue.WORK)
    action = "resend uncertain" if resend else "accept uncertain"
    _note(session, campaign, action, before, now=now, actor=actor)
    return len(numbers)


def _time(campaign: Campaign, scheduled_at: datetime | None, window: str, local_time: bool) -> None:
    """Say when a campaign's letters may leave.

    :raises BadWindow: the send window cannot be read
    :raises NoHour: local time without a time
    """
    if local_time and scheduled_at is None:
        raise NoHour
    campaign.window = str(windows.read(window))
    campaign.scheduled_at, campaign.local_time = scheduled_at, local_time


def _due_at(campaign: Campaign, publication_zone: str, now: datetime) -> Callable[[str], datetime]:
    """Return what tells for a reader's zone ("": the publication's) when a letter is due, now or later."""
    scheduled_at = campaign.scheduled_at
    if not campaign.local_time or scheduled_at is None:
        return lambda _zone: now
    return lambda zone: max(now, windows.same_hour(scheduled_at, of=publication_zone, zone=zone))


def _default_window(session: Session, issue: issues.Issue) -> str:
    return session.get_one(issues.Publication, issue.publication_id).window


def _by_attempt_and_lane(
    session: Session, campaign_id: int, numbers: Sequence[int]
) -> dict[tuple[int, str], list[int]]:
    """Group letters (in order) by how often they were tried and where they go."""
    tried = slices.last_attempts(session, campaign_id, numbers)
    going, limits = slices.destinations(session, campaign_id, numbers), lanes.limits(session)
    groups: dict[tuple[int, str], list[int]] = {}
    for n in numbers:
        groups.setdefault((tried[n], lanes.lane_of(*going[n], limits)), []).append(n)
    return groups


def _existing(session: Session, issue_id: int, languages: Sequence[str]) -> list[str]:
    """Return ``languages``, all the issue has when empty.

    :raises NotFound: the issue lacks one of them
    """
    chosen = list(languages) or editions.languages(session, issue_id)
    if not chosen:
        raise NotFound("This issue has no edition yet: import one first.")
    for language in chosen:
        editions.edition(session, issue_id, language)
    return chosen


def _steer(session: Session, campaign_id: int, move: Move, *, now: datetime, actor: Actor) -> Campaign:
    campaign = get(session, campaign_id, lock=True)
    before = _facts(campaign)
    campaign.state = states.after(campaign.state, move)
    campaign.trouble = ""
    _note(session, campaign, move.value, before, now=now, actor=actor)
    return campaign


def _reopen(campaign: Campaign) -> None:
    """Take a campaign back to the desk: whatever was approved is void."""
    campaign.state = states.after(campaign.state, Move.REOPEN)
    _forget_failures(campaign)
    campaign.hash = campaign.approved_hash = campaign.approved_by = campaign.approved_at = None


def _forget_failures(campaign: Campaign) -> None:
    campaign.launch_failures, campaign.launch_after = 0, None


def _authors(session: Session, campaign: Campaign) -> set[str]:
    """Return everybody who had a hand in what is to be approved, not only who had it last."""
    written = issues.editions(session, campaign.issue_id).values()
    return (
        {campaign.created_by}
        | {edition.updated_by for edition in written}
        | audit.actors(session, subject=f"campaign {campaign.id}", actions=_MAKING)
        | audit.actors(session, subject=f"issue {campaign.issue_id}", actions=_WRITING)
    )


_MAKING = ("campaign.create", "campaign.revise")
_WRITING = ("issue.import", "issue.edit", "issue.number")


def _unchanged(session: Session, campaign: Campaign, digest: str | None) -> None:
    """:raises NotApproved: edition, audience, time or sender differ from what ``digest`` was made of"""
    if digest is None or digest != _hash(session, campaign):
        raise NotApproved
    written = issues.editions(session, campaign.issue_id)
    for language, frozen in store.frozen_editions(session, campaign.id).items():
        if written[language].version != frozen.version:
            raise NotApproved("The issue was edited since it was frozen: ask for approval again.")


def _hash(session: Session, campaign: Campaign) -> str:
    publication = session.get_one(issues.Publication, campaign.publication_id)
    frozen = store.frozen_editions(session, campaign.id)
    sum_ = {
        "editions": {language: frozen[language].hash for language in sorted(frozen)},
        "audience": campaign.audience,
        "languages": campaign.languages,
        "fallback": campaign.fallback,
        "time": campaign.scheduled_at.isoformat() if campaign.scheduled_at else None,
        "sender": publication.sender_address,
    }
    if campaign.window or campaign.local_time:  # only then, so that what was approved before stays approved
        sum_["hours"] = [campaign.window, campaign.local_time, publication.zone]
    return hashlib.sha256(json.dumps(sum_, sort_keys=True).encode()).hexdigest()


def _facts(campaign: Campaign) -> dict[str, object]:
    """Return what the audit log keeps of a campaign."""
    return {
        "state": str(campaign.state), "audience": campaign.audience, "languages": list(campaign.languages),
        "fallback": campaign.fallback, "window": campaign.window, "local_time": campaign.local_time,
        "scheduled_at": campaign.scheduled_at.isoformat() if campaign.scheduled_at else None,
    }  # fmt: skip


def _note(
    session: Session,
    campaign: Campaign,
    action: str,
    before: dict[str, object] | None,
    *,
    now: datetime,
    actor: Actor,
    **more: object,
) -> None:
    session.flush()
    audit.record(
        session, now=now, actor=actor, action=f"campaign.{action}", subject=f"campaign {campaign.id}",
        before=before, after={**_facts(campaign), **more},
    )  # fmt: skip
