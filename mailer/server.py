"""The server: everything ``mailer serve`` runs in one process tree.

Embedded: web app, worker, beat and the listener that catches letters. With a Redis configured, the web app
alone: workers, beat and listener run as their own services.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
from dataclasses import dataclass
from typing import IO, Any

import uvicorn

from mailer import migrations, queue
from mailer.database import Database
from mailer.errors import MailerError
from mailer.feedback.listener import Listener, Manners
from mailer.feedback.outbox import Outbox
from mailer.settings import Settings
from mailer.web.app import create_app
from workers.embedded import Embedded


class AlreadyServed(MailerError):
    """Another server runs on this data folder: stop it, or choose another folder with --data."""


class PortTaken(MailerError):
    """The web app's port cannot be had."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"The web app cannot listen on {host}:{port} ({why}): choose another with --port.")


@dataclass
class Server:
    """A server on one data folder, from ``start`` to ``stop``. ``manners``: see ``feedback.listener``."""

    settings: Settings
    manners: Manners | None = None

    def start(self) -> None:
        """Start every part; when it returns, pages are served and letters are taken.

        :raises AlreadyServed: another server holds the data folder
        :raises PortTaken, CannotListen: a port cannot be had
        :raises Unreachable: the database does not answer
        """
        self._lock = _lock(self.settings)
        try:
            self.database = Database(self.settings.database)
            migrations.upgrade(self.database)
            self._socket = _bound(self.settings.host, self.settings.port)
        except BaseException:
            self._lock.close()
            raise
        self.outbox: Outbox | None = None
        self._listener: Listener | None = None
        self._embedded: Embedded | None = None
        try:
            if self.settings.embedded:
                self._start_embedded()
            else:
                queue.connect(self.settings)
        except BaseException:
            self._socket.close()
            self.database.close()
            self._lock.close()
            raise
        self._start_web()

    def _start_embedded(self) -> None:
        self.outbox = Outbox(self.settings.data)
        self._listener = Listener(self.settings, self.database, self.outbox, self.manners)
        self._listener.start()
        if not self.settings.smtp_url:  # the listener's port may have been any free one
            self.settings = self.settings.model_copy(update={"listener_port": self._listener.port})
        self._embedded = Embedded(self.settings)
        self._embedded.start()

    def _start_web(self) -> None:
        app = create_app(self.settings, self.database, self.outbox)
        self._web = _Web(
            uvicorn.Config(
                app, log_level="warning", access_log=False, proxy_headers=False, server_header=False
            )
        )
        self._thread = threading.Thread(
            target=self._web.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()
        self._web.ready.wait(20)

    @property
    def url(self) -> str:
        """Where the web app is reached."""
        return self.settings.public_url

    def stop(self) -> None:
        """Stop in order: no new pages, then the worker's turn ends, then the listener."""
        self._web.should_exit = True
        self._thread.join(10)
        if self._embedded is not None:
            self._embedded.stop()
        if self._listener is not None:
            self._listener.stop()
        if self.outbox is not None:
            self.outbox.close()
        self.database.close()
        self._lock.close()

    def wait(self) -> None:
        """Serve until told to stop (SIGTERM, SIGINT), which raises KeyboardInterrupt in the main thread."""
        try:
            while self._thread.is_alive():
                self._thread.join(1)
        except KeyboardInterrupt:
            logging.getLogger(__name__).info("stopping")


class _Web(uvicorn.Server):
    """uvicorn in a thread: signals stay with the main thread."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when pages are served."""
        await super().startup(sockets)
        self.ready.set()

    def install_signal_handlers(self) -> None:
        """Leave signals to whoever started the server."""


def free_port(host: str, wished: int) -> int:
    """Return ``wished`` if it can be had on ``host``, else any free port."""
    try:
        with _bound(host, wished):
            return wished
    except PortTaken:
        with _bound(host, 0) as found:
            port: int = found.getsockname()[1]
            return port


def _lock(settings: Settings) -> IO[Any]:
    settings.data.mkdir(parents=True, exist_ok=True)
    name = "serve.lock" if settings.embedded else f"web-{settings.port}.lock"
    file = (settings.data / name).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise AlreadyServed from error
    return file


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise PortTaken(host, port, os.strerror(error.errno or 0)) from error
    return sock
