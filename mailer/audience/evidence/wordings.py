"""Wordings: the words in which consent is asked for, by kind and language, version after version.

Evidence holds the words themselves; which version they are follows from the words and the day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.audience.evidence import store
from mailer.audience.evidence.store import ConsentWording
from mailer.audience.store import ConsentKind
from mailer.errors import Conflict, Invalid

KINDS = (ConsentKind.SIGN_UP, ConsentKind.INVITED, ConsentKind.VOUCHED, ConsentKind.IMPORTED)
LONGEST = 2_000  # characters

_FIRST: Mapping[tuple[ConsentKind, str], str] = {
    (ConsentKind.SIGN_UP, "en"): (
        "Yes, I would like to receive {name} from {organisation} by e-mail. I can leave at any time."
    ),
    (ConsentKind.SIGN_UP, "zh"): "我愿意通过电子邮件接收{organisation}的《{name}》，并可随时退订。",
    (ConsentKind.INVITED, "en"): "They will be asked by mail whether they want the newsletter.",
    (ConsentKind.INVITED, "zh"): "系统将发邮件询问对方是否愿意接收通讯。",
    (ConsentKind.VOUCHED, "en"): (
        "They have agreed to receive the newsletter, and my organisation can show it."
    ),
    (ConsentKind.VOUCHED, "zh"): "对方已同意接收通讯，本单位可以提供证明。",
    (ConsentKind.IMPORTED, "en"): (
        "These people have agreed to receive the newsletter; the evidence is kept on file."
    ),
    (ConsentKind.IMPORTED, "zh"): "名单中的人员均已同意接收通讯，相关证明已存档。",
}
"""What is said until the secretariat has written its own: version 0."""


class SameWords(Conflict):
    """These are the words in force already: change them, or leave them as they are."""


class BadWording(Invalid):
    """The words of consent have 1 to 2,000 characters: write them."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Words of consent; ``{name}`` and ``{organisation}`` have their places in them.

    ``version`` 0: came with the system; ``since`` None: from the first day.
    """

    kind: ConsentKind
    language: str
    version: int
    text: str
    since: datetime | None = None
    made_by: str = ""

    def said(self, name: str, organisation: str) -> str:
        """Return the words with the newsletter's name and its publisher's in their places."""
        return self.text.replace("{name}", name).replace("{organisation}", organisation)


def in_force(session: Session, publication_id: int, kind: ConsentKind, language: str) -> Wording:
    """Return the words to ask with now."""
    return _all(session, publication_id)[kind, language][0]


def listing(session: Session, publication_id: int) -> dict[tuple[ConsentKind, str], list[Wording]]:
    """Return every version by kind and language, the one in force first."""
    return _all(session, publication_id)


def write(
    session: Session,
    *,
    publication_id: int,
    kind: ConsentKind,
    language: str,
    text: str,
    now: datetime,
    actor: Actor,
) -> Wording:
    """Put new words in force and return them; what was said with the old ones stays as it is.

    :raises BadWording: empty or too long
    :raises SameWords: nothing would change
    """
    words = " ".join(text.split())
    if not 0 < len(words) <= LONGEST:
        raise BadWording
    before = in_force(session, publication_id, kind, language)
    if before.text == words:
        raise SameWords
    made = ConsentWording(
        publication_id=publication_id, kind=kind, language=language, version=before.version + 1, text=words,
        since=now, made_by=actor.name,
    )  # fmt: skip
    session.add(made)
    session.flush()
    audit.record(
        session, now=now, actor=actor, action="consent.word", subject=f"wording {made.id}",
        before={"version": before.version, "text": before.text},
        after={"version": made.version, "text": words, "kind": kind, "language": language},
    )  # fmt: skip
    return _wording(made)


def version_of(
    known: Mapping[tuple[ConsentKind, str], list[Wording]], text: str, at: datetime
) -> Wording | None:
    """Return the version that evidence was given in; None: in words of somebody's own.

    Of two versions in the same words, the one in force ``at`` that moment.
    """
    same = [each for versions in known.values() for each in versions if each.text == text]
    then = [each for each in same if each.since is None or each.since <= at]
    return max(then or same, key=lambda each: each.version, default=None)


def _all(session: Session, publication_id: int) -> dict[tuple[ConsentKind, str], list[Wording]]:
    found: dict[tuple[ConsentKind, str], list[Wording]] = {key: [] for key in _FIRST}
    for row in store.wordings(session, publication_id):
        found[ConsentKind(row.kind), row.language].append(_wording(row))
    for (kind, language), versions in found.items():
        versions.append(Wording(kind, language, 0, _FIRST[kind, language]))
    return found


def _wording(row: ConsentWording) -> Wording:
    return Wording(ConsentKind(row.kind), row.language, row.version, row.text, row.since, row.made_by)
