"""Rules of the house: what an administrator knows of replies that the tables do not.

There are no regular expressions: fragments with gaps cost the same whatever is written in them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from mailer.diagnosis.matching import Phrase, normal, says
from mailer.diagnosis.providers import providers
from mailer.diagnosis.verdict import ABOUT_THE_ADDRESS, Category
from mailer.errors import Invalid

WORDS_LIMIT = 200  # characters
GAPS_LIMIT = 5  # stars

_CODE = re.compile(r"[2-5](?:\d\d|\d\*|\*)")
_STATUS = re.compile(r"[245]\.(?:\*|\d{1,3}\.(?:\*|\d{1,3}))")


class RuleRefused(Invalid):
    """This cannot be a rule: see the examples beside the form."""


@dataclass(frozen=True, slots=True)
class OwnRule:
    """What fits all of ``words``, ``code``, ``status`` and ``provider`` is of this category.

    ``words`` in any case, "*" for up to 60 characters of anything; ``code`` "550" or "55*"; ``status``
    "5.7.1" or "5.7.*"; ``provider`` as ``provider_of`` names it. "" and None ask for nothing. ``dead`` takes
    effect on permanent failures only. ``name`` is the author's own, for ``Diagnosis.reason``.

    :raises RuleRefused: it fits everything or nothing, or would silence for a cause that is not the address
    """

    words: str = ""
    category: Category = Category.UNKNOWN
    dead: bool = False
    provider: str | None = None
    code: str = ""
    status: str = ""
    name: str = ""
    parts: Phrase = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = tuple(part for cut in self.words.split("*") if (part := normal(cut).removeprefix("^")))
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "category", Category(self.category))
        _check_words(self.words, parts)
        _check(self)

    def fits(self, *, provider: str | None, code: int | None, status: str, text: str) -> bool:
        """Tell whether the rule is about this reply, as ``diagnose`` takes it."""
        return self.fits_words(provider=provider, code=code, status=status, words=normal(text))

    def fits_words(self, *, provider: str | None, code: int | None, status: str, words: str) -> bool:
        """Tell the same of words that are ``normal`` already."""
        return (
            (not self.provider or self.provider == provider)
            and (not self.code or fnmatchcase(str(code or ""), self.code))
            and (not self.status or fnmatchcase(status, self.status))
            and says(words, self.parts)
        )


def _check_words(words: str, parts: Phrase) -> None:
    if len(words) > WORDS_LIMIT:
        raise RuleRefused("The words have {n} characters: {most} are enough.", n=len(words), most=WORDS_LIMIT)
    if len(parts) > GAPS_LIMIT + 1:
        raise RuleRefused("There are more than {most} stars: leave some out.", most=GAPS_LIMIT)
    if short := next((part for part in parts if _weight(part) < 3), None):
        raise RuleRefused("“{part}” is found in nearly every reply: write more of the words.", part=short)


def _weight(part: str) -> int:
    """Count letters and digits; a Chinese character counts for two."""
    return sum(2 if sign > "\u2e7f" else 1 for sign in part if sign.isalnum())


def _check(rule: OwnRule) -> None:
    if rule.code and not _CODE.fullmatch(rule.code):
        raise RuleRefused("“{code}” is no reply code: write it like 550 or 55*.", code=rule.code)
    if rule.status and not _STATUS.fullmatch(rule.status):
        raise RuleRefused("“{status}” is no status: write it like 5.7.1 or 5.7.*.", status=rule.status)
    if not rule.parts and not rule.status:
        raise RuleRefused("The rule fits every reply: give some of its words, or a status.")
    if rule.provider and rule.provider not in providers():
        raise RuleRefused(
            "No provider is called “{provider}”: choose one from the list, or any.", provider=rule.provider
        )
    if rule.dead and rule.category not in ABOUT_THE_ADDRESS:
        raise RuleRefused(
            "Only bad_mailbox and bad_domain say that an address is dead: choose one of them, or leave it alive."  # noqa: E501
        )
