"""Every POST of a signed-in page leaves a line in the log, with what was before and after, and in words.

A new route fails until one of the walks below sends it, or ``_QUIET`` says why it leaves none.
"""

from __future__ import annotations

import re
from base64 import b32decode, b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from mailer.accounts import sessions, totp
from mailer.accounts.store import AuditEntry, Role, Totp
from mailer.audience.changes import wholesale
from mailer.audience.store import Import, Membership, PartnerRequest, Suppression
from mailer.audience.uploads import steps
from mailer.content.markdown import to_markdown
from mailer.delivery import dkim_keys, events
from mailer.delivery.events import News
from mailer.delivery.store import Campaign, EventKind
from mailer.feedback import alerts, dormant, policy
from mailer.feedback.boxes import store as boxes
from mailer.feedback.record import hear
from mailer.feedback.store import Decision, Storm
from mailer.issues.store import Attachment
from mailer.sentence import Sentence
from mailer.web import deeds
from tests.feedback import samples
from tests.make import KEYS, NOON, document
from tests.web.conftest import Visitor, hidden, routes
from tests.web.privileges import BY_PROOF

_QUIET = {
    "/sign-out": "one's own session ends; signing in was written down",
    "/account/codes/begin": "a picture is shown that guards nothing yet",
    "/desk/campaigns/{campaign}/test": "a colleague gets a letter; nothing here changes",
    "/admin/rules/try": "only tries",
    "/desk/segments/look": "only counts, while a rule is written",
    "/admin/subscribers/import": "the file is only kept and looked at",
    "/admin/subscribers/import/{upload}/columns": "only looked at in another way",
    "/admin/subscribers/import/{upload}/run": "whoever takes it in writes it down when it is done",
    "/partner/import": "the file is only kept and looked at",
    "/partner/import/{upload}/columns": "only looked at in another way",
    "/partner/import/{upload}/run": "whoever takes it in writes it down when it is done",
    "/admin/suppressions/import/check": "only looks",
    "/admin/partners/import/check": "only tried, and taken back",
    "/admin/sending/keys/check": "only asks the DNS",
    "/admin/duplicates/find": "only looks: what it finds is shown, and changes nobody",
}
"""Why a route leaves no line."""


@dataclass
class Walk:
    """Somebody who posts, and looks each time at what the log says of it."""

    who: Visitor
    database: Any
    tried: set[str]

    def __call__(self, path: str, route: str = "", **fields: Any) -> Any:
        """Post to ``path``; it goes well and leaves lines that can be read. Return the page."""
        before = self._last()
        page = self.who.post(path, **fields)
        assert page.status_code == 200, f"{path}: {page.status_code} {_plain(page.text)}"
        new = self._after(before)
        assert new, f"{path} leaves no line in the log"
        for entry in new:
            assert entry.action in deeds.ACTIONS, f"{path} does what has no words: {entry.action}"
            assert entry.before is not None or entry.after is not None, f"{path}: {entry.action} says nothing"
            assert "@example.org" not in str([entry.before, entry.after]) or entry.action.startswith("user.")
        self.tried.add(route or path)
        return page

    def _last(self) -> int:
        with self.database.read() as session:
            return max((row.id for row in session.query(AuditEntry)), default=0)

    def _after(self, id: int) -> list[AuditEntry]:
        with self.database.read() as session:
            return session.query(AuditEntry).filter(AuditEntry.id > id).all()


def _plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())[:400]


@pytest.fixture
def walk(sign_in, sqlite_database):
    """Walks as a role."""
    return lambda role, **given: (sign_in(role, **given), sqlite_database)


def accounts(walk, make, database):
    me = walk(Role.ADMIN)
    me("/account", name="Lin", language="en")
    new = {"password": "a new long password", "again": "a new long password"}
    me("/account/password", **new)
    page = me.who.post("/account/codes/begin")
    secret = b32decode(re.search(r'class="copy">([A-Z2-7 ]+)<', page.text)[1].replace(" ", ""))
    page = me("/account/codes/confirm", code=totp.code_at(secret, totp.step_of(NOON)))
    codes = re.findall(r"<li><code>([a-z2-7-]+)</code>", page.text)
    codes = re.findall(r"<li><code>([a-z2-7-]+)</code>", me("/account/codes/renew", code=codes[0]).text)
    me("/account/codes/off", code=codes[1])
    with database.write() as session:
        for _ in range(2):
            cookie, _csrf = sessions.open_session(session, user_id=me.who.user.id, now=NOON)
        id = sessions.find(session, cookie, NOON).id
    me("/account/sessions/close", session=id)
    me("/account/sessions/close-others")
    me("/admin/users/new", email="new@example.org", role="viewer")
    user, path = make.user(Role.EDITOR), "/admin/users/{user}"
    with database.write() as session:
        session.add(Totp(user_id=user.id, secret="x", made_at=NOON, confirmed_at=NOON))
    for verb in ("/link", "/sign-out", "/codes-off", "/close", "/open"):
        me(f"/admin/users/{user.id}{verb}", path + verb)
    me(f"/admin/users/{user.id}", path, role="viewer", name="Ed")


