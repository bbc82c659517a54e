"""Attachments: files that travel with every letter of an issue."""

from __future__ import annotations

import mimetypes
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.content.encoding import one_line
from mailer.errors import Invalid, NotFound
from mailer.issues import editions, store
from mailer.issues.store import Attachment

MOST_OCTETS = 2_000_000  # of all files of an edition: each letter carries them, base64 adds a third
# What mail systems refuse to pass on whatever it holds (Gmail, Exchange and Postfix guides agree on these)
_REFUSED = frozenset(
    {"bat", "cmd", "com", "cpl", "exe", "hta", "iso", "jar", "js", "jse", "lnk", "msi", "ps1", "scr", "vbs"}
)


class NoAttachment(NotFound):
    """This issue has no such attachment: reload its page."""


class BadAttachment(Invalid):
    """This file cannot travel with a letter."""


def add(
    session: Session,
    *,
    issue_id: int,
    file_name: str,
    content: bytes,
    now: datetime,
    actor: Actor,
    language: str | None = None,
) -> Attachment:
    """Attach a file to an issue's letters; ``language`` None: to every edition's. An approval is void then.

    :raises BadAttachment: empty, too large with the others, or of a kind mail systems refuse
    """
    name = one_line(file_name.replace("\\", "/").rpartition("/")[2])
    if not content or not name:
        raise BadAttachment("The file is empty: choose the file again.")
    if name.rpartition(".")[2].lower() in _REFUSED:
        raise BadAttachment(
            "Mail systems refuse files like “{name}”: attach a PDF or an Office file.", name=name
        )
    others = sum(len(file.content) for file in store.attachments(session, issue_id, language))
    if others + len(content) > MOST_OCTETS:
        raise BadAttachment(
            "With “{name}” the letter's files come to more than {most} MB: put it on the web and link to it.",
            name=name,
            most=MOST_OCTETS // 1_000_000,
        )
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    attachment = Attachment(
        issue_id=issue_id, language=language, file_name=name, media_type=media_type, content=content
    )
    session.add(attachment)
    _changed(session, issue_id, "issue.attach", name, now, actor)
    return attachment


def remove(session: Session, *, issue_id: int, attachment_id: int, now: datetime, actor: Actor) -> None:
    """Take a file off an issue's letters. An approval is void then.

    :raises NoAttachment: the issue has no such file
    """
    attachment = session.get(Attachment, attachment_id)
    if attachment is None or attachment.issue_id != issue_id:
        raise NoAttachment
    session.delete(attachment)
    _changed(session, issue_id, "issue.detach", attachment.file_name, now, actor)


def _changed(session: Session, issue_id: int, action: str, name: str, now: datetime, actor: Actor) -> None:
    for edition in store.editions(session, editions.get(session, issue_id).id).values():
        edition.version += 1  # what was frozen lacks the change
        edition.updated_at, edition.updated_by = now, actor.name
    session.flush()
    audit.record(
        session,
        now=now,
        actor=actor,
        action=action,
        subject=f"issue {issue_id}",
        before={"file": name} if action == "issue.detach" else None,
        after={"file": name} if action == "issue.attach" else None,
    )
