"""The meter: counts what goes to each destination and relay, over all workers of all machines.

Counted in Redis, by its own clock; what is counted is kept under the names of lanes and relays, never under
an address or a token. Without Redis, or while it does not answer, every process keeps to its share of each
limit by itself: a broker that is gone stops no mail.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from mailer.delivery import pace
from mailer.delivery.pace import Grant, Limit

ANSWER_WITHIN = 0.2  # seconds, for a connection and for a reply
ASK_AGAIN = 5.0  # seconds between tries to reach a Redis that did not answer
SEAT_LASTS = 20  # seconds without a renewal: several turns of a worker

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


class Meter:
    """One process's way to what all have counted. Safe for threads; made after fork.

    No call raises. One takes about 0.1 ms; when Redis stops answering, one call in ``ASK_AGAIN`` seconds
    takes twice ``ANSWER_WITHIN``.
    """

    def __init__(self, redis_url: str, *, holder: str, workers: Callable[[], int]) -> None:
        """Connect to nothing yet.

        :param redis_url: empty: this process counts by itself
        :param holder: names this process among all that hold seats
        :param workers: how many processes share the limits; asked only while this one counts by itself, at
            most once in ``ASK_AGAIN`` seconds, and must not raise
        """
        self._together = _Together(redis_url, holder) if redis_url else None
        self._alone = _Alone(workers)
        self._lost = False
        self._ask_at = 0.0  # time.monotonic() from which Redis is worth asking

    def take(self, key: str, limit: Limit, want: int) -> Grant:
        """Take up to ``want`` letters of what ``limit`` allows under ``key`` now.

        What is granted counts as sent at this instant: begin those letters at once, and give back what was
        not begun. For ``Grant.wait`` see there.
        """
        if limit.unlimited or want <= 0:
            return Grant(max(0, want), 0.0)
        return self._count(key, limit, want)

    def give_back(self, key: str, limit: Limit, count: int) -> None:
        """Put back letters that were taken and never begun; ``limit`` is what they were taken under."""
        if count > 0 and not limit.unlimited:
            self._count(key, limit, -count)

    def _count(self, key: str, limit: Limit, want: int) -> Grant:
        return self._ask(
            lambda redis: redis.take(key, limit, want), lambda: self._alone.take(key, limit, want)
        )

    def seats(self, key: str, limit: int, want: int) -> int:
        """Hold up to ``want`` of the ``limit`` connections under ``key``; return how many are held now.

        The answer takes the place of what was held before. It may be less, or none: others hold the rest.
        Seats lapse ``SEAT_LASTS`` seconds after the last call, so call every few seconds while connections
        are open; ``want`` 0 gives them back.
        """
        return self._ask(lambda redis: redis.seats(key, limit, want), lambda: self._alone.seats(limit, want))

    def leave(self) -> None:
        """Give back every seat: the process ends, or has nothing to send."""
        self._ask(lambda redis: redis.leave(), lambda: None)

    def close(self) -> None:
        """Give back every seat, and the connection."""
        self.leave()
        if self._together is not None:
            self._together.close()

    def _ask(self, question: Callable[[_Together], Answer], otherwise: Callable[[], Answer]) -> Answer:
        if self._together is None or time.monotonic() < self._ask_at:
            return otherwise()
        try:
            answer = question(self._together)
        except _NoAnswer as error:
            self._lose(error)
            return otherwise()
        if self._lost:
            self._lost = False
            self._alone.forget()
            _log.warning("Redis answers again: limits are counted together")
        return answer

    def _lose(self, error: _NoAnswer) -> None:
        self._ask_at = time.monotonic() + ASK_AGAIN
        if not self._lost:
            self._lost = True
            _log.warning("Redis does not answer (%s): this worker keeps to its share of each limit", error)


# --- together -------------------------------------------------------------------------------------------


class _NoAnswer(Exception):
    """Redis was not reached, or could not do as asked; the message is a word for the log."""


class _Together:
    """Counters in Redis, a script a question: nobody comes between its reading and its writing."""

    def __init__(self, url: str, holder: str) -> None:
        from redis import Redis, RedisError  # a fifth of a second to import, and embedded never needs it
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._redis = Redis.from_url(
            url,
            socket_timeout=ANSWER_WITHIN,
            socket_connect_timeout=ANSWER_WITHIN,
            retry=Retry(NoBackoff(), 0),  # the caller counts by itself instead
        )
        self._take = self._redis.register_script(_TAKE)
        self._seats = self._redis.register_script(_SEATS)
        self._errors = (RedisError, OSError)
        self._holder = holder
        self._held: set[str] = set()  # keys under which seats may be held

    def take(self, key: str, limit: Limit, want: int) -> Grant:
        """Take letters, or put them back when ``want`` is negative, as ``pace.take`` does."""
        buckets = [word for name, bucket in limit.buckets.items() for word in (name, *map(repr, bucket))]
        granted, wait = self._run(self._take, f"mailer:pace:{key}", want, *buckets)
        return Grant(int(granted), float(wait))

    def seats(self, key: str, limit: int, want: int) -> int:
        self._held.add(key)
        granted = self._run(
            self._seats, f"mailer:pace:seats:{key}", self._holder, limit, want, SEAT_LASTS * 1000
        )
        return int(granted)

    def leave(self) -> None:
        while self._held:
            self.seats(key := next(iter(self._held)), 0, 0)
            self._held.discard(key)

    def close(self) -> None:
        self._redis.close()

    def _run(self, script: Any, key: str, *arguments: object) -> Any:
        try:
            return script(keys=[key], args=arguments)
        except self._errors as error:
            raise _NoAnswer(type(error).__name__) from error


_TAKE = """
local time = redis.call('TIME')
local now = time[1] - 1767225600 + time[2] / 1e6  -- since 2026: doubles keep more of it
local want = tonumber(ARGV[1])
local granted = want
local buckets = {}
for i = 2, #ARGV, 3 do
    local bucket = {name = ARGV[i], rate = tonumber(ARGV[i + 1]), burst = tonumber(ARGV[i + 2])}
    local full_at = tonumber(redis.call('HGET', KEYS[1], bucket.name) or now)
    bucket.full_at = math.min(math.max(full_at, now), now + bucket.burst / bucket.rate)
    bucket.room = bucket.burst - (bucket.full_at - now) * bucket.rate
    granted = math.min(granted, math.floor(bucket.room + 1e-6))
    buckets[#buckets + 1] = bucket
end
local wait, lasts = 0, 0
for _, bucket in ipairs(buckets) do
    local full_at = bucket.full_at + granted / bucket.rate
    redis.call('HSET', KEYS[1], bucket.name, string.format('%.6f', full_at))
    lasts = math.max(lasts, full_at - now)
    if want > granted then
        local worth = math.min(want - granted, math.max(1, bucket.burst / 2))
        wait = math.max(wait, (worth - bucket.room + granted) / bucket.rate)
    end
end
redis.call('PEXPIRE', KEYS[1], math.ceil(lasts * 1000) + 1)  -- a full bucket needs no state
return {granted, string.format('%.6f', wait)}
"""

_SEATS = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder, limit, want, lasts = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local taken = 0
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
    local count, ends = string.match(held[i + 1], '(%d+) (%d+)')
    if tonumber(ends) <= now then
        redis.call('HDEL', KEYS[1], held[i])
    elseif held[i] ~= holder then
        taken = taken + count
    end
end
local granted = math.max(0, math.min(want, limit - taken))
if granted > 0 then
    redis.call('HSET', KEYS[1], holder, string.format('%d %d', granted, now + lasts))
    redis.call('PEXPIRE', KEYS[1], lasts)
else
    redis.call('HDEL', KEYS[1], holder)
end
return granted
"""


# --- alone ----------------------------------------------------------------------------------------------


class _Alone:
    """What this process may do by itself: its share of each limit, and always one letter, one connection.

    It begins with one letter in each bucket, for it does not know what went before.
    """

    def __init__(self, workers: Callable[[], int]) -> None:
        self._ask_workers = workers
        self._workers = 1
        self._asked_at: float | None = None  # time.monotonic()
        self._states: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, limit: Limit, want: int) -> Grant:
        with self._lock:
            now = time.monotonic()
            buckets = pace.share(limit, self._among(now))
            state = self._states.get(key) or pace.beginning(now, buckets)
            self._states[key], grant = pace.take(state, now, buckets, want)
            return grant

    def seats(self, limit: int, want: int) -> int:
        with self._lock:
            return max(0, min(want, max(1, limit // self._among(time.monotonic()))))

    def forget(self) -> None:
        """Forget what was counted: others count it again."""
        with self._lock:
            self._states.clear()

    def _among(self, now: float) -> int:
        if self._asked_at is None or now - self._asked_at >= ASK_AGAIN:
            self._asked_at, self._workers = now, max(1, self._ask_workers())
        return self._workers
