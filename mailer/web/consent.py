"""Words of consent as pages show them, names in their places; what is chosen there is kept as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from mailer.accounts.audit import Actor
from mailer.audience.evidence import wordings
from mailer.audience.evidence.wordings import Wording
from mailer.audience.store import ConsentKind
from mailer.issues import publications, store
from mailer.web import i18n
from mailer.web.forms import Form, Refused
from mailer.web.i18n import _

NEW = "new"  # chosen instead of known words: those written below
LONGEST_ORIGIN = 140  # characters of how we know: beside a file's name and line they have to find room


def said(session: Session, publication_id: int, kind: ConsentKind) -> str:
    """Return what is agreed to now, in the language of the page: kept with the consent, word by word."""
    return listing(session, publication_id)[kind, i18n.current()][0].text


def of_partners(session: Session, publication_id: int) -> dict[str, str]:
    """Return by kind the words in which partners say how people consent."""
    kinds = (ConsentKind.VOUCHED, ConsentKind.INVITED)
    return {kind.value: said(session, publication_id, kind) for kind in kinds}


def listing(session: Session, publication_id: int) -> Mapping[tuple[ConsentKind, str], list[Wording]]:
    """Return every version by kind and language, the one in force first, as it was shown."""
    every = wordings.listing(session, publication_id)
    if not store.voices(session, publication_id):  # nobody has named it: there is nothing to put in place
        return every
    voices = {tag: publications.voice(session, publication_id, tag) for tag in i18n.NAMES}
    return {
        (kind, tag): [
            replace(each, text=each.said(voices[tag].name, voices[tag].organisation)) for each in versions
        ]
        for (kind, tag), versions in every.items()
    }


class Words(Form):
    """The words that people agreed to: known ones, or NEW and others, in which the next may be asked for."""

    wording: str = ""
    new_wording: str = ""
    new_wording_language: Literal["zh", "en"] = "zh"


def choices(session: Session, publication_id: int) -> list[Wording]:
    """Return the words that people whom the secretariat brings may have agreed to, each once."""
    every = listing(session, publication_id)
    tags = sorted(i18n.NAMES, key=lambda tag: tag != i18n.current())
    kinds = (ConsentKind.IMPORTED, ConsentKind.SIGN_UP)
    found = [each for kind in kinds for tag in tags for each in every[kind, tag]]
    return list({each.text: each for each in reversed(found)}.values())[::-1]


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
    text = " ".join(given.new_wording.split())
    if not text:
        raise Refused({"new_wording": _("Please fill this in.")})
    if text not in known:
        language = given.new_wording_language
        made = wordings.write(
            session, publication_id=publication_id, kind=ConsentKind.IMPORTED, language=language, text=text,
            now=now, actor=actor,
        )  # fmt: skip
        voice = publications.voice(session, publication_id, language)
        return made.said(voice.name, voice.organisation)
    return text
