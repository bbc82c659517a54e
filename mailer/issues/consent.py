"""Words of consent as a newsletter says them: every version, its name and its publisher's in their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.accounts.audit import Actor
from mailer.audience.evidence import wordings
from mailer.audience.evidence.wordings import Wording
from mailer.audience.store import ConsentKind
from mailer.errors import NotFound
from mailer.issues import publications, store


class NoVersion(NotFound):
    """There is no such version of the words of consent."""


_OF_PEOPLE_BROUGHT = (ConsentKind.IMPORTED, ConsentKind.SIGN_UP)


def listing(session: Session, publication_id: int) -> Mapping[tuple[ConsentKind, str], list[Wording]]:
    """Return every version by kind and language, the one in force first, as it was shown."""
    every = wordings.listing(session, publication_id)
    if not store.voices(session, publication_id):  # nobody has named it: there is nothing to put in place
        return every
    return {
        (kind, language): [_said(session, publication_id, each) for each in versions]
        for (kind, language), versions in every.items()
    }


def choices(session: Session, publication_id: int, language: str) -> list[Wording]:
    """Return the words that people who are brought may have agreed to, each once, ``language`` first."""
    every = listing(session, publication_id)
    tags = sorted({tag for _kind, tag in every}, key=lambda tag: (tag != language, tag))
    found = [each for kind in _OF_PEOPLE_BROUGHT for tag in tags for each in every[kind, tag]]
    return list({each.text: each for each in reversed(found)}.values())[::-1]


def kept(
    session: Session, publication_id: int, text: str, *, language: str, now: datetime, actor: Actor
) -> str:
    """Return words that people who are brought agreed to, as evidence holds them; new ones become a version.

    :raises BadWording: empty, or too long
    """
    words = " ".join(text.split())
    if words in {each.text for each in choices(session, publication_id, language)}:
        return words
    for each in wordings.listing(session, publication_id)[ConsentKind.IMPORTED, language]:
        if each.text == words:  # known, with marks for the names
            return _said(session, publication_id, each).text
    made = wordings.write(
        session, publication_id=publication_id, kind=ConsentKind.IMPORTED, language=language, text=words,
        now=now, actor=actor,
    )  # fmt: skip
    return _said(session, publication_id, made).text


def version(session: Session, publication_id: int, number: int, language: str | None) -> str:
    """Return the words of a version that people who are brought agreed to; ``language`` None: the only one.

    :raises NoVersion: there is none of that number, or one in each language
    """
    found = {
        tag: each.text
        for (kind, tag), versions in listing(session, publication_id).items()
        for each in versions
        if kind == ConsentKind.IMPORTED and tag == (language or tag) and each.version == number
    }
    if len(found) > 1:
        raise NoVersion(
            "Version {number} of the words of consent is there in both languages: write en:{number} or"
            " zh:{number}.", number=number,
        )  # fmt: skip
    if not found:
        raise NoVersion(
            "There is no version {number} of the words of consent: the page of consent lists those there"
            " are, or write the words themselves.", number=number,
        )  # fmt: skip
    return next(iter(found.values()))


def _said(session: Session, publication_id: int, wording: Wording) -> Wording:
    if not store.voices(session, publication_id):
        return wording
    voice = publications.voice(session, publication_id, wording.language)
    return replace(wording, text=wording.said(voice.name, voice.organisation))
