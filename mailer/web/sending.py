"""The administrator's pages about sending: destinations and their limits, relays, workers, DKIM keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from mailer.accounts.sessions import SignedIn
from mailer.delivery import dkim_dns, dkim_keys, lanes, pace, store
from mailer.delivery.dkim import Algorithm
from mailer.delivery.pace import Limit
from mailer.delivery.relay import BadRelay, Relay
from mailer.delivery.store import CampaignState, DkimKey
from mailer.reports import store as rows
from mailer.reports import waiting
from mailer.settings import Settings
from mailer.web import forms, pages
from mailer.web.access import actor, guard, may, staff
from mailer.web.campaigns import known
from mailer.web.forms import Form
from mailer.web.house import Here, Now, Posted, Reading, Writing
from mailer.web.i18n import _, ngettext, number
from mailer.web.words import destination

router = APIRouter(
    prefix="/admin/sending", dependencies=[Depends(guard), Depends(staff)], include_in_schema=False
)

Admin = Annotated[SignedIn, Depends(may("sending.manage"))]

_PATH = "/admin/sending"
_KEYS = "/admin/sending/keys"
_SHOWN = timedelta(days=1)  # a worker that was not seen for so long is no news


@router.get("")
def show(
    request: Request,
    session: Reading,
    house: Here,
    now: Now,
    me: Admin,
    lane: Annotated[str, Query(max_length=255)] = "",
) -> Response:
    """Everything that answers "why does it take so long?"; ``lane``: whose limit is to be changed."""
    seen = _seen(session, house.settings, now)
    return pages.render(request, "admin/sending.html", form=_as_form(session, lane), **seen)


class Pace(Form):
    """A destination's limit; what is left empty is not limited."""

    lane: str
    per_second: float | None = None
    per_hour: int | None = None
    connections: int | None = None
    letters: int | None = None


@router.post("/limits")
def set_limit(request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin) -> Response:
    seen = _seen(session, house.settings, now)
    with pages.again(request, "admin/sending.html", form=forms.kept(form), **seen):
        given = forms.read(Pace, form)
        limit = Limit(**given.model_dump(exclude={"lane"}))
        lane = lanes.set_limit(session, given.lane, limit, now=now, actor=actor(me))
    return pages.done(_PATH, f"{destination(lane)}: {in_words(limit)}")


class Which(Form):
    """The destination a button is about."""

    lane: str


