"""Names of issues: what people call them, in the language of the request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from mailer.issues import editions, publications, store
from mailer.issues.store import Issue, Publication
from mailer.web import i18n
from mailer.web.i18n import _


@dataclass(frozen=True)
class Titled:
    """An issue with its publication, the publication's name and the languages it has editions in."""

    issue: Issue
    publication: Publication
    name: str
    languages: tuple[str, ...]

    @property
    def title(self) -> str:
        """Return "Green Observer, no. 12"."""
        if self.issue.number is None:
            return _("%(name)s, draft", name=self.name)
        return _("%(name)s, no. %(number)s", name=self.name, number=self.issue.number)

    @property
    def path(self) -> str:
        """Where its page is."""
        return f"/desk/issues/{self.issue.public_id}"


def titled(session: Session, found: Iterable[Issue]) -> dict[int, Titled]:
    """Return issues by id with their names, in the order given."""
    rows = list(found)
    languages = store.languages_of(session, [issue.id for issue in rows])
    names = {
        each.id: (each, publications.voice(session, each.id, i18n.current()).name)
        for each in store.publications(session)
    }
    return {
        issue.id: Titled(issue, *names[issue.publication_id], tuple(languages.get(issue.id, ())))
        for issue in rows
    }


def find_issue(session: Session, issue: UUID) -> Titled:
    """:raises NoIssue: none of that id"""
    found = store.issue_by_public_id(session, issue)
    if found is None:
        raise editions.NoIssue
    return titled(session, [found])[found.id]
