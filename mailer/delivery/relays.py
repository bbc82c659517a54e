"""The relays of one process, in order of preference: letters go to the first that takes them.

A relay that fails (``breaker``) is left alone for a while and the next one takes the letters, those too that
the failing one refused. One that is only at its limit is waited for: relays are an order of preference, and
what overflowed from one would upset the pace or the warm-up of the next.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol, Self

from mailer.delivery.breaker import REST as REST  # how long letters wait that no relay took
from mailer.delivery.breaker import Breaker
from mailer.delivery.oauth import POCKET, Shelf, tokens_of
from mailer.delivery.pace import Grant, Limit, asks_to_slow
from mailer.delivery.refusals import is_of_content, is_own_no, speaks_of_sender
from mailer.delivery.relay import Relay, RelayUnavailable
from mailer.delivery.smtp import Envelope, Kind, Outcome
from mailer.delivery.store import Failing
from mailer.delivery.transport import HALTED, NoNotes, Notes, Transport, never
from mailer.sentence import Sentence

RENEW = 5.0  # seconds between renewals of our seats while letters are on their way; they lapse after 20
_BAD_CREDENTIALS = 535  # RFC 4954 §6
_ADDRESS = re.compile(r"[^\s<>]+@[^\s<>]+")

_log = logging.getLogger(__name__)


class Meter(Protocol):
    """Who counts for all workers together; ``meter.Meter`` is one. Keys name a relay."""

    def take(self, key: str, limit: Limit, want: int) -> Grant: ...
    def give_back(self, key: str, limit: Limit, count: int) -> None: ...
    def seats(self, key: str, limit: int, want: int) -> int: ...


class Unmetered:
    """For letters outside the ledger: a relay's limits are not asked for them."""

    def take(self, _key: str, _limit: Limit, want: int) -> Grant:
        """Grant all."""
        return Grant(want, 0.0)

    def give_back(self, _key: str, _limit: Limit, _count: int) -> None:
        """Count nothing."""

    def seats(self, _key: str, _limit: int, want: int) -> int:
        """Grant all."""
        return want


class LettersRefused(RelayUnavailable):
    """Every relay refuses letters for what they say. The relays are well, and may take others."""


class RelayState(NamedTuple):
    """How a relay is doing. ``rest``: seconds it is still left alone; ``why`` is None when it works."""

    name: str
    rest: float
    why: Sentence | None


