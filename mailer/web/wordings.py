"""The secretariat's pages of topics, and of the words in which consent is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.audit import Actor
from mailer.accounts.sessions import SignedIn
from mailer.audience import topics
from mailer.audience.evidence import wordings
from mailer.audience.store import ConsentKind
from mailer.issues import publications
from mailer.web import forms, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.forms import Form
from mailer.web.house import Now, Posted, Reading, Writing
from mailer.web.i18n import _
from mailer.web.people import newsletters

router = APIRouter(prefix="/admin", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False)

Steward = Annotated[SignedIn, Depends(may("people.manage"))]

TOPICS, CONSENT = "/admin/topics", "/admin/consent"


@router.get("/topics")
def list_topics(request: Request, session: Reading, me: Steward) -> Response:
    return pages.render(request, "admin/topics.html", **_topics(session))


class NewTopic(Form):
    """A topic to offer."""

    publication: str
    code: str
    name_zh: str
    name_en: str


@router.post("/topics")
def add_topic(request: Request, form: Posted, session: Writing, now: Now, me: Steward) -> Response:
    with pages.again(request, "admin/topics.html", form=forms.kept(form), **_topics(session)):
        given = forms.read(NewTopic, form)
        publication = publications.get(session, given.publication)
        topics.add(
            session, publication_id=publication.id, code=given.code, name_zh=given.name_zh,
            name_en=given.name_en, now=now, actor=actor(me),
        )  # fmt: skip
    return pages.done(TOPICS, _("Readers can choose it from now on."))


class TopicChange(Form):
    """What a button does with a topic; names are read when it is renamed."""

    topic: int
    do: Literal["rename", "up", "down", "retire", "offer"]
    name_zh: str = ""
    name_en: str = ""


@router.post("/topics/change")
def change_topic(request: Request, form: Posted, session: Writing, now: Now, me: Steward) -> Response:
    with pages.again(request, "admin/topics.html", form={}, **_topics(session)):
        given = forms.read(TopicChange, form)
        _change(session, given, now, actor(me))
    return pages.done(TOPICS, _("Saved."))


def _change(session: Session, given: TopicChange, now: datetime, who: Actor) -> None:
    match given.do:
        case "rename":
            topics.rename(
                session,
                topic_id=given.topic,
                name_zh=given.name_zh,
                name_en=given.name_en,
                now=now,
                actor=who,
            )
        case "up" | "down":
            topics.move(session, topic_id=given.topic, down=given.do == "down", now=now, actor=who)
        case _:
            topics.retire(session, topic_id=given.topic, retired=given.do == "retire", now=now, actor=who)


@router.get("/consent")
def list_wordings(request: Request, session: Reading, me: Steward) -> Response:
    return pages.render(request, "admin/consent.html", **_wordings(session))


class NewWording(Form):
    """Words to ask with from now on."""

    publication: str
    kind: ConsentKind
    language: Literal["zh", "en"]
    text: str


@router.post("/consent")
def write_wording(request: Request, form: Posted, session: Writing, now: Now, me: Steward) -> Response:
    with pages.again(request, "admin/consent.html", form=forms.kept(form), **_wordings(session)):
        given = forms.read(NewWording, form)
        publication = publications.get(session, given.publication)
        made = wordings.write(
            session, publication_id=publication.id, kind=given.kind, language=given.language,
            text=given.text, now=now, actor=actor(me),
        )  # fmt: skip
    return pages.done(CONSENT, _("Version %(version)s is in force.", version=made.version))


def _topics(session: Session) -> dict[str, Any]:
    return {
        "publications": [
            (each, name, topics.listing(session, each.id, retired=True), topics.readers(session, each.id))
            for each, name in newsletters(session)
        ]
    }


def _wordings(session: Session) -> dict[str, Any]:
    return {
        "publications": [
            (each, name, wordings.listing(session, each.id)) for each, name in newsletters(session)
        ],
        "kinds": wordings.KINDS,
    }
