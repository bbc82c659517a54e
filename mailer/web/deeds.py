"""Deeds: the actions of the audit log as people say them, and what each changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mailer.accounts.audit import HUSHED
from mailer.accounts.store import AuditEntry
from mailer.web import words
from mailer.web.i18n import _, country, listed, number, translate
from mailer.web.words import N_

AREAS = {
    "user": N_("Accounts"),
    "campaign": N_("Campaigns"),
    "issue": N_("Issues"),
    "publication": N_("Publications"),
    "partner": N_("Partners"),
    "membership": N_("Partners' people"),
    "request": N_("Requests"),
    "team": N_("Partners' teams"),
    "subscriber": N_("Subscribers"),
    "change": N_("Bulk changes"),
    "duplicate": N_("Duplicates"),
    "consent": N_("Words of consent"),
    "topic": N_("Topics"),
    "retention": N_("Retention"),
    "import": N_("Imports"),
    "segment": N_("Segments"),
    "suppression": N_("Suppressed addresses"),
    "event": N_("What came back"),
    "alert": N_("Warnings"),
    "answer": N_("Readers' answers"),
    "decision": N_("Decisions about bounces"),
    "dormant": N_("Silent addresses"),
    "storm": N_("Storms"),
    "rule": N_("Own rules"),
    "policy": N_("The policy"),
    "limit": N_("Limits of destinations"),
    "dkim": N_("DKIM keys"),
    "mailbox": N_("Mailboxes"),
    "webhook": N_("Webhooks"),
}
"""The nouns of actions, in the order of the filter."""

ACTIONS = {
    "user.add": N_("added an account"),
    "user.change": N_("changed an account"),
    "user.password": N_("set a password"),
    "user.disable": N_("closed an account"),
    "user.enable": N_("opened an account again"),
    "user.link": N_("made a sign-in link"),
    "user.sign_in": N_("signed in with the password"),
    "user.sign_in_by_link": N_("signed in by a link"),
    "user.sign_in_by_provider": N_("signed in through the organisation"),
    "user.codes_on": N_("switched sign-in codes on"),
    "user.codes_off": N_("switched sign-in codes off"),
    "user.recovery_code": N_("used a recovery code"),
    "user.recovery_codes": N_("made new recovery codes"),
    "user.close_session": N_("signed a device out"),
    "user.close_sessions": N_("signed devices out"),
    "campaign.create": N_("made a campaign"),
    "campaign.revise": N_("changed a campaign"),
    "campaign.ask": N_("asked for approval"),
    "campaign.approve": N_("approved a campaign"),
    "campaign.reject": N_("sent a campaign back"),
    "campaign.reopen": N_("took a campaign back"),
    "campaign.launch": N_("launched a campaign"),
    "campaign.not launched": N_("could not launch a campaign"),
    "campaign.pause": N_("paused a campaign"),
    "campaign.resume": N_("resumed a campaign"),
    "campaign.cancel": N_("cancelled a campaign"),
    "campaign.finish": N_("finished a campaign"),
    "campaign.resend uncertain": N_("sent uncertain letters again"),
    "campaign.accept uncertain": N_("took uncertain letters as sent"),
    "issue.import": N_("brought an edition in"),
    "issue.edit": N_("edited an edition"),
    "issue.number": N_("numbered and dated an issue"),
    "issue.attach": N_("attached a file to an issue"),
    "issue.detach": N_("took a file off an issue"),
    "publication.add": N_("added a publication"),
    "publication.change": N_("changed a publication"),
    "partner.add": N_("added a partner"),
    "partner.edit": N_("changed a partner"),
    "partner.close": N_("let a partner go"),
    "partner.merge": N_("merged two partners"),
    "change.begin": N_("began a bulk change"),
    "change.finish": N_("finished a bulk change"),
    "change.undo": N_("took a change back"),
    "subscriber.merge": N_("merged two entries of a person"),
    "subscriber.take_out": N_("took out a person's data"),
    "duplicate.different": N_("told two people apart"),
    "consent.word": N_("wrote words of consent"),
    "topic.add": N_("added a topic"),
    "topic.rename": N_("renamed a topic"),
    "topic.move": N_("moved a topic"),
    "topic.retire": N_("retired a topic"),
    "topic.offer": N_("offered a topic again"),
    "retention.set": N_("set a period of retention"),
    "membership.add_several": N_("added several people at once"),
    "membership.ask_again": N_("asked somebody once more whether they want the newsletter"),
    "membership.correct": N_("corrected an address"),
    "membership.export": N_("downloaded the list of people"),
    "membership.edit": N_("changed a person's entry"),
    "membership.end": N_("took a person off the list"),
    "membership.pause": N_("paused a person's letters"),
    "membership.restore": N_("put a person back on the list"),
    "membership.resume": N_("let a person's letters go on"),
    "partner.seats": N_("changed the number of seats"),
    "request.ask": N_("asked the secretariat for something"),
    "request.accept": N_("granted a request"),
    "request.decline": N_("declined a request"),
    "request.withdraw": N_("withdrew a request"),
    "team.link": N_("sent a new sign-in link"),
    "team.readmit": N_("let a manager in again"),
    "team.remove": N_("took a manager's access away"),
    "subscriber.add": N_("added a person"),
    "subscriber.add_many": N_("added many people"),
    "subscriber.edit": N_("changed a person's names"),
    "subscriber.export": N_("downloaded the list of subscribers"),
    "subscriber.choose_language": N_("chose a language"),
    "subscriber.choose_topics": N_("chose topics"),
    "subscriber.change_address": N_("changed their address"),
    "subscriber.erase": N_("had their data erased"),
    "partner.import": N_("imported the directory of partners"),
    "import.finish": N_("imported a file"),
    "import.undo": N_("undid an import"),
    "import.undone": N_("finished undoing an import"),
    "segment.save": N_("saved a segment"),
    "segment.remove": N_("removed a segment"),
    "suppression.add": N_("suppressed an address"),
    "suppression.release": N_("released an address"),
    "suppression.import": N_("imported suppressed addresses"),
    "suppression.import.undo": N_("undid an import of suppressed addresses"),
    "event.settle": N_("settled a case"),
    "event.reopen": N_("opened a case again"),
    "alert.settle": N_("settled a warning"),
    "answer.again": N_("had an answer passed on again"),
    "decision.undo": N_("undid a decision about a bounce"),
    "dormant.suppress": N_("silenced an address silent for long"),
    "dormant.keep": N_("kept an address silent for long"),
    "dormant.ask": N_("asked partners about an address silent for long"),
    "storm.release": N_("released what a storm held back"),
    "storm.confirm": N_("believed a storm"),
    "rule.add": N_("added a rule of our own"),
    "rule.edit": N_("changed a rule of our own"),
    "rule.on": N_("switched a rule of our own on"),
    "rule.off": N_("switched a rule of our own off"),
    "rule.judge": N_("applied a rule to earlier cases"),
    "rule.undo": N_("undid what a rule said of a case"),
    "policy.set": N_("changed the policy"),
    "limit.set": N_("set a limit"),
    "limit.clear": N_("lifted a limit"),
    "dkim.make": N_("made a DKIM key"),
    "dkim.activate": N_("had a DKIM key sign"),
    "dkim.retire": N_("retired a DKIM key"),
    "mailbox.add": N_("had a mailbox read"),
    "mailbox.try": N_("had a mailbox tried again"),
    "mailbox.dismiss": N_("gave up a mail that could not be stored"),
    "mailbox.remove": N_("stopped reading a mailbox"),
    "webhook.add": N_("let a provider post"),
    "webhook.remove": N_("stopped a provider's posts"),
}
"""Every action that a verb records; a test looks for each."""

OF_PARTNERS = frozenset(
    {"import.finish", "import.undo", "partner.seats", "subscriber.add", "user.add"}
    | {action for action in ACTIONS if action.startswith(("membership.", "request.", "team."))}
)
"""What a partner's own page of activity shows: nothing else is read from the log for it."""

