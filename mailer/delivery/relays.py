"""The relays of one process, in order of preference: letters go to the first that takes them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

from mailer.delivery.relay import Relay, RelayUnavailable
from mailer.delivery.smtp import Envelope, Kind, Outcome
from mailer.delivery.transport import HALTED, NoNotes, Notes, Transport, never

REST = 30.0  # seconds a relay that could not be reached is left alone

_log = logging.getLogger(__name__)


class Relays:
    """Kept connections to every relay, closed at the end of ``with``. For one thread; made after fork."""

    def __init__(self, urls: Iterable[str]) -> None:
        """Connect to nothing yet.

        :raises BadRelay: a URL cannot be used
        """
        self._transports = [Transport(Relay.from_url(url)) for url in urls]
        self._resting: dict[str, float] = {}  # relay name -> time.monotonic() until which it is left alone

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def awake(self) -> list[Transport]:
        """The relays that are worth asking now."""
        now = time.monotonic()
        return [each for each in self._transports if self._resting.get(each.relay.name, 0.0) <= now]

    def send(
        self,
        letters: Sequence[Envelope],
        *,
        notes: Notes,
        deadline: float | None = None,
        halt: Callable[[], bool] = never,
    ) -> Iterator[Outcome]:
        """Yield what became of letters; one that nothing is said of was never begun.

        A letter under which connections break again and again before its body is deferred: it may be the
        letter. For ``notes``, ``deadline`` and ``halt`` see ``Transport.send``.

        :raises RelayUnavailable: no relay can be reached, after what is known was told
        """
        left = {envelope.key: envelope for envelope in letters}
        trouble: RelayUnavailable | None = None
        for transport in self.awake:
            broken: list[Outcome] = []
            try:
                for outcome in transport.send(list(left.values()), notes=notes, deadline=deadline, halt=halt):
                    if outcome.kind is not Kind.UNSENT:
                        del left[outcome.key]
                        yield outcome
                    elif outcome.text != HALTED:
                        broken.append(outcome._replace(kind=Kind.DEFERRED))
            except RelayUnavailable as error:
                trouble = error
                self._resting[transport.relay.name] = time.monotonic() + REST
                _log.warning("relay %s rests: %s", transport.relay.name, error)
                continue
            yield from broken
            return
        if trouble is not None and left:
            raise trouble

    def close(self) -> None:
        """Say goodbye to every relay."""
        for transport in self._transports:
            transport.close()


def hand_over(envelope: Envelope, urls: Iterable[str]) -> Outcome:
    """Send one letter outside the ledger; return what became of it.

    :raises RelayUnavailable: no relay can be reached
    """
    with Relays(urls) as relays:
        [outcome] = relays.send([envelope], notes=NoNotes())
        return outcome
