"""Send windows: read, written, open and closed by the wall clock, over changes of the clock too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.delivery import windows
from mailer.delivery.windows import BadWindow, Span, Window

WORKING = windows.read("mon-fri 08:00-18:00")
MOMENTS = 2 * 365 * 24 * 3600  # seconds after the first of 2026
ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
]


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start = draw(st.integers(0, 1439))
    end = draw(st.integers(0, 1440).filter(lambda end: end != start))
    first, length = draw(st.integers(0, 6)), draw(st.integers(1, 7))
    return Span(0, 6, start, end) if length == 7 else Span(first, (first + length - 1) % 7, start, end)


some_windows = st.builds(Window, st.lists(spans(), max_size=3).map(tuple))
instants = st.integers(0, MOMENTS).map(lambda seconds: at("2026-01-01") + timedelta(seconds=seconds))
# the hours around a change of clocks, where such things break
changes = st.sampled_from(["2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00"])
near_changes = st.builds(
    lambda change, minutes: at(change) + timedelta(minutes=minutes), changes, st.integers(-3000, 300)
)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("", ""),
        ("  Mon-Fri   8:00-18:00 ", "mon-fri 08:00-18:00"),
        ("08:00-20:00", "08:00-20:00"),
        ("mon-sun 22:00-06:00", "22:00-06:00"),
        ("sat 9:30 - 12:00,sun 10:00-24:00", "sat 09:30-12:00, sun 10:00-24:00"),
        ("ｍｏｎ－ｆｒｉ　08：00–18：00，sat 10:00-12:00", "mon-fri 08:00-18:00, sat 10:00-12:00"),
    ],
)
def test_a_window_is_read_as_people_write_it(written: str, stored: str) -> None:
    """In any case, with spaces, and from a Chinese keyboard; one spelling is kept."""
    assert str(windows.read(written)) == stored


@pytest.mark.parametrize(
    "text",
    ["office hours", "mon-fri", "8-18", "25:00-26:00", "08:60-09:00", "08:00-08:00", "24:00-08:00",
     "mon-fri 08:00-18:00,", "xyz 08:00-18:00", ", ".join(["mon 08:00-09:00"] * 20)],
)  # fmt: skip
def test_what_cannot_be_read_says_how_to_write_it(text: str) -> None:
    """Hours that do not exist, days that do not exist, windows that never open."""
    with pytest.raises(BadWindow, match="write it like"):
        windows.read(text)


@given(some_windows)
def test_what_is_written_out_reads_back(window: Window) -> None:
    """What the database keeps is what was meant."""
    assert windows.read(str(window)) == window


def test_a_window_is_open_by_the_wall_clock_of_its_zone() -> None:
    """From its first minute on, and no more at its last; the weekend is not a working day."""
    zone = "Asia/Shanghai"
    assert not WORKING.is_open(at("2026-11-20T07:59:59", zone), zone)
    assert WORKING.is_open(at("2026-11-20T00:00", "UTC"), zone)  # 08:00 in Shanghai
    assert not WORKING.is_open(at("2026-11-20T18:00", zone), zone)
    assert not WORKING.is_open(at("2026-11-21T12:00", zone), zone)  # Saturday
    assert WORKING.opens(at("2026-11-20T18:00", zone), zone) == at("2026-11-23T08:00", zone)


def test_a_night_belongs_to_the_day_it_begins_on() -> None:
    """Friday's night ends on Saturday morning; Sunday's, on Monday."""
    nights = windows.read("fri-sun 22:00-06:00")
    assert nights.is_open(at("2026-11-21T05:59"), "UTC")
    assert nights.is_open(at("2026-11-23T05:59"), "UTC")
    assert not nights.is_open(at("2026-11-20T05:59"), "UTC")


def test_without_a_window_it_is_always_open() -> None:
    """The default: what is due goes out."""
    moment = at("2026-11-22T03:00")
    assert windows.read("").is_open(moment, "UTC")
    assert windows.read("").opens(moment, "UTC") == moment


def test_an_hour_that_summer_time_skips_does_not_open() -> None:
    """On 29 March 2026 Paris goes from 02:00 to 03:00: the window of 02:00 opens on the next day."""
    skipped = windows.read("02:00-02:30")
    assert skipped.opens(at("2026-03-29T00:00", "UTC"), "Europe/Paris") == at(
        "2026-03-30T02:00", "Europe/Paris"
    )


def test_a_window_that_summer_time_begins_within_opens_with_it() -> None:
    """Its own 02:15 does not exist: the first minute that does is 03:00."""
    cut = windows.read("02:15-04:00")
    assert cut.opens(at("2026-03-29T00:30", "UTC"), "Europe/Paris") == at("2026-03-29T03:00", "Europe/Paris")


def test_an_hour_that_comes_twice_is_open_twice() -> None:
    """On 25 October 2026 Paris goes from 03:00 back to 02:00."""
    twice = windows.read("02:00-02:30")
    assert twice.is_open(at("2026-10-25T00:10", "UTC"), "Europe/Paris")
    assert not twice.is_open(at("2026-10-25T00:40", "UTC"), "Europe/Paris")
    assert twice.opens(at("2026-10-25T00:40", "UTC"), "Europe/Paris") == at("2026-10-25T01:00", "UTC")


@settings(max_examples=60)
@given(some_windows, instants | near_changes, st.sampled_from(ZONES))
def test_it_opens_when_it_is_open_and_not_before(window: Window, now: datetime, zone: str) -> None:
    """Looked at every few minutes: nothing is open between now and the opening."""
    opens = window.opens(now, zone)
    assert opens >= now
    assert window.is_open(opens, zone)
    before = now
    while before < opens:
        assert not window.is_open(before, zone)
        before += timedelta(minutes=7)
    assert opens == now or not window.is_open(opens - timedelta(microseconds=1), zone)


@given(instants | near_changes, st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_the_same_hour_is_what_the_clocks_there_show(moment: datetime, of: str, zone: str) -> None:
    """Save where summer time skips it: then an hour later."""
    shown = moment.astimezone(ZoneInfo(of)).replace(tzinfo=None)
    there = windows.same_hour(moment, of=of, zone=zone).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert timedelta() <= there - shown <= timedelta(hours=1)
    assert there == shown or not _exists(shown, zone)


def _exists(shown: datetime, zone: str) -> bool:
    local = shown.replace(tzinfo=ZoneInfo(zone))
    return local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == shown


@given(
    instants | near_changes,
    st.sampled_from(ZONES),
    st.sampled_from([*ZONES, "Pacific/Kiritimati", "Mars/Olympus"]),
)
def test_no_zones_hour_comes_before_the_first(moment: datetime, of: str, zone: str) -> None:
    """Where a campaign by readers' clocks is launched; a zone nobody knows is the publication's."""
    assert windows.first_hour(moment, of=of) <= windows.same_hour(moment, of=of, zone=zone)
    assert windows.same_hour(moment, of=of, zone="Mars/Olympus") == moment
