"""A broker that is away costs nobody anything: the rows are the truth."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailer import queue
from mailer.bench.servers import NotInstalled, Redis
from mailer.settings import load

_SETTINGS = load(secret="1:a-key-for-tests-only")


@pytest.fixture
def broker() -> Iterator[Redis]:
    """A broker of this test's own, and an application that has spoken with it."""
    try:
        server = Redis()
    except NotInstalled as missing:
        pytest.skip(missing.sentence)
    server.start()
    queue.connect(_SETTINGS.model_copy(update={"redis_url": server.url}))
    queue.ring_now(queue.WORK)
    yield server
    queue.connect(_SETTINGS)
    server.kill()


def test_ringing_at_a_broker_that_is_gone_is_no_error(broker: Redis) -> None:
    """The connection kept from before breaks in the middle of a command; the next cannot be made."""
    broker.kill()
    for _ in range(2):
        queue.ring_now(queue.WORK)
    broker.start()
    queue.ring_now(queue.WORK)
    assert queue.reachable(_SETTINGS)


def test_a_broker_that_is_gone_is_not_reachable(broker: Redis) -> None:
    """Asked for with a connection at hand that has just broken."""
    broker.kill()
    assert not queue.reachable(_SETTINGS)
