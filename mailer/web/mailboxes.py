"""The administrator's page about mailboxes: which are read, how that goes, and answers nobody has got."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.feedback import answered, answers
from mailer.feedback.boxes import mailboxes, store
from mailer.feedback.boxes.account import Account, Protocol, from_parts
from mailer.feedback.boxes.store import Mailbox, UnstoredMail
from mailer.sentence import Sentence
from mailer.web import forms, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.answers import seen
from mailer.web.forms import Form
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _

router = APIRouter(
    prefix="/admin/sending/mailboxes",
    dependencies=[Depends(guard), Depends(staff)],
    include_in_schema=False,
)

Admin = Annotated[SignedIn, Depends(may("sending.manage"))]

_PATH = "/admin/sending/mailboxes"
_UNREAD = timedelta(minutes=30)  # after which a mailbox that nobody looked into is not read
_SHOWN = 50  # answers


@dataclass(frozen=True)
class Shown:
    """A mailbox as the page shows it; ``trouble`` None: it works, or was not looked at yet."""

    row: Mailbox
    account: Account
    trouble: Sentence | None
    is_read: bool
    unstored: list[UnstoredMail]


@router.get("")
def show(request: Request, session: Reading, now: Now, me: Admin) -> Response:
    return pages.render(request, "admin/mailboxes.html", form={}, **_seen(session, now))


class NewMailbox(Form):
    """A mailbox to be read; ``folder`` is of IMAP alone."""

    protocol: Literal["imaps", "pop3s"] = "imaps"
    host: str
    user: str
    password: str
    folder: str = "INBOX"
    then: Literal["move", "mark", "keep", "delete"] = "move"


@router.post("")
def add(request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin) -> Response:
    """The mailbox is not opened here: who reads mailboxes does so within seconds, and the page says how."""
    kept = {name: value for name, value in forms.kept(form).items() if name != "password"}
    with pages.again(request, "admin/mailboxes.html", form=kept, **_seen(session, now)):
        account = from_parts(**forms.read(NewMailbox, form).model_dump())
        mailboxes.add(session, account, keys=house.settings.keys, now=now, actor=actor(me))
    return pages.done(_PATH, _("The mailbox is read within seconds: reload the page to see how it goes."))


class Which(Form):
    """The mailbox, or the answer, a button is about."""

    id: int


@router.post("/again")
def try_again(form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    mailboxes.try_again(session, forms.read(Which, form).id, now=now, actor=actor(me))
    return pages.done(_PATH, _("It is tried again within seconds: reload the page to see how it goes."))


class Unstored(Which):
    """A mail of a mailbox that could not be stored."""

    uid: str


@router.post("/dismiss")
def dismiss(form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    given = forms.read(Unstored, form)
    mailboxes.dismiss(session, given.id, given.uid, now=now, actor=actor(me))
    return pages.done(_PATH, _("This mail is not tried again; it stays where it is."))


@router.post("/remove")
def remove(form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    mailboxes.remove(session, forms.read(Which, form).id, now=now, actor=actor(me))
    return pages.done(_PATH, _("The mailbox is read no more, and its password is forgotten."))


@router.post("/answers")
def pass_on(form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    answers.again(session, forms.read(Which, form).id, now=now, actor=actor(me))
    return pages.done(_PATH, _("The answer goes to the desk within half a minute."))


def _seen(session: Session, now: datetime) -> dict[str, Any]:
    kept = answered.in_states(session, answers.State.KEPT, limit=_SHOWN)
    return {
        "mailboxes": [_shown(session, row, now) for row in store.mailboxes(session)],
        "kept": [seen(session, row) for row in kept],
        "POP3": Protocol.POP3,
    }


def _shown(session: Session, row: Mailbox, now: datetime) -> Shown:
    is_read = row.looked_at is not None and now - row.looked_at < _UNREAD
    failed = store.unstored(session, row.id)
    return Shown(row, Account.from_url(row.url), mailboxes.trouble_of(row), is_read, failed)
