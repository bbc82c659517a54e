"""Words of consent as pages show them, names in their places; what is chosen there is kept as evidence."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from mailer.accounts.audit import Actor
from mailer.audience.evidence.wordings import Wording
from mailer.audience.store import ConsentKind
from mailer.issues import consent
from mailer.web import i18n
from mailer.web.forms import Form, Refused
from mailer.web.i18n import _

NEW = "new"  # chosen instead of known words: those written below
LONGEST_ORIGIN = 140  # characters of how we know: beside a file's name and line they have to find room


def said(session: Session, publication_id: int, kind: ConsentKind) -> str:
    """Return what is agreed to now, in the language of the page: kept with the consent, word by word."""
    return consent.listing(session, publication_id)[kind, i18n.current()][0].text


def of_partners(session: Session, publication_id: int) -> dict[str, str]:
    """Return by kind the words in which partners say how people consent."""
    kinds = (ConsentKind.VOUCHED, ConsentKind.INVITED)
    return {kind.value: said(session, publication_id, kind) for kind in kinds}


class Words(Form):
    """The words that people agreed to: known ones, or NEW and others, in which the next may be asked for."""

    wording: str = ""
    new_wording: str = ""
    new_wording_language: Literal["zh", "en"] = "zh"


def choices(session: Session, publication_id: int) -> list[Wording]:
    """Return the words that people whom the secretariat brings may have agreed to, each once."""
    return consent.choices(session, publication_id, i18n.current())


def chosen(session: Session, publication_id: int, given: Words, now: datetime, actor: Actor) -> str:
    """Return the words that were chosen; others become a new version first.

    :raises Refused: none were, or others are wanted and not written
    :raises BadWording: too long
    """
    known = {each.text for each in choices(session, publication_id)}
    if given.wording in known:
        return given.wording
    if given.wording != NEW:
        raise Refused({"wording": _("Please choose one.")})
    if not given.new_wording.split():
        raise Refused({"new_wording": _("Please fill this in.")})
    return consent.kept(
        session, publication_id, given.new_wording, language=given.new_wording_language, now=now, actor=actor
    )  # fmt: skip
