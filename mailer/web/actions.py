"""Actions: what the entries of the audit log say, in words. An action without any is shown as it is."""

from __future__ import annotations

from mailer.web.i18n import translate
from mailer.web.words import N_

OF_PARTNERS = {
    "membership.add_several": N_("Added several people at once"),
    "membership.ask_again": N_("Asked once more whether they want the newsletter"),
    "membership.correct": N_("Corrected the address"),
    "membership.edit": N_("Changed the details"),
    "membership.end": N_("Removed from the list"),
    "membership.pause": N_("Paused the letters"),
    "membership.restore": N_("Put back on the list"),
    "membership.resume": N_("Let the letters go on"),
    "partner.seats": N_("Changed the number of seats"),
    "request.accept": N_("Granted a request"),
    "request.ask": N_("Asked the secretariat for something"),
    "request.decline": N_("Declined a request"),
    "request.withdraw": N_("Withdrew a request"),
    "subscriber.add": N_("Added to the list"),
    "team.link": N_("Sent a new sign-in link"),
    "team.readmit": N_("Let a manager in again"),
    "team.remove": N_("Took a manager’s access away"),
    "user.add": N_("Gave a manager access"),
}
"""What a partner's own page of activity shows: nothing else is read from the log for it."""

ACTIONS = {**OF_PARTNERS}


def action_word(action: str) -> str:
    """Return what to say of an action, in the request's language."""
    return translate(ACTIONS[action]) if action in ACTIONS else action
