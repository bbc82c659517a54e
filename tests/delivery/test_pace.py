"""Pace: no window sees more than was promised; who asks us to slow down, and for how long we do."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.delivery import pace
from mailer.delivery.pace import Bucket, Limit
from mailer.diagnosis import Category
from mailer.diagnosis.providers import MX_DOMAINS

rates = st.floats(min_value=0.001, max_value=1_000)
limits = st.builds(
    Limit,
    per_second=st.one_of(st.none(), rates),
    per_hour=st.one_of(st.none(), st.integers(1, 100_000)),
).filter(lambda limit: not limit.unlimited)
takes = st.lists(
    st.tuples(st.floats(min_value=0, max_value=30), st.integers(-5, 300)), min_size=1, max_size=25
)  # seconds since the one before, letters wanted (below 0: put back)


@settings(max_examples=150)
@given(limits, takes)
def test_no_window_sees_more_letters_than_its_limit_and_one_burst(
    limit: Limit, asked: list[tuple[float, int]]
) -> None:
    """Whatever is asked, and whenever; letters that were put back were never sent."""
    now, state, gone = 1_000_000.0, dict[str, float](), list[tuple[float, int]]()
    for pause, want in asked:
        now += pause
        want = want if want >= 0 else -min(-want, gone[-1][1] if gone else 0)
        state, grant = pace.take(state, now, limit.buckets, want)
        if want < 0:
            gone[-1] = (gone[-1][0], gone[-1][1] + want)
        else:
            gone.append((now, grant.granted))
    for first in range(len(gone)):
        for last in range(first, len(gone)):
            passed = sum(count for _, count in gone[first : last + 1])
            window = gone[last][0] - gone[first][0]
            for bucket in limit.buckets.values():
                assert passed <= (bucket.burst + bucket.rate * window) * (1 + 1e-6) + 1e-3


@settings(max_examples=150)
@given(limits, st.integers(1, 300))
def test_who_waits_as_long_as_told_is_given_letters(limit: Limit, want: int) -> None:
    """Never less than one, and the whole limit is used in the long run: no speed is lost by waiting."""
    now, state, sent = 1_000_000.0, dict[str, float](), 0
    began, waited = now, False
    for _ in range(30):
        state, grant = pace.take(state, now, limit.buckets, want)
        assert grant.granted >= 1 or not waited
        assert (grant.granted == want) == (grant.wait == 0)
        sent += grant.granted
        now, waited = now + grant.wait + 1e-6, grant.wait > 0
    full = min(bucket.rate for bucket in limit.buckets.values())
    assert sent >= min(30 * want, int(full * (now - began) * (1 - 1e-3)))


@given(limits, st.integers(1, 40))
def test_the_shares_of_all_workers_make_one_limit(limit: Limit, among: int) -> None:
    """But each may always send one letter at once: a share is never none."""
    for name, part in pace.share(limit, among).items():
        whole = limit.buckets[name]
        assert part.rate * among == pytest.approx(whole.rate)
        assert part.burst == max(1.0, whole.burst / among)


@given(limits)
def test_who_does_not_know_what_went_before_begins_with_one_letter(limit: Limit) -> None:
    """A worker that starts again and again sends no burst each time."""
    _, grant = pace.take(pace.beginning(50.0, limit.buckets), 50.0, limit.buckets, 1000)
    assert grant.granted == 1


def test_letters_put_back_can_be_taken_again() -> None:
    """They were never begun, so nobody was sent anything."""
    buckets = Limit(per_second=10).buckets
    state, first = pace.take({}, 0.0, buckets, 10)
    state, _ = pace.take(state, 0.0, buckets, -4)
    _, second = pace.take(state, 0.0, buckets, 10)
    assert (first.granted, second.granted) == (10, 4)


def test_a_clock_set_back_an_hour_stops_nothing_for_an_hour() -> None:
    """A state that far off counts as an empty bucket."""
    buckets = Limit(per_second=10).buckets
    _, grant = pace.take({"second": 3600.0}, 0.0, buckets, 10)
    assert (grant.granted, grant.wait) == (0, pytest.approx(0.5))


def test_a_limit_keeps_its_promise_in_its_own_words() -> None:
    """One second's worth at once, one minute's worth of an hourly limit, one letter at least."""
    assert Limit(per_second=20, per_hour=1200).buckets == {
        "second": Bucket(20, 20),
        "hour": Bucket(1200 / 3600, 20),
    }
    assert Limit(per_second=0.1, per_hour=6).buckets == {
        "second": Bucket(0.1, 1),
        "hour": Bucket(6 / 3600, 1),
    }


def test_the_stricter_of_two_limits_keeps_both() -> None:
    """A relay's own limit and its warm-up hold together; what neither names is free."""
    both = Limit(per_second=5, connections=3).stricter(Limit(per_second=2, per_hour=100))
    assert both == Limit(per_second=2, per_hour=100, connections=3)
    assert pace.NONE.stricter(pace.NONE).unlimited


