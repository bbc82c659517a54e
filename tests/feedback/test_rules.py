"""Only words about the address silence it, and most of them only when they keep coming."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.delivery.store import Event, EventKind
from mailer.diagnosis import Category
from mailer.feedback import rules
from mailer.feedback.rules import DEFAULTS, Action, Bounce, Past, decide
from tests.make import NOON

DAY = timedelta(days=1)
RULES = {category: rule for category in Category if (rule := DEFAULTS.rule_for(category))}
HARMLESS = [category for category in Category if category not in RULES]


def bounce(category: Category, n: int = 1, **given: object) -> Event:
    facts = {"campaign_id": 1, "n": n, "kind": EventKind.BOUNCE, "at": NOON, "source": "dsn", "detail": "",
             "category": category, "status": None, "permanent": True, "dead": False}  # fmt: skip
    return Event(**{**facts, **given})


def series(category: Category, times: int, apart: timedelta, **given: object) -> list[Event]:
    """``times`` letters that came back, ``apart`` from first to last, the last one at NOON."""
    step = apart / max(times - 1, 1)
    return [bounce(category, n, **{"at": NOON - step * (times - n), **given}) for n in range(1, times + 1)]


def outcome(bounces: list[Event], alive_at: datetime | None = None) -> Action:
    return decide(bounces[-1], past(bounces, alive_at)).action


def past(bounces: list[Event], alive_at: datetime | None = None, forgiven_at: datetime | None = None) -> Past:
    told = [Bounce(it.campaign_id, it.n, it.at, it.category or "", it.dead) for it in bounces]
    return Past(told, alive_at, forgiven_at)


@pytest.mark.parametrize("grounds", [{"source": "smtp"}, {"status": "5.1.1"}, {"status": "5.1.6"}])
def test_a_mailbox_that_is_not_there_is_silenced_at_once(grounds: dict[str, str]) -> None:
    """Said to our face, or with an explicit status."""
    assert outcome([bounce(Category.BAD_MAILBOX, dead=True, **grounds)]) == Action.SUPPRESS


def test_a_mailbox_that_a_vague_report_calls_gone_is_silenced_the_second_time() -> None:
    """One report without a status may be a mistake; two a day apart are not."""
    assert outcome([bounce(Category.BAD_MAILBOX, dead=True)]) == Action.COUNT
    assert outcome(series(Category.BAD_MAILBOX, 2, DAY, dead=True)) == Action.SUPPRESS
    assert outcome(series(Category.BAD_MAILBOX, 2, DAY / 2, dead=True)) == Action.COUNT


@pytest.mark.parametrize("category", [Category.BAD_MAILBOX, Category.BAD_DOMAIN])
def test_an_address_that_is_not_called_dead_is_not_silenced(category: Category) -> None:
    """ "User unknown" with a temporary code is often a directory that was away."""
    assert outcome(series(category, 9, 300 * DAY, source="smtp", status="4.1.1")) == Action.NONE


@pytest.mark.parametrize("category", RULES)
def test_it_takes_enough_letters_over_enough_time(category: Category) -> None:
    """One letter fewer, or one hour less, and the reader stays."""
    rule = RULES[category]
    dead = {"dead": rule.needs_dead}
    assert outcome(series(category, rule.times, rule.apart, **dead)) == Action.SUPPRESS
    assert outcome(series(category, rule.times - 1, rule.apart * 3, **dead)) == Action.COUNT
    assert outcome(series(category, rule.times, rule.apart - DAY / 24, **dead)) == Action.COUNT


@pytest.mark.parametrize("category", RULES)
def test_a_sign_of_life_begins_the_count_anew(category: Category) -> None:
    """Whoever clicked last week has a mailbox."""
    rule = RULES[category]
    bounces = series(category, rule.times, rule.apart, dead=rule.needs_dead)
    assert outcome(bounces, alive_at=bounces[0].at + timedelta(minutes=1)) == Action.COUNT


def test_two_reports_about_one_letter_count_once() -> None:
    """The run is of letters, not of reports."""
    rule = RULES[Category.MAILBOX_FULL]
    bounces = series(Category.MAILBOX_FULL, rule.times, rule.apart)
    for event in bounces:
        event.n = 1
    assert outcome(bounces) == Action.COUNT


def test_a_complaint_silences_one_publication() -> None:
    """The reader did not want this newsletter; the mailbox is well."""
    verdict = decide(bounce(Category.COMPLAINT, kind=EventKind.COMPLAINT), Past())
    assert verdict.action == Action.SUPPRESS
    assert not verdict.everywhere


@settings(max_examples=200, deadline=None)
@given(
    category=st.sampled_from(HARMLESS),
    times=st.integers(1, 40),
    dead=st.booleans(),
    source=st.sampled_from(["smtp", "dsn"]),
    status=st.sampled_from([None, "5.1.1", "5.7.1", "4.2.2"]),
)
def test_nothing_else_ever_silences(
    category: Category, times: int, dead: bool, source: str, status: str | None
) -> None:
    """Law 4: what is said about us, and what says nothing, however often it is said."""
    bounces = series(category, times, 400 * DAY, dead=dead, source=source, status=status)
    assert outcome(bounces) in (Action.NONE, Action.LIST)
    assert outcome(bounces) == Action.NONE or category in rules.UNCLEAR


@settings(max_examples=200, deadline=None)
@given(
    category=st.sampled_from(list(RULES)),
    offsets=st.lists(st.integers(0, 24 * 90), min_size=1, max_size=8),
)
def test_silencing_agrees_with_counting_by_hand(category: Category, offsets: list[int]) -> None:
    """Enough letters, first and last far enough apart: nothing more is in the rule."""
    rule = RULES[category]
    times = sorted(NOON - timedelta(hours=offset) for offset in offsets)
    bounces = [bounce(category, n, at=at, dead=rule.needs_dead) for n, at in enumerate(times)]
    expected = len(times) >= rule.times and times[-1] - times[0] >= rule.apart
    assert (outcome(bounces) == Action.SUPPRESS) == expected


# --- with reasons ---------------------------------------------------------------------------------------

SAYS = [
    (Category.BAD_MAILBOX, {"source": "smtp", "dead": True}, Action.SUPPRESS, "says outright"),
    (Category.BAD_MAILBOX, {"dead": True}, Action.COUNT, "because there is no such mailbox"),
    (Category.BAD_MAILBOX, {}, Action.NONE, "Nothing says that the address"),
    (Category.BAD_DOMAIN, {"dead": True}, Action.COUNT, "because the domain takes no mail"),
    (Category.INACTIVE, {}, Action.COUNT, "after 3 in a row over 14 days or more"),
    (Category.MAILBOX_FULL, {}, Action.COUNT, "after 5 in a row over 30 days or more"),
    (Category.TECHNICAL, {}, Action.NONE, "do not say that anything is wrong with the address"),
    (Category.UNKNOWN, {"dead": True}, Action.NONE, "do not say that anything is wrong with the address"),
    *((category, {"dead": True}, Action.NONE, "about us or the") for category in sorted(rules.ABOUT_US)),
]  # fmt: skip


@pytest.mark.parametrize(("category", "facts", "action", "words"), SAYS)
def test_one_bounce_is_decided_with_a_reason(
    category: Category, facts: dict[str, object], action: Action, words: str
) -> None:
    """The whole table for a first bounce, as a person reads it."""
    event = bounce(category, **facts)
    verdict = decide(event, past([event]))
    assert verdict.action == action
    assert words in verdict.reason


def test_what_nobody_explains_goes_on_a_list_in_the_end() -> None:
    """Ten letters over sixty days, technical and unknown alike; one fewer, or one day less, and not."""
    ten = series(Category.TECHNICAL, 10, 60 * DAY)
    for event in ten[::2]:
        event.category = Category.UNKNOWN
    assert outcome(ten) == Action.LIST
    assert outcome(ten[1:]) == Action.NONE
    assert outcome(series(Category.UNKNOWN, 10, 59 * DAY)) == Action.NONE
    assert outcome(ten, alive_at=ten[0].at) == Action.NONE


@pytest.mark.parametrize("category", RULES)
def test_what_came_back_before_a_person_forgave_counts_no_more(category: Category) -> None:
    """Even what is said outright: the person has seen it."""
    rule = RULES[category]
    bounces = series(category, rule.times, rule.apart, dead=True, source="smtp", status="5.1.1")
    assert decide(bounces[-1], past(bounces)).action == Action.SUPPRESS
    assert decide(bounces[-1], past(bounces, forgiven_at=NOON)).action == Action.NONE
    earlier = NOON - timedelta(seconds=1)
    again = decide(bounces[-1], past(bounces, forgiven_at=earlier)).action
    assert again == (Action.SUPPRESS if category is Category.BAD_MAILBOX else Action.COUNT)


def test_who_was_seen_alive_since_is_not_silenced() -> None:
    """A click that came after the bounce, before anybody decided about it."""
    event = bounce(Category.BAD_MAILBOX, source="smtp", dead=True)
    assert decide(event, past([event], alive_at=NOON)).action == Action.NONE
    assert decide(event, past([event], alive_at=NOON - DAY)).action == Action.SUPPRESS


def test_a_complaint_counts_whoever_forgave_what() -> None:
    """Somebody released a bounce; the reader's own word about the letter stands."""
    event = bounce(Category.COMPLAINT, kind=EventKind.COMPLAINT)
    assert decide(event, past([], alive_at=NOON, forgiven_at=NOON)).action == Action.SUPPRESS


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(6)), st.sampled_from(list(RULES)))
def test_the_order_in_which_bounces_are_known_does_not_matter(order: list[int], category: Category) -> None:
    """Two workers may write them in any order."""
    bounces = series(category, 6, 60 * DAY, dead=True)
    shuffled = past([bounces[index] for index in order])
    assert decide(bounces[-1], shuffled) == decide(bounces[-1], past(bounces))


