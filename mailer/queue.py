"""The queue: doorbells. A task says only that work waits; the rows say what.

The one door to Celery. Embedded, the broker is in the process and hears only its own process; production
uses Redis. Losing the broker loses nothing: the timetable's sweep rings again while work is due.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy.orm import Session

from mailer.database import after_commit
from mailer.settings import Settings

WORK = "delivery.work"  # some batch is due
APPLY = "feedback.apply"  # some event waits to be applied
CHANGE = "audience.change"  # some bulk change waits to be made
IMPORT = "audience.import"  # some file of people waits to be checked or taken in
INVITE = "delivery.invite"  # people who came with a file wait to be asked
PASS_ON = "feedback.pass_on"  # noqa: S105  some reader's answer waits to be passed on

SEND_QUEUE = "smtp"
DESK_QUEUE = "desk"
_QUEUE_OF = {WORK: SEND_QUEUE}

ENOUGH = 2  # bells that wait: whom they wake wakes the next while more is due, so more would only pile up

TROUBLE = (OperationalError, OSError, RedisError)  # a kept connection that breaks is Redis' own error

_log = logging.getLogger(__name__)
_app: Celery | None = None


def connect(settings: Settings) -> Celery:
    """Make this process's Celery application; ``ring`` uses it from now on."""
    global _app  # one broker connection per process, as Celery itself holds it
    app = Celery("mailer", set_as_current=True)
    app.set_default()  # else threads of a pool would ring the default AMQP broker and lose the bell
    app.conf.update(
        task_acks_late=False,  # the lease in SQL is what is retried; late acks run tasks twice
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=DESK_QUEUE,
        task_queues=[Queue(DESK_QUEUE), Queue(SEND_QUEUE)],
        task_routes={name: {"queue": queue} for name, queue in _QUEUE_OF.items()},
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=5,
        enable_utc=True,
    )
    choose_broker(app, settings)
    _app = app
    return app


def choose_broker(app: Celery, settings: Settings) -> None:
    """Have ``app`` use the broker in this process, or the configured Redis, each as it works best."""
    app.conf.update(
        broker_url=settings.redis_url or "memory://localhost/",
        worker_prefetch_multiplier=16 if settings.embedded else 1,
        broker_transport_options={"polling_interval": 0.05} if settings.embedded else _REDIS_OPTIONS,
    )


_REDIS_OPTIONS = {
    "visibility_timeout": 3600,  # seconds
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
    # a broker out of reach is told at once: the rows are the truth, and the sweep rings again
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
}


def ring(session: Session, bell: str) -> None:
    """Ring ``bell`` once this transaction is safe; several rings of one transaction are one."""
    rung: set[str] = session.info.setdefault("rung", set())
    if bell not in rung:
        rung.add(bell)
        after_commit(session, lambda: ring_now(bell))


def ring_now(bell: str) -> None:
    """Ring at once, unless enough bells wait already. A broker out of reach is no error: the sweep rings."""
    if _app is None:
        return  # a shell beside the server: the server's sweep will see the rows
    try:
        if not crowded(_app, bell):
            _app.send_task(bell, retry=False)  # it never expires: a worker's clock may be ahead of ours
    except TROUBLE as error:
        _log.warning("broker out of reach, the sweep will ring again: %s", type(error).__name__)


def crowded(app: Celery, bell: str) -> bool:
    """Tell whether enough bells wait, where this one would, that no worker has taken yet."""
    with app.connection_or_acquire() as connection:
        declared = connection.default_channel.queue_declare(_QUEUE_OF.get(bell, DESK_QUEUE))
        return bool(declared.message_count >= ENOUGH)


def reachable(settings: Settings) -> bool:
    """Tell whether the broker answers within 5 seconds."""
    app = _app or connect(settings)
    connection: Any = app.connection_for_write()
    try:
        connection.ensure_connection(max_retries=1, timeout=5)
    except TROUBLE:
        return False
    finally:
        connection.release()
    return True
