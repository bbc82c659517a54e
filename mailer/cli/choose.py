"""What a command means when it does not say which publication."""

from __future__ import annotations

from sqlalchemy.orm import Session

from mailer.issues import publications, store
from mailer.issues.store import Publication


def publication(session: Session, code: str | None) -> Publication:
    """Return the publication of that code, else the first one.

    :raises NoPublication: none of that code, or none at all
    """
    if code is not None:
        return publications.get(session, code)
    existing = store.publications(session)
    if not existing:
        raise publications.NoPublication("There is no publication yet: `mailer publication add` makes one.")
    return existing[0]