def people(walk, make, database):
    make.publication()
    ours = make.partner("ours", trusted=True)
    me = walk(Role.PARTNER, partner_id=ours.id)
    me("/partner/people/new", address="ann@example.org", language="en", consent="vouched", name_en="Ann")
    with database.read() as session:
        person = session.query(Membership).one().public_id
    me(f"/partner/people/{person}", "/partner/people/{person}", language="zh", name_en="Anna")
    path = "/partner/people/{person}"
    me(f"/partner/people/{person}/pause", f"{path}/pause", until="2026-12-01")
    for verb in ("resume", "remove", "restore"):
        me(f"/partner/people/{person}/{verb}", f"{path}/{verb}")
    corrected = {"address": "ann.lee@example.org", "consent": "vouched"}
    me(f"/partner/people/{person}/address", f"{path}/address", **corrected)
    me("/partner/people/add", people="bob@example.org", language="en", consent="vouched")
    asked = make.membership(ours, make.subscriber(), confirmed_at=None, consent_at=NOON - timedelta(days=30))
    me(f"/partner/people/{asked.public_id}/ask", f"{path}/ask")
    admin = walk(Role.ADMIN)
    for seats, verb in ((30, "accept"), (40, "decline")):
        me("/partner/requests", kind="seats", seats=str(seats), words="two more offices")
        request = _request(database)
        answer = {"verdict": verb, "answer": "As you like."}
        admin(f"/admin/requests/{request}", "/admin/requests/{request_id}", **answer)
    me("/partner/requests", kind="seats", seats="50", words="one more")
    request = _request(database)
    me(f"/partner/requests/{request}/withdraw", "/partner/requests/{request_id}/withdraw")
    for verb in ("", "/link", "/remove"):
        me(f"/partner/team{verb}", email="colleague@ours.example", name="Bo", language="en")
    admin("/admin/forms/observer", "/admin/forms/{code}", welcomes="1")
    admin("/admin/partners", code="mee", name_en="The Ministry", kind="ministry", country="cn")
    file = b64encode(b"code,name_en,kind,country\nsea,Sea,ngo,NO\n").decode()
    admin("/admin/partners/import", carried=file, name="partners.csv")


def directory(walk, make, database):
    me, topic = walk(Role.ADMIN), make.topic("lakes")
    one = make.subscriber("una.lee@example.org", name_en="Ann Lee")
    two = make.subscriber("una.lee@mail.example.org", name_en="Ann Lee")
    facts = {"language": "en", "country": "FR"}
    me("/admin/subscribers/new", address="li@example.org", publication="observer", wording="new",
       new_wording="Yes.", origin="a letter", **facts)  # fmt: skip
    path = "/admin/subscribers/{person}"
    me(f"/admin/subscribers/{one.public_id}", path, given_en="Ann", family_en="Lee", **facts)
    me(f"/admin/subscribers/{one.public_id}/export", f"{path}/export")
    me("/admin/consent", publication="observer", kind="sign_up", language="en", text="I would like it.")
    me("/admin/topics", publication="observer", code="rivers", name_zh="河流", name_en="Rivers")
    me("/admin/topics/change", topic=str(topic.id), do="rename", name_zh="湖泊", name_en="Great lakes")
    me("/admin/retention", key="raw_mail", days="90")
    path = "/admin/changes"
    here = me(path, do="language", value="zh", publication="observer").url.path
    wholesale.work(database, clock=lambda: NOON, seconds=60)
    me(f"{here}/take-back", f"{path}/{{change}}/take-back", next=here)
    path = "/admin/duplicates/{kept}/{gone}"
    assert me.who.post("/admin/duplicates/find").status_code == 200
    me(f"/admin/duplicates/{one.public_id}/{two.public_id}", path, do="different")
    path = "/admin/partners/{code}"
    names = {"name_en": "The Institute", "kind": "ngo", **facts}
    for code in ("old", "older", "new"):
        me("/admin/partners", code=code, **names)
    me("/admin/partners/old", path, **names | {"seats": "12"})
    me("/admin/partners/old/merge", f"{path}/merge", into="new")
    me("/admin/partners/older/close", f"{path}/close")
    me(f"/admin/subscribers/{two.public_id}/erase", "/admin/subscribers/{person}/erase")


def _request(database):
    with database.read() as session:
        return session.query(PartnerRequest).filter_by(state="open").one().public_id