def test_fifty_thousand_readers_are_through_in_about_an_hour() -> None:
    """Kind is not crippling: 40 % at Gmail, 15 % at Outlook, 10 % each at QQ, NetEase and Yahoo."""
    people = {"gmail": 20_000, "outlook": 7_500, "yahoo": 5_000, "qq": 5_000, "netease": 5_000}
    for provider, letters in people.items():
        slowest = min(bucket.rate for bucket in pace.DEFAULTS[provider].buckets.values())
        assert letters / slowest <= 1.1 * 3600


def test_defaults_are_for_providers_that_diagnosis_names() -> None:
    """A limit under another name would bind nobody."""
    named = {"gmail", "outlook", "yahoo", "qq", "netease", "alimail"}
    assert named <= pace.DEFAULTS.keys() <= set(MX_DOMAINS.values())


def test_a_new_address_warms_up_in_twelve_days() -> None:
    """50, 100, 200 …; before its first day it has that of the first; then it is free."""
    first = date(2026, 12, 1)
    days = [pace.warm_up(first, first + timedelta(days=day)) for day in range(-1, 13)]
    assert days == [50, *(50 * 2**day for day in range(12)), None]


@given(st.integers(1, 100_000), st.integers(1, 48))
def test_a_day_never_sees_more_than_its_letters_and_one(letters: int, hours: int) -> None:
    """The warm-up is spread over the day: what comes in bursts looks like a burst."""
    buckets = Limit.of_day(letters).buckets
    sent, state = 0, dict[str, float]()
    for hour in range(hours):
        state, grant = pace.take(state, hour * 3600.0, buckets, 10_000_000)
        sent += grant.granted
    assert sent <= letters / 24 * hours + max(1, letters / 86_400)


def test_rests_grow_and_end() -> None:
    """1 minute, then twice as long each time, at most an hour."""
    minutes = [pace.rest(strikes) / timedelta(minutes=1) for strikes in (1, 2, 3, 6, 7, 8, 1000)]
    assert minutes == [1, 2, 4, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("code", "status", "category", "asks"),
    [
        (421, "4.7.0", Category.RATE, True),
        (421, None, Category.UNKNOWN, True),
        (421, "4.3.2", Category.TECHNICAL, True),  # closes the channel to everybody
        (450, "4.7.1", Category.POLICY, True),
        (451, "4.7.500", "rate", True),
        (550, None, Category.RATE, True),  # QQ refuses so for good what comes too fast
        (450, "4.2.1", Category.RATE, False),  # this mailbox gets too much, from whomever
        (452, "4.2.2", Category.MAILBOX_FULL, False),
        (421, "4.2.2", Category.MAILBOX_FULL, False),
        (452, "4.3.1", Category.TECHNICAL, False),
        (451, "4.3.0", Category.TECHNICAL, False),
        (550, "5.7.1", Category.POLICY, False),  # no speed would mend that
        (550, "5.1.1", Category.BAD_MAILBOX, False),
        (451, None, Category.TECHNICAL, False),
        (250, "2.0.0", None, False),
        (None, None, None, False),  # silence asks for nothing
    ],
)
def test_who_asks_us_to_slow_down(
    code: int | None, status: str | None, category: str | None, asks: bool
) -> None:
    """421, 4.7.x and talk of speed do; what is about one mailbox or one letter does not."""
    assert pace.asks_to_slow(code, status, category) is asks
