"""The bars that reading returned mail is held to, and where it stands (issue 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mailer.bench.labels import LabelledReply, Labels
from mailer.diagnosis import Diagnosis
from mailer.feedback.kind import Kind
from mailer.feedback.message import Returned

CHINESE = frozenset({"qq", "exmail", "netease", "alimail", "sina", "coremail", "263", "sohu", "139", "189"})

_BOUNCED = (Kind.BOUNCE, Kind.DELAY)
_NO_BOUNCE = (Kind.ORDINARY, Kind.AUTO_REPLY, Kind.CHALLENGE, Kind.COMPLAINT)

Mail = tuple[Labels, Returned]
Reply = tuple[LabelledReply, Diagnosis]


@dataclass(slots=True)
class Bar:
    """One line of the table: how many of how many, and the share that is asked for.

    ``least``: at least this share; otherwise at most. ``missed`` names, for people, what was judged wrong.
    """

    name: str
    asked: float
    least: bool
    count: int = 0
    of: int = 0
    missed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """None where there is nothing to measure."""
        return self.count / self.of if self.of else None

    @property
    def reached(self) -> bool | None:
        """None where there is nothing to measure."""
        if self.share is None:
            return None
        return self.share >= self.asked if self.least else self.share <= self.asked

    def told(self) -> dict[str, Any]:
        """Return the line as JSON."""
        share = None if self.share is None else round(self.share, 4)
        return {
            "name": self.name,
            "count": self.count,
            "of": self.of,
            "share": share,
            "bar": f"{'>=' if self.least else '<='} {self.asked:g}",
            "reached": self.reached,
            "wrong": self.missed,
        }


def of_mail(mails: Iterable[Mail]) -> list[Bar]:
    """Hold what ``classify`` says of each mail against its labels."""
    mails = list(mails)
    bars = (
        ("recipients_found", 0.985, True, _is_bounced, _all_found),
        ("recipients_wrong", 3 / 984, False, _is_bounced, _names_a_stranger),
        ("dead_called_dead", 0.98, True, lambda labels: labels.dead is True, _says_dead),
        ("living_called_dead", 0.01, False, lambda labels: labels.dead is False, _says_dead),
        ("category_right", 0.92, True, _has_category, _category_right),
        ("others_taken_for_bounces", 0, False, _kind(*_NO_BOUNCE), _got(*_BOUNCED)),
        ("ordinary_taken_for_else", 0, False, _kind(Kind.ORDINARY), lambda mail: not _got("ordinary")(mail)),
        ("complaints_recognised", 1, True, _kind(Kind.COMPLAINT), _got(Kind.COMPLAINT)),
        ("auto_replies_recognised", 1, True, _kind(Kind.AUTO_REPLY), _got(Kind.AUTO_REPLY)),
        ("delays_called_permanent", 0, False, _kind(Kind.DELAY), _says_permanent),
    )
    return [
        _held(Bar(name, asked, least), mails, belongs, counts) for name, asked, least, belongs, counts in bars
    ]


def of_replies(replies: Iterable[Reply]) -> list[Bar]:
    """Hold what ``diagnose_reply`` says of each reply against its label."""
    replies = list(replies)
    chinese = [(label, got) for label, got in replies if label.provider in CHINESE]
    return [
        _replies(
            "replies_category_right", 0.9, True, replies, lambda one: one[0].category == one[1].category
        ),
        _replies(
            "replies_category_right_chinese",
            0.9,
            True,
            chinese,
            lambda one: one[0].category == one[1].category,
        ),
        _replies("replies_dead_called_dead", 0.95, True, [r for r in replies if r[0].dead], _reply_dead),
        _replies(
            "replies_living_called_dead", 0.01, False, [r for r in replies if not r[0].dead], _reply_dead
        ),
    ]


def _held(
    bar: Bar, mails: list[Mail], belongs: Callable[[Labels], bool], counts: Callable[[Mail], bool]
) -> Bar:
    for mail in mails:
        if belongs(mail[0]):
            bar.of += 1
            if counted := counts(mail):
                bar.count += 1
            if counted != bar.least:
                bar.missed.append(_seen(mail))
    return bar


def _replies(
    name: str, asked: float, least: bool, replies: list[Reply], counts: Callable[[Reply], bool]
) -> Bar:
    hits = [counts(one) for one in replies]
    missed = [
        {"mx": label.mx, "reply": label.reply, "label": label.category, "got": got.category}
        for (label, got), hit in zip(replies, hits, strict=True)
        if hit != least
    ]
    return Bar(name, asked, least, sum(hits), len(hits), missed)


def _seen(mail: Mail) -> dict[str, Any]:
    labels, returned = mail
    return {
        "file": labels.file,
        "sha1": labels.sha1,
        "label": {
            "kind": labels.kind,
            "recipients": ["|".join(sorted(one)) for one in labels.recipients],
            "category": "|".join(sorted(labels.categories)),
            "dead": labels.dead,
        },
        "got": {
            "kind": returned.kind,
            "recipients": [
                f"{one.address}: {one.category} {one.status}{' dead' if one.dead else ''}"
                for one in returned.recipients
            ],
        },
    }


def _kind(*kinds: Kind) -> Callable[[Labels], bool]:
    return lambda labels: labels.kind in kinds


def _got(*kinds: str) -> Callable[[Mail], bool]:
    return lambda mail: mail[1].kind in kinds


def _is_bounced(labels: Labels) -> bool:
    return labels.kind in _BOUNCED


def _has_category(labels: Labels) -> bool:
    return labels.kind in _BOUNCED and bool(labels.categories)


def _addresses(returned: Returned) -> set[str]:
    return {one.address.lower() for one in returned.recipients}


def _all_found(mail: Mail) -> bool:
    labels, returned = mail
    named = _addresses(returned)
    return all(names & named for names in labels.recipients)


def _names_a_stranger(mail: Mail) -> bool:
    labels, returned = mail
    return not _addresses(returned) <= frozenset().union(*labels.recipients)


def _category_right(mail: Mail) -> bool:
    """Every recipient's must be; a mail that names nobody says nothing."""
    labels, returned = mail
    got = {one.category.value for one in returned.recipients}
    return bool(got) and got <= labels.categories


def _says_dead(mail: Mail) -> bool:
    return any(one.dead for one in mail[1].recipients)


def _says_permanent(mail: Mail) -> bool:
    return any(one.permanent for one in mail[1].recipients)


def _reply_dead(one: Reply) -> bool:
    return one[1].dead