def imports(walk, make, database):
    me, path = walk(Role.ADMIN), "/admin/subscribers/import"
    partner = walk(Role.PARTNER, partner_id=make.partner(trusted=True).id)
    consent = {"wording": "new", "new_wording": "I want it.", "how": "A form.", "consent": "vouched"}
    for who, place in ((me, path), (partner, "/partner/import")):
        page = who.who.post(place, files={"file": ("x.csv", b"email\nnew@import.example\n")})
        assert who.who.post(f"{page.url.path}/run", **consent).status_code == 200
        steps.work(database, keys=KEYS, clock=lambda: NOON)
        with database.read() as session:
            file = session.query(Import).order_by(Import.id.desc()).first().public_id
            assert session.query(AuditEntry).filter_by(action="import.finish").count()
        who(f"{place}/done/{file}/undo", f"{place}/done/{{file}}/undo")


def segments(walk, make, database):
    me = walk(Role.EDITOR)
    kept = make.segment("language = zh")
    me("/desk/segments", name="English", tab="text", rule="language = en", publication="observer")
    me(f"/desk/segments/{kept.id}/copy", "/desk/segments/{segment}/copy")
    me(f"/desk/segments/{kept.id}/delete", "/desk/segments/{segment}/delete")


def issues(walk, make, database):
    make.subscriber()
    me, other = walk(Role.ADMIN), walk(Role.ADMIN)
    text = to_markdown(document("en"))
    page = me("/desk/issues/new", files={"file": ("issue.md", text.encode())})
    path = page.url.path
    chinese = to_markdown(document("zh")).encode()
    me(f"{path}/add", "/desk/issues/{issue}/add", files={"file": ("issue.md", chinese)})
    me(f"{path}/number", "/desk/issues/{issue}/number", number="7", date="2026-11-30")
    me(f"{path}/attach", "/desk/issues/{issue}/attach", files={"attachment": ("a.pdf", b"%PDF-1.7 x")})
    with database.read() as session:
        file = session.query(Attachment).one().id
    me(f"{path}/detach", "/desk/issues/{issue}/detach", attachment=str(file))
    version = hidden(me.who.get(f"{path}/en/edit").text, "version")
    edited = text.replace("back", "here")
    me(f"{path}/en/edit", "/desk/issues/{issue}/{language}/edit", text=edited, version=version)
    page = me(f"{path}/campaign", "/desk/issues/{issue}/campaign", audience="everyone", languages=["en"])
    here, path = page.url.path, "/desk/campaigns/{campaign}"
    me(f"{here}/plan", f"{path}/plan", audience="language = en", languages=["en"])
    me(f"{here}/ask", f"{path}/ask")
    other(f"{here}/reject", f"{path}/reject", why="The date is wrong.")
    me(f"{here}/ask", f"{path}/ask")
    other(f"{here}/approve", f"{path}/approve")
    me(f"{here}/launch", f"{path}/launch")
    for move in ("pause", "resume", "cancel"):
        me(f"{here}/steer", f"{path}/steer", move=move)
    letter = make.delivery(state=4)
    with database.read() as session:
        here = f"/desk/campaigns/{session.get_one(Campaign, letter.campaign_id).public_id}"
    me(f"{here}/uncertain", f"{path}/uncertain", decision="accept")


def told(make, database, letter=None, **given):
    """Something comes back about a letter; its event, decided about."""
    letter = letter or make.delivery()
    facts = {"kind": EventKind.BOUNCE, "at": NOON, "source": "smtp", "permanent": True, "category": "unknown",
             "detail": "RCPT: 554 Service not offered to this correspondent"}  # fmt: skip
    with database.write() as session:
        news = News(campaign_id=letter.campaign_id, n=letter.n, **{**facts, **given})
        [event] = events.record_many(session, [news])
        policy.apply_pending(session, now=NOON)
    return event


_DEAD = {"category": "bad_mailbox", "dead": True, "status": "5.1.1"}


def feedback(walk, make, database):
    me, path = walk(Role.ADMIN), "/admin/feedback/{event}"
    me("/admin/feedback/settle", event=[str(told(make, database))])
    case = told(make, database)
    me(f"/admin/feedback/{case}/settle", f"{path}/settle")
    me(f"/admin/feedback/{case}/reopen", f"{path}/reopen")
    me(f"/admin/feedback/{case}/suppress", f"{path}/suppress", note="asked")
    me(f"/admin/feedback/{told(make, database, **_DEAD)}/undo", f"{path}/undo", why="she wrote")
    with database.write() as session:
        alerts.tell(session, alerts.About.REFUSED, Sentence("Gmail refuses"), subject="gmail", now=NOON)
    alert = hidden(me.who.get("/admin/feedback").text, "alert")
    me("/admin/feedback/alerts/settle", alert=alert)


