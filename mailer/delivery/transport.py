"""The send path's engine: letters over kept connections to one relay.

``Transport.send`` runs up to ``relay.connections`` links in one epoll loop. It opens connections in
parallel and only as many as there are letters, and keeps them for the next call.

What is promised for every letter taken from the caller's iterable:

- exactly one outcome;
- its ``begin`` is in the journal before its body's first byte leaves;
- ``halt`` is asked before its body leaves, and once it says True nothing more begins;
- at most one body per connection is in flight;
- when a connection breaks before the body, it goes out once more on another one; when it breaks between
  body and answer, it is ``uncertain``.
"""

from __future__ import annotations

import selectors
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, Self

from mailer.delivery.link import Address, Broken, Link, resolve, trust
from mailer.delivery.relay import Relay, RelayUnavailable
from mailer.delivery.reply import Garbled
from mailer.delivery.smtp import Conversation, Envelope, Kind, Outcome
from mailer.errors import MailerError
from mailer.sentence import Sentence

HALTED = "sending was halted"  # what an unsent letter says that no connection broke under

_WAKE = 0.25  # seconds between looks at the clock while nothing happens
_TRIES = 2  # connections a letter may see break before its body
_DNS_KEPT = 60.0  # seconds the relay's addresses are believed
_LAST_CHANCE = 10.0  # seconds that bodies in flight get for their answers when the caller walks away


class Notes(Protocol):
    """Where begins and ends are written; ``journal.Pen`` is one."""

    def begin(self, n: int) -> None: ...
    def end(self, outcome: Outcome) -> None: ...
    def flush(self) -> None: ...


class NoNotes:
    """For letters outside the ledger, such as tests to a colleague."""

    def begin(self, n: int) -> None:
        """Note nothing."""

    def end(self, outcome: Outcome) -> None:
        """Note nothing."""

    def flush(self) -> None:
        """Write nothing."""


def never() -> bool:
    """Do not halt."""
    return False


class Transport:
    """A relay and the connections to it, closed at the end of ``with``.

    For one thread and one process: make it after fork.
    """

    def __init__(self, relay: Relay) -> None:
        """Connect to nothing yet.

        :raises BadRelay: the file of trusted certificates cannot be read
        """
        self.relay = relay
        self.selector = selectors.DefaultSelector()
        self.links: list[Link] = []
        self._context = trust(relay)
        self._addresses: list[Address] = []
        self._addresses_until = 0.0  # time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(
        self,
        envelopes: Iterable[Envelope],
        *,
        notes: Notes | None = None,
        deadline: float | None = None,
        halt: Callable[[], bool] = never,
        connections: int | None = None,
        letters: int | None = None,
    ) -> Iterator[Outcome]:
        """Send letters; yield one outcome for each that was taken from the caller, in the order of answers.

        Letters are taken one by one as connections have room, at most two for each. ``deadline``, in the
        time of ``time.monotonic()``: none is taken after it, those taken are finished. ``halt`` is asked
        before bodies leave, and now and then while nothing happens: once True, nothing more begins and
        letters taken but not begun come back unsent.
        ``connections``: use no more at once (at least 1); others stay open, idle. ``letters``: a connection
        that has carried so many in its life takes leave, and another is opened. Neither goes beyond what
        the relay itself is set to.
        A caller that stops listening leaves bodies in flight: their answers still go into the journal.

        :raises RelayUnavailable: no connection can be had; letters taken have come back unsent before
        :raises MailerError: the journal cannot be written; likewise, and answers on their way were awaited
        :raises Exception: what ``envelopes`` or ``halt`` raised; likewise
        """
        sending = Sending(
            self,
            iter(envelopes),
            notes=notes or NoNotes(),
            deadline=deadline,
            halt=halt,
            room=_least(self.relay.connections, connections),
            share=_least(self.relay.letters, letters),
        )
        try:
            yield from sending.outcomes()
        finally:
            sending.wind_up()

    def check(self) -> None:
        """Connect and sign in, send nothing.

        :raises RelayUnavailable: and why
        """
        Sending(self, iter(()), notes=NoNotes()).open_one()

    def shrink(self, connections: int) -> None:
        """Take leave on idle connections until no more than ``connections`` are left."""
        for link in self.links[connections:]:
            if link.talk.idle:
                link.quit()
            elif not link.talk.ready:
                self.drop(link)

    def open(self) -> None:
        """Begin to open one more connection.

        :raises RelayUnavailable: the relay's name is not known
        """
        self.links.append(Link(self.relay, self._look_up(), self._context, self.selector))

    def _look_up(self) -> list[Address]:
        """Return the relay's addresses. DNS blocks, so nobody waits for it while a connection is alive."""
        now = time.monotonic()
        if not self._addresses or (not self.links and now >= self._addresses_until):
            self._addresses = resolve(self.relay)
            self._addresses_until = now + _DNS_KEPT
        return self._addresses

    def drop(self, link: Link) -> None:
        """Close a connection that is of no more use."""
        self.links.remove(link)
        link.hang_up()

    def close(self) -> None:
        """Take leave of the relay and close every connection."""
        self.shrink(0)
        for link in self.links:
            link.part()
        self.links.clear()
        self.selector.close()


