"""The Celery application: ``celery -A workers.app worker`` and ``… beat`` in production.

``context`` holds what tasks of one process share. It is made on first use, so after a prefork worker
has forked: no connection crosses a fork.
"""

from __future__ import annotations

import threading
from functools import cached_property

from mailer import migrations, queue, settings
from mailer.database import Database
from mailer.delivery.send import Sender
from mailer.settings import Settings
from workers.timetable import TIMETABLE

app = queue.connect(settings.load())
app.conf.beat_schedule = TIMETABLE
app.conf.include = ["workers.tasks"]


class Context:
    """Settings, database and sender of this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()

    @cached_property
    def database(self) -> Database:
        """The database, brought to the current schema."""
        database = Database(self.settings.database)
        migrations.upgrade(database)
        return database

    @cached_property
    def sender(self) -> Sender:
        """The one sender of this process: its journal and its kept connections."""
        return Sender(self.settings, self.database)

    def close(self) -> None:
        """Say goodbye to relays and give back connections."""
        for name in ("sender", "database"):
            if name in self.__dict__:
                getattr(self, name).close()
                del self.__dict__[name]


_context: Context | None = None
_making = threading.Lock()


def context() -> Context:
    """Return this process's context."""
    global _context  # one per process, as Celery's own application is
    with _making:
        if _context is None:
            _context = Context(settings.load())
        return _context


def use(settings: Settings) -> Context:
    """Make this process's context from given settings: the embedded worker of ``mailer serve``."""
    global _context
    with _making:
        if _context is not None:
            _context.close()
        _context = Context(settings)
        return _context