@router.post("/limits/clear")
def clear_limit(form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    lane = lanes.clear_limit(session, forms.read(Which, form).lane, now=now, actor=actor(me))
    limit = lanes.limits(session).get(lane, pace.NONE)
    return pages.done(_PATH, f"{destination(lane)}: {in_words(limit)}")


def in_words(limit: Limit) -> str:
    """Say a limit: "10 a second · 20,000 an hour · 5 connections"."""
    return " · ".join(_parts(limit)) or _("without limit")


def _parts(limit: Limit) -> Iterator[str]:
    if limit.per_second is not None:
        yield _("%(n)s a second", n=_rate(limit.per_second))
    if limit.per_hour is not None:
        yield _("%(n)s an hour", n=number(limit.per_hour))
    if limit.connections is not None:
        yield ngettext("%(num)s connection", "%(num)s connections", limit.connections)
    if limit.letters is not None:
        yield ngettext("%(num)s letter on each", "%(num)s letters on each", limit.letters)


def _rate(per_second: float) -> str:
    return number(per_second) if per_second >= 0.001 else f"{per_second:.1g}"  # a few letters a day


def _as_form(session: Session, lane: str) -> dict[str, Any]:
    limit = lanes.limits(session).get(lane, pace.NONE)
    return {"lane": lane} | {
        name: f"{value:g}" if isinstance(value, float) else value
        for name, value in asdict(limit).items()
        if value is not None
    }


def _seen(session: Session, settings: Settings, now: datetime) -> dict[str, Any]:
    stuck = store.campaigns(session, CampaignState.SENDING, CampaignState.PAUSED, CampaignState.SCHEDULED)
    return {
        "destinations": waiting.destinations(session, now),
        "defaults": pace.DEFAULTS,
        "limit_words": in_words,
        "warm_up": pace.warm_up,
        "time_at": waiting.time_at,
        "caught": not settings.smtp_url,
        "troubled": known(session, [row for row in stuck if row.trouble]),
        "failing": waiting.failing(session, now),
        "workers": rows.workers(session, now - _SHOWN),
        "alive_since": now - waiting.LAST_SEEN,
        **_relays(settings),
    }


def _relays(settings: Settings) -> dict[str, Any]:
    try:
        return {"relays": [Relay.from_url(url) for url in settings.relay_urls], "bad_relay": None}
    except BadRelay as error:
        return {"relays": [], "bad_relay": error}


# --- DKIM keys ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signing:
    """A domain with its keys. ``sends``: a publication sends from it; ``by``: the domain whose keys sign."""

    domain: str
    sends: bool
    by: str
    keys: list[DkimKey]


@router.get("/keys")
def list_keys(request: Request, session: Reading, now: Now, me: Admin) -> Response:
    return pages.render(request, "admin/keys.html", **_keys(session, now))


class NewKey(Form):
    """A key to be made; ``selector`` empty: one made of the date."""

    domain: str
    algorithm: Algorithm = Algorithm.RSA
    selector: str = ""


@router.post("/keys")
def make_key(request: Request, form: Posted, session: Writing, house: Here, now: Now, me: Admin) -> Response:
    with pages.again(request, "admin/keys.html", form=forms.kept(form), **_keys(session, now)):
        given = forms.read(NewKey, form)
        key = dkim_keys.make(
            session, **given.model_dump(), keys=house.settings.keys, now=now, actor=actor(me)
        )
    message = _("The key %(key)s is made. Next: publish its record, then check it.", key=key.selector)
    return pages.done(f"{_KEYS}#{key.selector}", message)


class WhichKey(Form):
    """The key a button is about. ``last``: retire it even if letters go unsigned then."""

    domain: str
    selector: str
    last: bool = False


@router.post("/keys/check")
def check_key(request: Request, form: Posted, session: Reading, house: Here, now: Now, me: Admin) -> Response:
    """Look into the DNS. What it says is shown and not kept: it may be otherwise in a minute."""
    given, seen = forms.read(WhichKey, form), _keys(session, now)
    with pages.again(request, "admin/keys.html", form={}, **seen):
        key = dkim_keys.get(session, domain=given.domain, selector=given.selector)
        finding = dkim_keys.check(key, house.look_up)
    return pages.render(request, "admin/keys.html", checked=key, finding=finding, **seen)


@router.post("/keys/activate")
def activate_key(
    request: Request, form: Posted, reading: Reading, house: Here, now: Now, me: Admin
) -> Response:
    """The DNS is asked before the writing transaction: an answer may take seconds."""
    given = forms.read(WhichKey, form)
    with pages.again(request, "admin/keys.html", form={}, **_keys(reading, now)):
        key = dkim_keys.get(reading, domain=given.domain, selector=given.selector)
        seen = dkim_keys.check(key, house.look_up)
        with house.database.write() as session:
            dkim_keys.activate(
                session, domain=key.domain, selector=key.selector, seen=seen, now=now, actor=actor(me)
            )
    return pages.done(
        f"{_KEYS}#{key.selector}", _("%(key)s signs for %(domain)s.", key=key.selector, domain=key.domain)
    )


@router.post("/keys/retire")
def retire_key(request: Request, form: Posted, session: Writing, now: Now, me: Admin) -> Response:
    given = forms.read(WhichKey, form)
    asked = (given.domain, given.selector)
    with pages.again(request, "admin/keys.html", form={}, retiring=asked, **_keys(session, now)):
        dkim_keys.retire(
            session, domain=given.domain, selector=given.selector, last=given.last, now=now, actor=actor(me)
        )
    return pages.done(_KEYS, _("The key %(key)s is gone for good.", key=given.selector))


def _keys(session: Session, now: datetime) -> dict[str, Any]:
    keys, senders = dkim_keys.listing(session), dkim_keys.sender_domains(session)
    return {
        "domains": [
            Signing(
                domain=domain,
                sends=domain in senders,
                by=next((key.domain for key in dkim_keys.in_force(session, domain, now)), ""),
                keys=[key for key in keys if key.domain == domain],
            )
            for domain in sorted({*senders, *(key.domain for key in keys)})
        ],
        "state_of": lambda key: dkim_keys.state(key, now),
        "record_until": dkim_keys.record_until,
        "record_name": dkim_dns.record_name,
        "record": lambda key: dkim_dns.record(Algorithm(key.algorithm), key.public),
        "strings": dkim_dns.strings,
    }
