"""Words in, judgement out. Whom the words come from is asked first, their own meaning second, codes last."""

from __future__ import annotations

from collections.abc import Sequence

from mailer.diagnosis.matching import grams, normal
from mailer.diagnosis.own import OwnRule
from mailer.diagnosis.phrases import category_said, only_lasted
from mailer.diagnosis.providers import provider_of
from mailer.diagnosis.reply import read_reply, status_within
from mailer.diagnosis.rules import rule_for
from mailer.diagnosis.status import meaning_of, meaning_of_code
from mailer.diagnosis.verdict import ABOUT_THE_ADDRESS, Category, Diagnosis


def diagnose_reply(
    reply: str, provider_mx: str | None = None, command: str | None = None, own: Sequence[OwnRule] = ()
) -> Diagnosis:
    """Judge a whole SMTP reply, several lines or one, as the MX ``provider_mx`` (or None) gave it."""
    heard = read_reply(reply)
    return diagnose(
        provider=provider_of(provider_mx) if provider_mx else None,
        code=heard.code,
        status=heard.status or None,
        text=heard.text,
        command=command,
        own=own,
    )


def diagnose(
    *,
    provider: str | None,
    code: int | None,
    status: str | None,
    text: str,
    command: str | None = None,
    heard: bool = True,
    own: Sequence[OwnRule] = (),
) -> Diagnosis:
    """Return the judgement on one failure.

    :param provider: who answered, as ``provider_of`` names it; None when it is not known
    :param code: the reply code (RFC 5321), None in reports that give none
    :param status: the enhanced status (RFC 3463) as reported; None to look for one in ``text``
    :param text: the words, in any language; what lies past 4,000 characters is not read
    :param command: the command answered ("RCPT", "DATA", …): a bare 550 to RCPT speaks of the mailbox
    :param heard: True when we were the ones spoken to; False when a report tells it, perhaps days later.
        A reply quoted in a report kills no address by "user unknown" alone: it takes a status X.1.x, an
        answer to RCPT, or a provider that documents what it means (law 4). Without a reply code the
        reporting system speaks of its own mailboxes, and is believed
    :param own: rules of the house, asked before all others; the first that fits decides
    """
    words = normal(text)
    status = best_status(status, status_within(words, code))
    if ruled := _by_own_rule(own, provider, code, status, words):
        return ruled
    category, reason = _category(provider, code, status, words, command)
    vouched = category is Category.BAD_DOMAIN or _vouched(status, command, reason)
    believed = heard or vouched or not (code or any(said in words for said in _REPLIES_OF_OTHERS))
    permanent = _permanent(code, status, category, words)
    return Diagnosis(
        category=category,
        status=status,
        permanent=permanent,
        dead=permanent and category in ABOUT_THE_ADDRESS and believed,
        provider=provider,
        reason=reason,
    )


_REPLIES_OF_OTHERS = ("that you tried to reach", "this user doesn't have a")
"""Gmail's and Yahoo's: where a report tells them without the reply code, it does not speak for itself."""


def best_status(reported: str | None, said: str) -> str:
    """Prefer the code that says more: reporting systems often write 5.0.0 over a remote 5.1.1."""
    if not reported:
        return said
    vague = reported.endswith(".0.0") or meaning_of(reported) is None
    return said if said and vague else reported


def _by_own_rule(
    own: Sequence[OwnRule], provider: str | None, code: int | None, status: str, words: str
) -> Diagnosis | None:
    for rule in own:
        if rule.fits_words(provider=provider, code=code, status=status, words=words):
            permanent = _permanent(code, status, rule.category, words)
            reason = f"own rule {rule.name or rule.words or rule.status}"
            return Diagnosis(rule.category, status, permanent, permanent and rule.dead, provider, reason)
    return None


def _category(
    provider: str | None, code: int | None, status: str, words: str, command: str | None
) -> tuple[Category, str]:
    known = grams(words)
    if rule := rule_for(provider, status, words, known):
        return rule.category, f"{rule.provider}: {rule.words or rule.status}"
    if code == 556 or (code == 521 and status == "5.3.2"):
        return Category.BAD_DOMAIN, f"code {code}: takes no mail at all (RFC 7504)"
    if said := category_said(words, known):
        if said[1] == _MAILBOX_UNAVAILABLE and code:
            return _mailbox_unavailable(code, status, command)
        if said[0] is Category.BAD_DOMAIN and not code and status.startswith("4"):
            return Category.TECHNICAL, "name servers may heal"
        return _in_reply_to(command, status, said[0], f'"{said[1]}"')
    if category := meaning_of(status):
        return category, f"status {status}"
    if category := meaning_of_code(code):
        return category, f"code {code}"
    if command == "MAIL" and code:
        return Category.POLICY, f"{code} to MAIL"
    return Category.UNKNOWN, "nothing known is said"


_MAILBOX_UNAVAILABLE = "mailbox unavailable"


def _mailbox_unavailable(code: int, status: str, command: str | None) -> tuple[Category, str]:
    """RFC 5321 §4.2.3 puts these words beside 450 (busy, blocked for now) and 550 (not found, or policy)."""
    if code < 500:
        return Category.TECHNICAL, "busy or blocked for now"
    meant = meaning_of(status) or Category.BAD_MAILBOX
    return _in_reply_to(command, status, meant, '"mailbox unavailable"')


def _in_reply_to(command: str | None, status: str, category: Category, phrase: str) -> tuple[Category, str]:
    """Weigh words against the command they answer (RFC 5321 §3.3).

    MAIL and EHLO name no recipient, so "does not exist" there speaks of us. By DATA the recipient had been
    accepted; a filter that then says "user unknown" hides behind it, unless a status X.1.x says so too.
    """
    if category not in ABOUT_THE_ADDRESS:
        return category, phrase
    if command == "EHLO":
        return Category.REPUTATION, f"{phrase} to {command}"
    if command == "MAIL" or (command == "DATA" and not status[1:].startswith(".1.")):
        return Category.POLICY, f"{phrase} to {command}"
    return category, phrase


def _vouched(status: str, command: str | None, reason: str) -> bool:
    return status[1:3] == ".1" or command == "RCPT" or not reason.startswith('"')


def _permanent(code: int | None, status: str, category: Category, words: str) -> bool:
    """The reply code decides, since it is what the protocol acts on; then the status; then the words.

    What merely lasted too long (X.4.7 and its phrases) failed for a passing reason, whatever the code.
    """
    if status.endswith(".4.7") or (category not in ABOUT_THE_ADDRESS and only_lasted(words)):
        return False
    if code:
        return code >= 500
    if status:
        return status.startswith("5")
    return category in ABOUT_THE_ADDRESS
