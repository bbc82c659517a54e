"""Advice: why letters to an address come back, in plain words, and what a partner can do about it."""

from __future__ import annotations

from typing import NamedTuple

from mailer.web.i18n import translate
from mailer.web.words import N_


class Advice(NamedTuple):
    """What it means and what to do. ``correct``: the address itself is what is wrong, most of the time."""

    means: str
    do: str
    correct: bool = False


_NOTHING_TO_DO = N_(
    "The address is right, and there is nothing you need to do: the secretariat looks after it. If it goes"
    " on, ask your colleague’s IT department to let our letters through."
)
_BY_ITSELF = N_(
    "The address is right, and there is nothing you need to do: the next letter is sent as usual."
)

_ADVICE = {
    "bad_mailbox": Advice(
        N_("There is no mailbox at this address."),
        N_(
            "Ask your colleague for the address they use now, and correct it here. Often one letter is wrong,"
            " or the person has moved on; then remove them."
        ),
        correct=True,
    ),
    "bad_domain": Advice(
        N_("The part after the @ does not exist, or takes no mail."),
        N_(
            "Look for a slip, such as gmial.com in place of gmail.com, and correct it here. If the"
            " organisation has a new address, ask your colleague for it."
        ),
        correct=True,
    ),
    "inactive": Advice(
        N_("The mailbox has been closed."),
        N_(
            "Ask your colleague whether they have a new address, and correct it here. If they have left your"
            " organisation, remove them."
        ),
        correct=True,
    ),
    "mailbox_full": Advice(
        N_("The mailbox is full."),
        N_(
            "Ask your colleague to delete old mail. Letters are tried again by themselves after some days. If"
            " nobody uses this mailbox any more, correct the address here."
        ),
        correct=True,
    ),
    "policy": Advice(
        N_("A rule of their organisation’s mail system refused the letter."),
        N_(
            "The address is right. Ask your colleague’s IT department to accept letters from us; they will"
            " want to see the words below."
        ),
    ),
    "reputation": Advice(N_("Their mail system does not trust ours at the moment."), _NOTHING_TO_DO),
    "content": Advice(N_("Their mail system took exception to what the letter contains."), _NOTHING_TO_DO),
    "rate": Advice(N_("More letters came at once than their mail system takes."), _BY_ITSELF),
    "technical": Advice(N_("Something went wrong on the way, or in their mail system."), _BY_ITSELF),
    "complaint": Advice(N_("Their mail system does not want letters of ours."), _NOTHING_TO_DO),
    "auto_reply": Advice(N_("An automatic answer came back."), _BY_ITSELF),
    "unknown": Advice(
        N_("Their mail system gave a reason that is not understood yet."),
        N_(
            "The secretariat looks at it. If you know that your colleague’s address has changed, correct it"
            " here."
        ),
    ),
}  # fmt: skip


def told(category: str) -> Advice:
    """Return what to say of a category of diagnosis, in the request's language."""
    found = _ADVICE.get(category, _ADVICE["unknown"])
    return found._replace(means=translate(found.means), do=translate(found.do))