_FIELDS = {
    "action": N_("Decision"),
    "active": N_("Switched on"),
    "added": N_("Added to the list"),
    "address": N_("Address"),
    "algorithm": N_("Algorithm"),
    "audience": N_("Audience"),
    "category": N_("Category"),
    "code": N_("Code"),
    "codes": N_("Sign-in codes"),
    "connections": N_("Connections at once"),
    "consent": N_("Consent"),
    "country": N_("Country"),
    "date": N_("Date"),
    "days": N_("Days"),
    "dead": N_("Address is dead"),
    "desk": N_("Desk"),
    "domain": N_("Domain"),
    "email": N_("Address"),
    "events": N_("Cases"),
    "fallback": N_("Other language if need be"),
    "file": N_("File"),
    "groups": N_("Thematic groups"),
    "kept": N_("Kept as it was"),
    "kind": N_("Kind"),
    "language": N_("Language"),
    "letters": N_("Letters on one connection"),
    "languages": N_("Languages"),
    "mailbox": N_("Mailbox"),
    "local_time": N_("At each reader's hour"),
    "merged": N_("Entry that was merged"),
    "name": N_("Name"),
    "name_en": N_("Name in English"),
    "name_zh": N_("Name in Chinese"),
    "notes": N_("Notes"),
    "number": N_("Number"),
    "open": N_("Open"),
    "partner": N_("Partner"),
    "paused_until": N_("Paused until"),
    "people": N_("People"),
    "per_hour": N_("Letters an hour"),
    "per_second": N_("Letters a second"),
    "password": N_("Password"),
    "provider": N_("Provider"),
    "publication": N_("Newsletter"),
    "reason": N_("Reason"),
    "refused": N_("Refused"),
    "released": N_("Released"),
    "restored": N_("Set back"),
    "recovery_codes": N_("Recovery codes left"),
    "role": N_("Role"),
    "rule": N_("Rule"),
    "scheduled_at": N_("Time"),
    "seats": N_("Seats"),
    "sender": N_("Sender"),
    "selector": N_("Selector"),
    "sessions": N_("Open sessions"),
    "state": N_("State"),
    "status": N_("Status"),
    "text": N_("Words"),
    "topics": N_("Topics"),
    "total": N_("Connections of all workers"),
    "trusted": N_("May vouch"),
    "unchanged": N_("Known already"),
    "until": N_("Until"),
    "updated": N_("Completed"),
    "verdict": N_("Verdict"),
    "version": N_("Version"),
    "waits": N_("Waits for an answer"),
    "why": N_("Why"),
    "window": N_("Send window"),
    "words": N_("Words"),
    "zone": N_("Time zone"),
}
_SUBJECTS = {
    "alert": N_("warning"),
    "campaign": N_("campaign"),
    "change": N_("bulk change"),
    "dkim": N_("key"),
    "event": N_("case"),
    "import": N_("file"),
    "issue": N_("issue"),
    "limit": N_("limit"),
    "mail": N_("mail"),
    "mailbox": N_("mailbox"),
    "membership": N_("entry"),
    "partner": N_("partner"),
    "policy": N_("policy"),
    "publication": N_("newsletter"),
    "request": N_("request"),
    "retention": N_("period"),
    "rule": N_("rule"),
    "segment": N_("segment"),
    "storm": N_("storm"),
    "subscriber": N_("person"),
    "subscribers": N_("everybody"),
    "suppression": N_("suppression"),
    "topic": N_("topic"),
    "user": N_("account"),
    "webhook": N_("webhook"),
    "wording": N_("wording"),
}
_ACTORS = {
    "reader": N_("a reader"),
    "system": N_("mailer itself"),
    "shell": N_("the command line"),
}


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Change(NamedTuple):
    """One fact before and after, as text; "" was not there."""

    name: str
    before: str
    after: str


