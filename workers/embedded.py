"""The embedded worker: Celery's worker and beat as threads of this process, with an in-process broker."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery.beat import Service
from celery.worker import WorkController

from mailer import queue
from mailer.settings import Settings
from workers.app import app, leave, use

_STARTED = 10.0  # seconds to wait for the worker to hear bells
_STOPPED = 15.0  # seconds a turn may need to end: one slice and its answers


class Embedded:
    """Worker and beat in this process. ``start`` returns once bells are heard; ``stop`` once all is quiet."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start worker and beat."""
        app.loader.import_default_modules()  # registers the tasks
        use(self._settings)
        queue.choose_broker(app, self._settings)  # the environment may name a Redis
        ready = threading.Event()
        self._worker: Any = WorkController(
            app=app,
            pool_cls="threads",
            concurrency=4,
            hostname="embedded",
            queues="smtp,desk",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
            ready_callback=lambda consumer: ready.set(),
        )
        self._beat: Any = Service(app, max_interval=1, scheduler_cls=app.conf.beat_scheduler)
        self._run(self._worker.start, "worker")
        self._run(lambda: self._beat.start(embedded_process=False), "beat")
        if not ready.wait(_STARTED):
            logging.getLogger(__name__).warning("the worker is slow to start")

    def stop(self) -> None:
        """Finish the turns that run, and stop."""
        self._beat.stop()
        self._worker.stop(exitcode=0)
        for thread in self._threads:
            thread.join(_STOPPED)
        leave()

    def _run(self, target: Any, name: str) -> None:
        thread = threading.Thread(target=target, name=f"mailer-{name}", daemon=True)
        thread.start()
        self._threads.append(thread)
