"""Tracking: what a reader does with a letter, told by the signed token it carries.

Decides: where a counted link leads, what a click, an open and a leave write down, which of them a machine
did, and what a page may show about the letter it was reached from. Does not decide what pages look like (web)
or what the figures say (reports).

A GET appends an event and changes nothing else; leaving is one POST (RFC 8058). A token leads only to links
of the frozen edition its reader got: nobody can make us redirect elsewhere.
"""

from mailer.tracking.machines import machine
from mailer.tracking.store import Reader
from mailer.tracking.visits import NobodysLetter, View, click, leave, open_pixel, view, who

__all__ = ["NobodysLetter", "Reader", "View", "click", "leave", "machine", "open_pixel", "view", "who"]
