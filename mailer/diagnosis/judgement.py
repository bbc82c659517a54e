"""Words in, judgement out. Whom the words come from is asked first, their own meaning second, codes last."""

from __future__ import annotations

from mailer.diagnosis.phrases import category_said
from mailer.diagnosis.providers import provider_of, rule_for
from mailer.diagnosis.reply import TEXT_LIMIT, read_reply, status_within
from mailer.diagnosis.status import meaning_of, meaning_of_code
from mailer.diagnosis.verdict import ABOUT_THE_ADDRESS, Category, Diagnosis


def diagnose_reply(reply: str, provider_mx: str | None = None, command: str | None = None) -> Diagnosis:
    """Judge a whole SMTP reply, several lines or one, as the MX ``provider_mx`` (or None) gave it."""
    heard = read_reply(reply)
    return diagnose(
        provider=provider_of(provider_mx) if provider_mx else None,
        code=heard.code,
        status=heard.status or None,
        text=heard.text,
        command=command,
    )


def diagnose(
    *, provider: str | None, code: int | None, status: str | None, text: str, command: str | None = None
) -> Diagnosis:
    """Return the judgement on one failure.

    :param provider: who answered, as ``provider_of`` names it; None when it is not known
    :param code: the reply code (RFC 5321), None in reports that give none
    :param status: the enhanced status (RFC 3463) as reported; None to look for one in ``text``
    :param text: the words, in any language; what lies past 4,000 characters is not read
    :param command: the command answered ("RCPT", "DATA", …): a bare 550 to RCPT speaks of the mailbox
    """
    words = normal(text)
    status = best_status(status, status_within(words, code))
    category, reason = _category(provider, code, status, words, command)
    permanent = _permanent(code, status, category)
    return Diagnosis(
        category=category,
        status=status,
        permanent=permanent,
        dead=permanent and category in ABOUT_THE_ADDRESS,
        provider=provider,
        reason=reason,
    )


def normal(text: str) -> str:
    """Lower case, single spaces, straight quotes: the form in which phrases are written down."""
    return " ".join(text[:TEXT_LIMIT].lower().replace("’", "'").replace("`", "'").split())


def best_status(reported: str | None, said: str) -> str:
    """Prefer the code that says more: reporting systems often write 5.0.0 over a remote 5.1.1."""
    if not reported:
        return said
    vague = reported.endswith(".0.0") or meaning_of(reported) is None
    return said if said and vague else reported


def _category(
    provider: str | None, code: int | None, status: str, words: str, command: str | None
) -> tuple[Category, str]:
    if provider and (rule := rule_for(provider, code, status, words)):
        return rule.category, f"{rule.provider}: {rule.phrase or rule.status}"
    if said := category_said(words):
        return said
    if category := meaning_of(status):
        return category, f"status {status}"
    if command and command.upper().startswith("RCPT") and code in (550, 551):
        return Category.UNKNOWN, f"{code} to RCPT, without a word"
    if category := meaning_of_code(code):
        return category, f"code {code}"
    return Category.UNKNOWN, "nothing known is said"


def _permanent(code: int | None, status: str, category: Category) -> bool:
    """The reply code decides, since it is what the protocol acts on; then the status; then the words."""
    if code:
        return code >= 500
    if status:
        return status.startswith("5")
    return category in ABOUT_THE_ADDRESS