class Relays:
    """Kept connections to every relay, closed at the end of ``with``. For one thread; made after fork.

    ``wait`` is in how many seconds a relay at its limit would take more than was granted last.
    """

    def __init__(self, urls: Iterable[str], meter: Meter | None = None, shelf: Shelf = POCKET) -> None:
        """Connect to nothing yet. ``shelf`` is where refresh tokens are kept that are given anew.

        :raises BadRelay: a URL cannot be used
        """
        self._routes = [Route(Relay.from_url(url), meter or Unmetered(), shelf) for url in urls]
        self.wait = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def awake(self) -> list[Route]:
        """The relays that are worth asking now."""
        now = time.monotonic()
        return [route for route in self._routes if not route.breaker.rests(now)]

    def states(self) -> list[RelayState]:
        """Return how each relay is doing, as this process has seen it."""
        now = time.monotonic()
        return [
            RelayState(route.relay.name, max(0.0, route.breaker.rests_until - now), route.breaker.why)
            for route in self._routes
        ]

    def failing(self, now: datetime) -> list[Failing]:
        """Return the relays that fail this process, for others to read; ``now`` tells when rests end."""
        return [
            Failing(state.name, now + timedelta(seconds=state.rest), state.why)
            for state in self.states()
            if state.why is not None
        ]

    def allowance(self, want: int, now: datetime) -> Grant:
        """Reserve letters at the relay that would be used now; ask before composing them.

        What is granted holds for the next ``send``, which gives back what it did not need. ``now`` tells the
        day of a warm-up, also to the sends that follow; until it is told, it is the first day. Where no relay
        is awake nothing is granted, and ``wait`` is the time until one is.
        """
        for route in self._routes:
            route.today = now.date()
        awake = self.awake
        rest = min(each.rest for each in self.states())
        grant = awake[0].reserve(want) if awake else Grant(0, rest, ours=True)
        self.wait = grant.wait
        return grant

    def send(
        self,
        letters: Sequence[Envelope],
        *,
        notes: Notes,
        deadline: float | None = None,
        halt: Callable[[], bool] = never,
        connections: int | None = None,
        letters_per_connection: int | None = None,
        paced: bool = False,
    ) -> Iterator[Outcome]:
        """Yield what became of letters; one that nothing is said of was never begun, or refused by a relay
        that the next call will not ask.

        A letter under which connections break again and again before its body is deferred: it may be the
        letter. A letter refused by a relay that then failed is offered to the next, and deferred if there is
        none. For ``notes``, ``deadline``, ``halt`` and the two limits see ``Transport.send``.
        ``paced``: all go to one destination with a pace of its own, so that a request to slow down is that
        destination's. It is told of the letter and ends the call; it does not count against the relay, nor
        send letters to the next one.

        :raises LettersRefused: every relay refuses them for what they say, after what is known was told
        :raises RelayUnavailable: no relay can be used, likewise
        """
        left = {envelope.key: envelope for envelope in letters}
        refused: dict[int, Outcome] = {}
        trouble: RelayUnavailable | None = None
        job = Job(notes, deadline, halt, connections, letters_per_connection, paced)
        for route in self.awake:
            attempt = Attempt(route, job, list(left.values()))
            try:
                for outcome in attempt.outcomes():
                    del left[outcome.key]
                    yield outcome
            except RelayUnavailable as error:
                trouble = error
                refused |= attempt.refused
            else:
                self.wait = route.wait
                return
        for key, outcome in refused.items():
            if key in left:
                yield outcome._replace(kind=Kind.DEFERRED)
        if trouble is not None and left:
            raise self._the_letters_fault(trouble) or trouble

    def _the_letters_fault(self, trouble: RelayUnavailable) -> LettersRefused | None:
        """Excuse the relays if all of them, whenever each was asked, failed with what letters say."""
        if not all(route.breaker.of_content for route in self._routes):
            return None
        for route in self._routes:
            route.breaker.excuse()
        return LettersRefused(
            "Every relay refuses these letters for what they say, or for their size ({reply}). The campaign"
            " is paused and nothing of it is lost: have the relay's operator let them through and resume it,"
            " or cancel it and send a changed issue.",
            reply=trouble.sentence.values["reply"],
        )

    def check(self) -> None:
        """Connect to every relay and sign in, send nothing.

        :raises RelayUnavailable: one of them cannot be used, and why
        """
        for route in self._routes:
            route.check()

    def rest(self) -> None:
        """Let go of connections that are counted for all workers together: there is nothing to send."""
        for route in self._routes:
            route.let_go()

    def close(self) -> None:
        """Say goodbye to every relay."""
        for route in self._routes:
            route.close()


@dataclass(frozen=True, slots=True)
class Job:
    """What the caller of ``Relays.send`` asks for, whichever relay it goes to."""

    notes: Notes
    deadline: float | None
    halt: Callable[[], bool]
    connections: int | None
    letters_per_connection: int | None
    paced: bool

    def is_of_destination(self, outcome: Outcome) -> bool:
        """Whether an answer is a destination's request to slow down; before RCPT the relay speaks of us."""
        of_a_letter = self.paced and outcome.command in ("RCPT", "DATA", "BODY")
        return (
            of_a_letter and not speaks_of_sender(outcome) and asks_to_slow(outcome.code, outcome.status, None)
        )