def _least(*limits: int | None) -> int:
    """Return the lowest of the limits that are set."""
    return min((limit for limit in limits if limit is not None), default=sys.maxsize)


class Sending:
    """One call of ``Transport.send``: who goes next, and what became of each."""

    def __init__(
        self,
        transport: Transport,
        letters: Iterator[Envelope],
        *,
        notes: Notes,
        deadline: float | None = None,
        halt: Callable[[], bool] = never,
        room: int = 1,
        share: int = sys.maxsize,
    ) -> None:
        """``room``: connections to use at once; ``share``: letters that one connection carries at most."""
        self._transport = transport
        self._relay = transport.relay
        self._letters = letters
        self._notes = notes
        self._deadline = deadline
        self._halt = halt
        self._halted = False
        self._exhausted = False  # no more letters are taken
        self._waiting: deque[Envelope] = deque()  # taken, with no connection yet
        self._broken: Counter[int] = Counter()  # by key: connections that broke before the body
        self._results: list[Outcome] = []
        self._trouble: Exception | None = None
        self._room = room  # less what the relay does not grant us
        self._share = share
        self._strikes = 0  # connections lost since the last answer about a letter
        self._slack = True  # an idle connection or a waiting letter may lack the other
        self._looked = time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        """Run until nothing is left to do."""
        self._turn(wait=0)  # connections the relay has closed since the last call
        self._strikes = 0
        while True:
            self._hand_out()
            self._flush_notes()
            results, self._results = self._results, []
            yield from results
            if not self._busy() and not self._results:
                break
            self._turn(wait=_WAKE)
        if self._trouble:
            raise self._trouble

    def wind_up(self) -> None:
        """Wait for the answers to bodies in flight and note them: nobody is left to be told."""
        self._halted = True
        give_up = time.monotonic() + _LAST_CHANCE
        while self._engaged() and time.monotonic() < give_up:
            self._turn(wait=_WAKE)
        for link in self._engaged():
            self._lose(link, Sentence("the sender went away"))
        self._flush_notes()

    def open_one(self) -> None:
        """Open one connection, unless one is open, and wait until it is ready."""
        self._turn(wait=0)
        if not self._transport.links:
            self._transport.open()
        while self._trouble is None and not any(link.talk.ready for link in self._transport.links):
            self._turn(wait=_WAKE)
        if self._trouble:
            raise self._trouble

    # -- letters --

    def _next(self) -> Envelope | None:
        return self._waiting.popleft() if self._waiting else self._take()

    def _take(self) -> Envelope | None:
        """Take a letter from the caller, who may be assembling it right then, and seal it.

        Signing takes longer than all else of a letter: meanwhile the relay reads those before it.
        """
        if self._exhausted or self._halted:
            return None
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._exhausted = True
            return None
        try:
            return next(self._letters).sealed()
        except StopIteration:
            self._exhausted = True
        except Exception as error:
            self._stop(error)
        return None

    def _must_halt(self) -> bool:
        """Ask whether nothing more may begin; a caller who cannot answer has said yes."""
        if not self._halted:
            try:
                self._halted = self._halt()
            except Exception as error:
                self._stop(error)
        return self._halted

    def _stop(self, error: Exception) -> None:
        """Begin nothing more; ``error`` is raised once all that is in flight has been answered."""
        self._halted = True
        self._trouble = self._trouble or error

    def _unsent(self, letter: Envelope, why: str) -> Outcome:
        return Outcome(letter.key, Kind.UNSENT, None, None, why, "", self._relay.name)

    def _again(self, letter: Envelope, given_back: Outcome) -> None:
        """Send a letter once more on another connection, or give it back."""
        self._broken[letter.key] += 1
        if self._broken[letter.key] >= _TRIES or self._halted:
            self._results.append(given_back)
        else:
            self._waiting.append(letter)

    def _collect(self, talk: Conversation) -> None:
        """Take what the conversation has settled, and note it."""
        for outcome in talk.settled:
            self._notes.end(outcome)
            if outcome.code is not None:
                self._strikes = 0
        self._results += talk.settled
        talk.settled.clear()

    def _flush_notes(self) -> None:
        try:
            self._notes.flush()
        except MailerError as error:
            self._stop(error)

    # -- connections --

    @property
    def _crew(self) -> list[Link]:
        """The connections this call may use. Those behind them stay idle, and step in when one is lost."""
        return self._transport.links[: self._room]

    def _hand_out(self) -> None:
        """Bring idle connections and waiting letters together; open connections for the rest."""
        if self._halted:
            while self._waiting:
                self._results.append(self._unsent(self._waiting.popleft(), HALTED))
        if not self._slack:
            return
        self._slack = False
        for link in self._crew:
            if link.talk.idle:
                self._serve(link, 0)
        opening = sum(not link.talk.ready for link in self._transport.links)
        while len(self._transport.links) < self._room and self._stocked(opening + 1):
            opening += 1
            self._open()

    def _stocked(self, count: int) -> bool:
        """Take letters until ``count`` wait, and say whether they do."""
        while len(self._waiting) < count and (letter := self._take()):
            self._waiting.append(letter)
        return len(self._waiting) >= count

    def _open(self) -> None:
        try:
            self._transport.open()
        except RelayUnavailable as error:
            self._make_do(len(self._transport.links), error)
        except OSError as error:
            why = "No connection can be opened ({why}): check `ulimit -n`."
            self._make_do(len(self._transport.links), RelayUnavailable(why, why=error.strerror))

    def _make_do(self, room: int, error: Exception) -> None:
        """Go on with fewer connections; when there is none at all, ``error`` says why."""
        self._room = room
        if not self._transport.links:
            self._stop(error)

    def _engaged(self) -> list[Link]:
        return [link for link in self._transport.links if link.talk.engaged]

    def _busy(self) -> bool:
        """Whether something may come yet: an answer about a letter, or a connection for the next ones."""
        more = not (self._exhausted or self._halted)
        return bool(self._waiting) or any(
            link.talk.engaged or (more and link.talk.ready and link.talk.awaiting)
            for link in self._transport.links
        )

    def _turn(self, *, wait: float) -> None:
        """Serve every connection that has something, or wait for one; then let bodies leave."""
        events = self._transport.selector.select(wait)
        cleared = [key.data for key, mask in events if self._serve(key.data, mask)]
        if cleared:
            self._begin(cleared)
        now = time.monotonic()
        if now - self._looked >= _WAKE:
            self._looked = now
            self._must_halt()
            for link in list(self._transport.links):
                try:
                    link.check(now)
                except Broken as error:
                    self._broke(link, error.sentence)

    def _serve(self, link: Link, mask: int) -> bool:
        """One step of one connection: hear, settle, say an envelope. Return whether a body may leave."""
        talk = link.talk
        try:
            if mask:
                link.handle(mask)
            if talk.settled:
                self._collect(talk)
            if talk.closed:
                raise Broken(_farewell(talk))
            if talk.cleared:
                return True
            if talk.idle and link in self._crew:
                self._offer_next(link)
            link.say()
        except RelayUnavailable as error:
            self._forget(link, error)
        except (Broken, Garbled) as error:
            self._broke(link, error.sentence)
        return False

    def _begin(self, cleared: Sequence[Link]) -> None:
        """Send cleared bodies, each with the next envelope behind it, once the journal holds their begins."""
        if not self._must_halt():
            for link in cleared:
                self._notes.begin(link.talk.candidate.key)
            self._flush_notes()  # comes back when write(2) has, or halts us
        for link in cleared:
            if self._must_halt():
                self._withdraw(link)
            else:
                link.talk.transmit()
                link.prepare_body()
                self._offer_next(link)
            self._serve(link, 0)

    def _withdraw(self, link: Link) -> None:
        letter = link.talk.withdraw()
        self._notes.end(self._unsent(letter, ""))
        self._results.append(self._unsent(letter, HALTED))

    def _offer_next(self, link: Link) -> None:
        """Say the next letter's envelope; a connection that has carried its share takes leave instead."""
        talk = link.talk
        if talk.carried < self._share:
            while (letter := self._next()) and not talk.offer(letter):
                self._collect(talk)
        elif talk.idle:
            link.quit()

    def _broke(self, link: Link, why: Sentence) -> None:
        """A connection is at its end: expected, after letters, or before it was of any use."""
        if link.talk.leaving:
            self._transport.drop(link)
            self._slack = True
        elif link.talk.ready:
            self._lose(link, why)
        else:
            refusal = "The relay {relay} {why}: check its URL."
            self._forget(link, RelayUnavailable(refusal, relay=self._relay.name, why=why))

    def _lose(self, link: Link, why: Sentence) -> None:
        """A connection broke after its opening: settle what it carried, send again what it had not begun."""
        talk = link.talk
        self._transport.drop(link)
        self._slack = True
        self._strikes += talk.engaged and not talk.turned_away
        in_flight = talk.flying
        for letter in talk.lost(f"The relay {why}.", begun=link.begun):
            if letter is in_flight:
                self._notes.end(self._unsent(letter, str(why)))
            self._again(letter, self._broken_off(letter, f"The relay {why}.", talk))
        self._collect(talk)
        if self._strikes > self._relay.connections + 2:
            code = talk.farewell.code if talk.farewell else None
            self._stop(
                RelayUnavailable(
                    "The relay {relay} {why}, again and again: ask its operator what is wrong.",
                    relay=self._relay.name,
                    why=why,
                    code=code,
                )
            )

    def _broken_off(self, letter: Envelope, why: str, talk: Conversation) -> Outcome:
        """Say that a connection ended under a letter: in the relay's own words if it ended it over one."""
        said = self._unsent(letter, why)
        if talk.farewell is None:
            return said
        said = said._replace(code=talk.farewell.code, status=talk.farewell.status)
        if not talk.turned_away:
            return said
        return said._replace(text=talk.farewell.text, command=talk.parted_at or "")

    def _forget(self, link: Link, error: RelayUnavailable) -> None:
        """A connection could not be opened: do with fewer."""
        self._transport.drop(link)
        self._slack = True
        self._make_do(self._room - 1, error)


def _farewell(talk: Conversation) -> Sentence:
    if talk.farewell:
        return Sentence("said goodbye: {reply}", reply=talk.farewell.shown)
    return Sentence("was hung up on")