# --- settings -------------------------------------------------------------------------------------------


def test_rules_can_be_made_stricter_or_milder() -> None:
    """Other numbers, other verdicts."""
    full = series(Category.MAILBOX_FULL, 2, DAY)
    eager = rules.changed({"mailbox_full_times": 2, "mailbox_full_days": 1})
    assert decide(full[-1], past(full), eager).action == Action.SUPPRESS
    patient = rules.changed({"bad_mailbox_at_once": 0})
    outright = bounce(Category.BAD_MAILBOX, source="smtp", dead=True)
    assert decide(outright, past([outright]), patient).action == Action.COUNT


@pytest.mark.parametrize("value", [0, -1, 1.5, float("nan"), float("inf"), 1e9])
def test_a_setting_takes_whole_numbers_in_its_range(value: float) -> None:
    """None of these is a number of letters."""
    with pytest.raises(rules.BadSetting, match="whole number from 1 to 1000"):
        rules.changed({"inactive_times": value})


def test_there_are_only_the_settings_there_are() -> None:
    """A slip of the pen changes nothing."""
    with pytest.raises(rules.NoSetting):
        rules.changed({"inactive_time": 3})


def test_every_setting_says_what_it_is_and_its_default_is_allowed() -> None:
    """A page needs no more than this to show a form."""
    for name, setting in rules.SETTINGS.items():
        facts = setting.metadata
        assert facts["least"] <= setting.default <= facts["most"], name
        assert facts["about"], name
        assert facts["unit"], name
    assert rules.changed({name: it.default for name, it in rules.SETTINGS.items()}) == DEFAULTS