class Route:
    """One relay: its connections, its breaker, its tokens, and what is counted of it."""

    def __init__(self, relay: Relay, meter: Meter, shelf: Shelf) -> None:
        self.relay = relay
        self.breaker = Breaker()
        self.today: date | None = None
        self.wait = 0.0  # seconds until more would be granted than was last
        self._transport = Transport(relay)
        self._tokens = tokens_of(relay, shelf) if relay.token_url else None
        self._meter = meter
        self._key = f"relay:{relay.name}"
        self._reserved = 0  # letters granted and not sent yet
        self._seats: int | None = None  # connections granted; None: not counted

    def reserve(self, want: int) -> Grant:
        """Have letters and connections granted; return how many of ``want`` may go."""
        more = max(0, want - self._reserved)
        if not self._take_seats(want):
            self.wait = RENEW
            return Grant(0, RENEW, ours=True)
        if more:
            grant = self._meter.take(self._key, self._limit, more)
            self._reserved, self.wait = self._reserved + grant.granted, grant.wait
        return Grant(min(want, self._reserved), self.wait)

    def spend(self, count: int) -> None:
        """Tell how many letters the relay was given; what was reserved beyond them goes back."""
        self._meter.give_back(self._key, self._limit, self._reserved - count)
        self._reserved = 0

    @property
    def _limit(self) -> Limit:
        return self.relay.limit_on(self.today)

    def _take_seats(self, letters: int) -> bool:
        """Hold as many connections as so many letters need or as are open; return whether there is any."""
        if self.relay.total is None:
            return True
        want = min(self.relay.connections, max(letters, len(self._transport.links)))
        self._seats = self._meter.seats(self._key, self.relay.total, want)
        self._transport.shrink(self._seats)
        return self._seats > 0

    def _holding_seats(self, halt: Callable[[], bool]) -> Callable[[], bool]:
        """Return ``halt`` that renews the seats as it is asked, now and then while letters are sent."""
        total, seats = self.relay.total, self._seats
        if total is None or seats is None:
            return halt
        renewed = time.monotonic()

        def renewing() -> bool:
            nonlocal renewed
            if time.monotonic() - renewed >= RENEW:
                self._meter.seats(self._key, total, seats)
                renewed = time.monotonic()
            return halt()

        return renewing

    def let_go(self) -> None:
        """Give back what was reserved; close connections that are counted, and say so."""
        self.spend(0)
        if self.relay.total is not None:
            self._transport.shrink(0)
            self._meter.seats(self._key, self.relay.total, 0)

    def send(self, letters: Iterable[Envelope], job: Job) -> Iterator[Outcome]:
        """``Transport.send`` with what is granted and a token that is good.

        :raises RelayUnavailable: no connection, or no token, can be had
        """
        self._renew_token()
        connections = (
            job.connections if self._seats is None else min(self._seats, job.connections or self._seats)
        )
        return self._transport.send(
            letters,
            notes=Cautious(job.notes),
            deadline=job.deadline,
            halt=self._holding_seats(job.halt),
            connections=connections,
            letters=job.letters_per_connection,
        )

    def check(self) -> None:
        """Connect and sign in, unless a connection is open."""
        self._renew_token()
        self._transport.check()

    def _renew_token(self) -> None:
        if self._tokens is not None:
            self._transport.relay = replace(self.relay, password=self._tokens.get())

    def refuses_token(self, error: RelayUnavailable) -> bool:
        """Whether the relay took offence at a token we kept; the next ``send`` will ask for another."""
        if self._tokens is None or error.code != _BAD_CREDENTIALS:
            return False
        self._tokens.forget(self._transport.relay.password)
        return True

    def fail(self, error: RelayUnavailable, *, of_content: bool) -> None:
        """Leave the relay alone for a while."""
        rest = self.breaker.fail(error.sentence, time.monotonic(), of_content=of_content)
        _log.warning("relay %s rests for %d seconds: %s", self.relay.name, rest, error)

    def close(self) -> None:
        """Take leave."""
        self.let_go()
        self._transport.close()


