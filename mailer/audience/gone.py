"""Gone: whom another system does not write to any more is remembered, so that no later list brings them back.

What is kept is a suppression for the publication of the import: a keyed hash, no person. Undoing the import
releases it, and so does the person's own sign-up. Who has said yes here, by a mail to that very address, is
not silenced by what they said elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from mailer import address as addresses
from mailer.address import BadAddress
from mailer.audience import bulk, silenced, suppressions
from mailer.audience.intake import Columns, Verdict
from mailer.audience.sheets.foreign import Gone
from mailer.audience.store import LEFT_ELSEWHERE, ConsentKind, SubscriptionState
from mailer.audience.suppressions import Scope, Silence
from mailer.audience.verdicts import RowVerdict
from mailer.sentence import Sentence
from mailer.signing import Keyring

_OWN_YES = {ConsentKind.SIGN_UP, ConsentKind.INVITED}  # confirmed: by a mail to the address
_KEPT = {
    LEFT_ELSEWHERE: Sentence(
        "Left there, which is remembered: no list brings this person back, only their own sign-up."
    ),
    "complaint": Sentence("Complained there, which is remembered: nothing is sent to this address."),
}
_BOUNCED = Sentence(
    "Letters came back there, which is remembered: nothing is sent to this address until its suppression is"
    " released or its reader signs up."
)
_KNOWN = Sentence("Kept away already: nothing has to be remembered.")
_SAID_YES = Sentence("Gone there, but subscribed here by their own yes: nothing is changed.")


def remember(
    session: Session,
    found: Mapping[int, Gone],
    *,
    import_id: int | None,
    publication_id: int,
    by: str,
    keys: Keyring,
    now: datetime,
) -> dict[int, RowVerdict]:
    """Silence those of a file who are gone elsewhere, by their lines; return the verdicts.

    ``import_id`` None: a dry run, nothing is written.
    """
    verdicts: dict[int, RowVerdict] = {}
    places: dict[int, str] = {}  # by line, the address in comparing form
    for line, each in found.items():
        try:
            places[line] = addresses.parse(each.address).key
        except BadAddress as refusal:
            verdicts[line] = RowVerdict(line, Verdict.REFUSED, refusal.sentence)
    standing = _standing(session, set(places.values()), publication_id)
    hashes = {key: keys.address_hash(key) for key in places.values()}
    known = {
        (row.address_hash, row.reason, Scope(row.publication_id, row.sender))
        for row in silenced.said(session, list(hashes.values()), now)
    }
    wanted = []
    for line, key in places.items():
        each = found[line]
        silence = Silence(
            address_hash=hashes[key], reason=each.reason, note=each.note, scope=Scope(publication_id),
            added_by=by, people_import_id=import_id,
        )  # fmt: skip
        verdicts[line] = _verdict(line, silence, standing.get(key), silence.key in known)
        if verdicts[line].verdict is Verdict.AWAY:
            wanted.append(silence)
    if import_id is not None:
        suppressions.suppress_many(session, wanted, now=now)
    return verdicts


def _standing(session: Session, keys: Collection[str], publication_id: int) -> dict[str, Columns]:
    """Return how people stand with the publication, by address."""
    people = bulk.subscribers(session, keys)
    rows = bulk.subscriptions(session, [person["id"] for person in people.values()], publication_id)
    return {key: rows[person["id"]] for key, person in people.items() if person["id"] in rows}


def _verdict(line: int, wanted: Silence, standing: Columns | None, known: bool) -> RowVerdict:
    state = standing["state"] if standing else None
    if state == SubscriptionState.CONFIRMED and standing and standing["consent_kind"] in _OWN_YES:
        return RowVerdict(line, Verdict.UNCHANGED, _SAID_YES)
    if known or (state == SubscriptionState.LEFT and wanted.reason == LEFT_ELSEWHERE):
        return RowVerdict(line, Verdict.UNCHANGED, _KNOWN)
    return RowVerdict(line, Verdict.AWAY, _KEPT.get(wanted.reason, _BOUNCED))
