"""Ahead: the next things are made by a thread while those before them are worked on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 2  # things that wait, at most
_Told = tuple[list[T], BaseException | None]  # one thing, or none at the end


@contextmanager
def ahead(things: Iterable[T], *, if_: bool = True) -> Iterator[Iterator[T]]:
    """Give an iterator over ``things`` that a thread fills; ``if_`` False: over the things themselves.

    What is raised while they are made is raised where the next one is asked for. The thread has ended when
    this has. Only worth it where the work on them waits for others, such as a server: two threads that
    compute take turns.
    """
    if not if_:
        yield iter(things)
        return
    queue: Queue[_Told[T]] = Queue(_AHEAD)
    over = Event()

    def fill() -> None:
        try:
            for thing in things:
                if over.is_set():
                    return
                queue.put(([thing], None))
            queue.put(([], None))
        except BaseException as error:  # raised again, in the thread that asks
            queue.put(([], error))

    thread = Thread(target=fill, name="ahead", daemon=True)
    thread.start()
    try:
        yield _taken(queue)
    finally:
        over.set()
        while thread.is_alive():
            while not queue.empty():
                queue.get_nowait()  # so that it gets to see that it is over
            thread.join(0.05)


def _taken(queue: Queue[_Told[T]]) -> Iterator[T]:
    while True:
        things, error = queue.get()
        if error is not None:
            raise error
        if not things:
            return
        yield from things
