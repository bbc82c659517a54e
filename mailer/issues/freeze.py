"""Freezing: an edition becomes bytes, and from then on only those bytes are approved and sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce

from sqlalchemy.orm import Session

from mailer.content.compile import Compiled, compile_edition, fit
from mailer.content.document import Document
from mailer.content.letter import Attachment, Blueprint, Heading
from mailer.content.look import Look
from mailer.content.problems import problems
from mailer.content.theme import Places
from mailer.errors import Invalid
from mailer.issues import editions, publications, store
from mailer.issues.store import FrozenEdition, Issue, Publication, Voice
from mailer.sentence import Sentence
from mailer.settings import Settings


class NotReady(Invalid):
    """The edition has errors that must be mended before it can be sent."""


def freeze(
    session: Session, *, issue_id: int, languages: Iterable[str], settings: Settings, now: datetime
) -> list[FrozenEdition]:
    """Compile an issue's editions and keep the bytes; the same bytes are kept once.

    :raises NotReady: an edition has errors; the message names the first blocks
    :raises TooLong: an edition does not fit in a letter even with every article shortened
    """
    frozen: list[FrozenEdition] = []
    for language in languages:
        edition = editions.edition(session, issue_id, language)
        document = editions.document(edition)
        check(document)
        blueprint, compiled = blueprint_of(session, issue_id, language, settings=settings)
        web = compile_web(session, issue_id, language, settings=settings)
        digest = hashlib.sha256(f"{blueprint.digest}{web.html}".encode()).hexdigest()
        known = store.frozen(session, edition.id, edition.version, digest)
        frozen.append(
            known
            or FrozenEdition(
                edition_id=edition.id,
                version=edition.version,
                language=language,
                hash=digest,
                subject=compiled.subject,
                blueprint=blueprint.to_json().encode(),
                web_html=web.html,
                html_bytes=compiled.html_bytes,
                text_bytes=compiled.text_bytes,
                links=list(compiled.links),
                frozen_at=now,
            )
        )
    session.add_all(frozen)
    session.flush()
    return frozen


def check(document: Document) -> None:
    """:raises NotReady: the document has errors; the message gives the first three"""
    errors = [found for found in problems(document) if found.severity == "error"]
    if errors:
        shown = reduce(_and_then, (found.sentence for found in errors[:3]))
        if len(errors) > 3:
            shown = Sentence("{shown} (and {n} more)", shown=shown, n=len(errors) - 3)
        raise NotReady("Mend this before it can be sent: {shown}", shown=shown)


def _and_then(one: Sentence, other: Sentence) -> Sentence:
    return Sentence("{one}; {other}", one=one, other=other)


def blueprint_of(
    session: Session, issue_id: int, language: str, *, settings: Settings
) -> tuple[Blueprint, Compiled]:
    """Compile an edition for readers, as it stands now."""
    issue, publication, voice = _owner(session, issue_id, language)
    document = editions.document(editions.edition(session, issue_id, language))
    compiled = fit(
        document, look=_look(publication, voice), places=_places(session, issue, document, settings)
    )
    heading = Heading(
        sender_name=voice.sender_name,
        sender_address=publication.sender_address,
        subject=compiled.subject,
        list_id=publication.list_id,
        list_name=voice.name,
        reply_to=voice.reply_to,
        feedback_id=f"{issue.id}:{publication.code}:mailer",
        leave_by_mail=True,
    )
    files = [
        Attachment(file.file_name, file.media_type, file.content)
        for file in store.attachments(session, issue_id, language)
    ]
    return Blueprint.build(compiled, heading, files), compiled


def compile_web(
    session: Session, issue_id: int, language: str, *, settings: Settings, local: bool = False
) -> Compiled:
    """Compile an edition for the web and for previews: whole, with direct links, without slots.

    ``local``: pictures are named as files beside it, not by their address.
    """
    issue, publication, voice = _owner(session, issue_id, language)
    document = editions.document(editions.edition(session, issue_id, language))
    places = _places(session, issue, document, settings)
    if local:
        places = replace(places, figures={name: name for name in places.figures})
    return compile_edition(document, look=_look(publication, voice), places=places, personal=False)


def web_address(settings: Settings, issue: Issue, language: str) -> str:
    """Return where an edition stands on the web."""
    return f"{settings.public_url}/issues/{issue.public_id}/{language}"


def _owner(session: Session, issue_id: int, language: str) -> tuple[Issue, Publication, Voice]:
    issue = editions.get(session, issue_id)
    publication = session.get_one(Publication, issue.publication_id)
    return issue, publication, publications.voice(session, publication.id, language)


def _look(publication: Publication, voice: Voice) -> Look:
    return Look(organisation=voice.organisation, address=voice.postal_address, accent=publication.accent)


def _places(session: Session, issue: Issue, document: Document, settings: Settings) -> Places:
    others: Sequence[str] = [it for it in store.editions(session, issue.id) if it != document.language]
    return Places(
        base=settings.public_url,
        web=web_address(settings, issue, document.language),
        other=web_address(settings, issue, others[0]) if others else "",
        figures={
            figure.src: f"{settings.public_url}/figures/{figure.src}"
            for figure in editions.figures_of(document)
        },
    )
