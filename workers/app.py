"""The Celery application: ``celery -A workers.app worker`` and ``… beat`` in production.

``context`` holds what tasks of one process share. It is made on first use, so after a prefork worker
has forked: no connection crosses a fork.
"""

from __future__ import annotations

import gc
import threading

from mailer import migrations, queue, settings
from mailer.database import Database
from mailer.delivery.send import Sender
from mailer.settings import Settings
from workers.timetable import TIMETABLE

app = queue.connect(settings.load())
app.conf.beat_schedule = TIMETABLE
app.conf.beat_scheduler = "workers.timetable:Steady"
app.conf.include = ["workers.tasks"]


class Context:
    """Settings, database and sender of this process. The database is brought to the current schema."""

    def __init__(self, settings: Settings) -> None:
        """:raises Unreachable: the database does not answer"""
        self.settings = settings
        self.database = Database(settings.database)
        migrations.upgrade(self.database)
        self.sender = Sender(settings, self.database)
        gc.freeze()  # what is loaded by now stays: walking it for garbage would cost every letter a little

    def close(self) -> None:
        """Say goodbye to relays and give back connections."""
        self.sender.close()
        self.database.close()


_context: Context | None = None
_making = threading.Lock()


def context() -> Context:
    """Return this process's context."""
    global _context  # one per process, as Celery's own application is
    with _making:
        if _context is None:
            _context = Context(settings.load())
        return _context


def use(settings: Settings) -> None:
    """Make this process's context from given settings: the embedded worker of ``mailer serve``."""
    global _context
    leave()
    with _making:
        _context = Context(settings)


def leave() -> None:
    """Close this process's context, if it has one; the next task makes another."""
    global _context
    with _making:
        left, _context = _context, None
    if left is not None:
        left.close()