def deed(action: str) -> str:
    """Return what people call an action, in the request's language; one without words is itself."""
    return translate(ACTIONS[action]) if action in ACTIONS else action


def doer(name: str) -> str:
    """Return who did it: an account's address, or what people call what acts by itself."""
    return translate(_ACTORS[name]) if name in _ACTORS else name


def about(subject: str) -> str:
    """Return what people call what an entry is about: "campaign 7"; where only programs count, "file"."""
    noun, _space, which = subject.partition(" ")
    called = translate(_SUBJECTS[noun]) if noun in _SUBJECTS else noun
    return called if not which or _UUID.fullmatch(which) else f"{called} {which}"


def subject(written: str) -> str:
    """Return what the log keeps for what people write: the other way round than ``about``."""
    for noun, called in _SUBJECTS.items():
        if written.startswith(f"{translate(called)} "):
            return noun + written.removeprefix(translate(called))
    return written


def by_area() -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Yield nouns with what people call them and their actions, for the filter."""
    for noun, called in AREAS.items():
        found = [(code, deed(code)) for code in ACTIONS if code.partition(".")[0] == noun]
        yield f"{noun}.", translate(called), found


def changes(entry: AuditEntry) -> list[Change]:
    """Return what an entry changed, fact by fact; what stayed the same is left out."""
    before, after = _facts(entry.before), _facts(entry.after)
    names = [*before, *(name for name in after if name not in before)]
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return [
        Change(_field(name), _said(name, old), _said(name, new))
        for name, old, new in pairs
        if _differ(old, new)
    ]


def _facts(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {} if value is None else {"": value}


def _differ(old: Any, new: Any) -> bool:
    return bool(_text(old) != _text(new)) or old == HUSHED


def _said(name: str, value: Any) -> str:
    match name, value:
        case "country", str():
            return country(value)
        case "consent", str():
            return words.word(f"consent_{value}")
    return _text(value)


def _field(name: str) -> str:
    return translate(_FIELDS[name]) if name in _FIELDS else name


def _text(value: Any) -> str:
    match value:
        case None | "":
            return ""
        case True:
            return _("yes")
        case False:
            return _("no")
        case int() | float():
            return number(value)
        case str() if value == HUSHED:
            return _("(not kept here)")
        case str():
            return words.word(value)
        case list():
            return listed(_text(each) for each in value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