def rules(walk, make, database):
    me, path = walk(Role.ADMIN), "/admin/rules/{rule}"
    told(make, database)
    rule = {"words": "not offered to this correspondent", "category": "bad_mailbox", "dead": "1"}
    here = me("/admin/rules", **rule).url.path
    me(f"{here}/judge", f"{path}/judge")
    me(f"{here}/undo", f"{path}/undo", why="a mistake")
    me(f"{here}/switch", f"{path}/switch", on="0")


def rulings(walk, make, database):
    me = walk(Role.ADMIN)
    me("/admin/policy", inactive_times="4")
    me("/admin/policy/reset")


def silence(walk, make, database):
    me, path = walk(Role.ADMIN), "/admin/suppressions"
    me(path, address="new@elsewhere.example", note="asked by telephone")
    held = make.suppression("ann@example.org")
    me(f"{path}/release", id=str(held.id), why="asked")
    file = ("list.csv", b"email,note\nbob@example.org,left\n", "text/csv")
    checked = me.who.post(f"{path}/import/check", files={"file": file})
    taken = me(f"{path}/import", carried=hidden(checked.text, "carried"), name="list.csv")
    me(f"{path}/import/undo", file=hidden(taken.text, "file"))
    reader = make.subscriber()
    event = told(make, database, make.delivery(subscriber=reader))
    with database.write() as session:
        dormant.list_many(session, {reader.id: (event, Sentence("many came back"))}, now=NOON)
    with database.read() as session:
        [row] = dormant.listing(session)[0]
    me("/admin/dormant", id=str(row.dormant.id), answer="ask")
    for verb in ("release", "confirm"):
        storm = _storm(make, database, verb)
        me(f"/admin/storms/{verb}", id=str(storm), why="it was asked")


def _storm(make, database, name):
    event = told(make, database, make.delivery(provider=name), **_DEAD)
    with database.write() as session:
        decision = session.get_one(Decision, event)
        held = session.get(Suppression, decision.suppression_id)
        decision.action, decision.until, decision.suppression_id = "hold", NOON + timedelta(days=1), None
        session.flush()
        session.delete(held)
        storm = Storm(destination=name, began_at=NOON, bad=60, letters=200, usual=0.01)
        session.add(storm)
        session.flush()
        return storm.id


def sending(walk, make, database):
    me, path = walk(Role.ADMIN), "/admin/sending"
    me(f"{path}/limits", lane="city.example", per_second="0.5")
    me(f"{path}/limits/clear", lane="city.example")
    me(f"{path}/keys", domain="news.example", algorithm="rsa-sha256", selector="one")
    which = {"domain": "news.example", "selector": "one"}
    with database.read() as session:
        key = dkim_keys.get(session, **which)
    names = {"one._domainkey.news.example": [f"v=DKIM1; k=rsa; p={key.public}"]}
    object.__setattr__(me.who.client.app.state.house, "look_up", lambda name: names.get(name, []))
    me(f"{path}/keys/activate", **which)
    me(f"{path}/keys/retire", **which, last="1")
    box = {"protocol": "imaps", "host": "imap.example.org", "user": "desk", "password": "x", "then": "mark"}
    me(f"{path}/mailboxes", **box)
    me(f"{path}/mailboxes/again", id="1")
    facts = {"uid": "7:12", "message_id": "<42@mx.example>", "size": 900, "why": "LookupError", "at": NOON}
    with database.write() as session:
        boxes.note_unstored(session, 1, "7:12", facts, lambda _: timedelta(hours=1))
    me(f"{path}/mailboxes/dismiss", id="1", uid="7:12")
    me(f"{path}/mailboxes/remove", id="1")
    letter = make.delivery()
    with database.write() as session:
        raw = b"Precedence: bulk\n" + samples.answer()
        hear(session, raw=raw, envelope_to=samples.return_path(letter), now=NOON, keys=KEYS)
    me(f"{path}/mailboxes/answers", id="1")
    me("/admin/answers/1/pass-on", "/admin/answers/{mail}/pass-on")
    me(f"{path}/webhooks", provider="brevo")
    me(f"{path}/webhooks/remove", id="1")


def test_what_a_post_changes_is_written_down(app, walk, make, sqlite_database):
    """Who, what, before, after, and no reader's address; over every POST there is, or a reason why not."""
    tried: set[str] = set()
    for each in (
        accounts,
        people,
        directory,
        segments,
        imports,
        issues,
        feedback,
        rules,
        rulings,
        silence,
        sending,
    ):
        each(lambda role, **given: Walk(*walk(role, **given), tried), make, sqlite_database)
    posts = {route.path for route in routes(app) if "POST" in route.methods}
    signed_in = {path for path in posts if not path.startswith(BY_PROOF)}
    assert signed_in - tried - _QUIET.keys() == set(), (
        "tell this test how they are sent, or why they are quiet"
    )
    assert _QUIET.keys() - signed_in == set()
