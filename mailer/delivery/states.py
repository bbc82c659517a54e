"""A campaign's life, as one table: what may happen in which state, and where it leads."""

from __future__ import annotations

from enum import StrEnum

from mailer.delivery.store import CampaignState as S
from mailer.errors import Conflict
from mailer.sentence import Sentence


class Move(StrEnum):
    """What somebody, or the timetable, wants of a campaign."""

    ASK = "ask"  # freeze and ask for approval
    APPROVE = "approve"
    REOPEN = "reopen"  # back to the desk: an edit voids what was approved
    SCHEDULE = "schedule"
    LAUNCH = "launch"
    PAUSE = "pause"
    RESUME = "resume"
    RESEND = "resend"  # uncertain letters once more
    FINISH = "finish"
    CANCEL = "cancel"


_NEXT = {
    (S.DRAFT, Move.ASK): S.REVIEW,
    (S.REVIEW, Move.ASK): S.REVIEW,  # frozen anew
    (S.REVIEW, Move.APPROVE): S.APPROVED,
    (S.REVIEW, Move.REOPEN): S.DRAFT,
    (S.APPROVED, Move.REOPEN): S.DRAFT,
    (S.SCHEDULED, Move.REOPEN): S.DRAFT,
    (S.APPROVED, Move.SCHEDULE): S.SCHEDULED,
    (S.APPROVED, Move.LAUNCH): S.SENDING,
    (S.SCHEDULED, Move.LAUNCH): S.SENDING,
    (S.SENDING, Move.PAUSE): S.PAUSED,
    (S.PAUSED, Move.RESUME): S.SENDING,
    (S.SENDING, Move.FINISH): S.SENT,
    (S.SENDING, Move.RESEND): S.SENDING,
    (S.PAUSED, Move.RESEND): S.PAUSED,
    (S.SENT, Move.RESEND): S.SENDING,
    (S.DRAFT, Move.CANCEL): S.CANCELLED,
    (S.REVIEW, Move.CANCEL): S.CANCELLED,
    (S.APPROVED, Move.CANCEL): S.CANCELLED,
    (S.SCHEDULED, Move.CANCEL): S.CANCELLED,
    (S.SENDING, Move.CANCEL): S.CANCELLED,
    (S.PAUSED, Move.CANCEL): S.CANCELLED,
}

_WORDS = {
    S.DRAFT: Sentence("is a draft"),
    S.REVIEW: Sentence("waits for approval"),
    S.APPROVED: Sentence("is approved but not launched"),
    S.SCHEDULED: Sentence("is scheduled"),
    S.SENDING: Sentence("is being sent"),
    S.PAUSED: Sentence("is paused"),
    S.SENT: Sentence("has been sent"),
    S.CANCELLED: Sentence("was cancelled"),
}

_WANTED = {
    Move.ASK: Sentence("approval can be asked for only while it is a draft"),
    Move.APPROVE: Sentence("ask for approval first"),
    Move.REOPEN: Sentence("it cannot go back to the desk; make a new campaign instead"),
    Move.SCHEDULE: Sentence("have it approved first"),
    Move.LAUNCH: Sentence("have it approved first, and launch it once"),
    Move.PAUSE: Sentence("only a campaign that is being sent can be paused"),
    Move.RESUME: Sentence("only a paused campaign can be resumed"),
    Move.RESEND: Sentence("its letters cannot be sent again"),
    Move.FINISH: Sentence("only a campaign that is being sent can finish"),
    Move.CANCEL: Sentence("there is nothing left to cancel"),
}


class WrongMoment(Conflict):
    """This cannot be done to the campaign now."""


def after(state: S, move: Move) -> S:
    """Return where ``move`` leads from ``state``.

    :raises WrongMoment: it leads nowhere; the message says where the campaign stands and what to do
    """
    found = _NEXT.get((S(state), move))
    if found is None:
        raise WrongMoment("The campaign {state}: {wanted}.", state=_WORDS[S(state)], wanted=_WANTED[move])
    return found


def allows(state: S, move: Move) -> bool:
    """Tell whether ``move`` is possible: what a page offers as a button."""
    return (S(state), move) in _NEXT