class Attempt:
    """What one call gives to one relay. ``refused``: letters that it refused as it may refuse everybody's."""

    def __init__(self, route: Route, job: Job, letters: Sequence[Envelope]) -> None:
        self.refused: dict[int, Outcome] = {}  # withheld: whether it is them or us is known at the end
        self._route, self._job, self._letters = route, job, letters
        self._answered: set[int] = set()
        self._broken: dict[int, Outcome] = {}
        self._failure: RelayUnavailable | None = None
        self._of_content = False  # the failure: all it refused it refused for what the letters say
        self._slowed = False  # the destination has had enough for now

    def outcomes(self) -> Iterator[Outcome]:
        """Send as many as are granted; yield what became of them.

        :raises RelayUnavailable: the relay failed, and rests now; ``refused`` ones may go to another
        """
        route = self._route
        granted = route.reserve(len(self._letters)).granted
        try:
            for part in self._parts(self._letters[:granted]):
                yield from self._offer(part)
        except RelayUnavailable as error:
            route.fail(error, of_content=error is self._failure and self._of_content)
            raise
        finally:
            route.spend(len(self._answered))
            if route.breaker.on_trial:
                route.let_go()
        for outcome in self.refused.values():  # few: they are what they are
            self._job.notes.end(outcome)
            yield outcome
        yield from self._broken.values()

    def _parts(self, letters: Sequence[Envelope]) -> Iterator[Sequence[Envelope]]:
        """All letters; one by one while the relay is on trial."""
        while letters and self._route.breaker.on_trial:
            answered = len(self._answered)
            yield letters[:1]
            if len(self._answered) == answered:
                return  # halted, or no time left
            letters = letters[1:]
        if letters:
            yield letters

    def _offer(self, letters: Sequence[Envelope]) -> Iterator[Outcome]:
        try:
            yield from self._told(letters)
        except RelayUnavailable as error:
            if self._failure or not self._route.refuses_token(error):
                raise
            self._broken.clear()
            yield from self._told([letter for letter in letters if letter.key not in self._answered])

    def _told(self, letters: Sequence[Envelope]) -> Iterator[Outcome]:
        """Send letters until the relay fails; keep back what may not be meant for them."""
        breaker = self._route.breaker
        for outcome in self._route.send(self._while_it_works(letters), self._job):
            ours = not self._job.is_of_destination(outcome)
            self._slowed |= not ours
            if outcome.kind is Kind.UNSENT:
                if outcome.text != HALTED:
                    self._broken[outcome.key] = outcome._replace(kind=Kind.DEFERRED)
                    if ours:
                        self._count_against(outcome)
                continue
            self._answered.add(outcome.key)
            if outcome.kind is Kind.ACCEPTED:
                breaker.accept()
            elif ours and is_own_no(outcome):
                self.refused[outcome.key] = outcome
                self._count_against(outcome)
                continue
            elif outcome.kind is Kind.UNCERTAIN:
                self._count_against(outcome)
            yield outcome
        if self._failure:
            raise self._failure

    def _while_it_works(self, letters: Sequence[Envelope]) -> Iterator[Envelope]:
        for letter in letters:
            if self._failure or self._slowed:
                return
            yield letter

    def _count_against(self, outcome: Outcome) -> None:
        """The relay refused a letter, or broke the connection under it: too many of those, and it fails."""
        if self._route.breaker.refuse() and self._failure is None:
            self._of_content = all(map(is_of_content, [outcome, *self.refused.values()]))
            said = " ".join(outcome.text.split())
            reply = f"{outcome.code} {said}" if outcome.command and outcome.code else said
            self._failure = RelayUnavailable(
                "The relay {relay} refuses our letters ({reply}): ask its operator why; they wait meanwhile.",
                code=outcome.code,
                relay=outcome.relay,
                reply=_ADDRESS.sub("…", reply)[:300],
            )


class Cautious:
    """Notes a refusal that may be about us as deferred, until it is known that it is about the letter.

    Whoever settles the journal of a dead worker then sends that letter again: no relay has taken it.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.begin, self.flush = notes.begin, notes.flush

    def end(self, outcome: Outcome) -> None:
        """Note what became of a letter."""
        self._notes.end(outcome._replace(kind=Kind.DEFERRED) if is_own_no(outcome) else outcome)


def hand_over(envelope: Envelope, urls: Iterable[str], shelf: Shelf = POCKET) -> Outcome:
    """Send one letter outside the ledger; return what became of it. For ``shelf`` see ``Relays``.

    :raises RelayUnavailable: no relay can be used
    """
    with Relays(urls, shelf=shelf) as relays:
        [outcome] = relays.send([envelope], notes=NoNotes())
        return outcome
