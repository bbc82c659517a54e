"""The server: everything ``mailer serve`` runs in one process tree.

Embedded: web app, worker, beat, the listener that catches letters, and who reads mailboxes. With a Redis
configured, the web app alone: workers, beat, listener and readers run as their own services.
"""

from __future__ import annotations

import fcntl
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import uvicorn

from mailer import migrations, queue
from mailer.database import Database, private_folder
from mailer.delivery import sweep
from mailer.delivery.relay import Relay
from mailer.errors import MailerError
from mailer.feedback.boxes.watch import Watcher
from mailer.feedback.listener import Listener
from mailer.feedback.outbox import Outbox
from mailer.feedback.reception import Manners
from mailer.settings import Settings
from mailer.web.app import create_app
from workers.embedded import Embedded


class AlreadyServed(MailerError):
    """Another server runs on this data folder: stop it, or choose another folder with --data."""


class PortTaken(MailerError):
    """The web app's port cannot be had."""

    def __init__(self, host: str, port: int, why: str) -> None:
        self.why = why
        super().__init__(
            f"The web app cannot listen on {host}:{port} ({why}): choose another with --host or --port."
        )


class NoFolder(MailerError):
    """The data folder cannot be used."""

    def __init__(self, data: Path, error: OSError) -> None:
        super().__init__(
            f"The data folder “{data}” cannot be used ({error.strerror}): choose another with --data."
        )


@dataclass
class Server:
    """A server on one data folder, from ``start`` to ``stop``. ``manners``: see ``feedback.reception``."""

    settings: Settings
    manners: Manners | None = None

    def start(self) -> None:
        """Start every part; when it returns, pages are served and letters are taken.

        :raises AlreadyServed: another server holds the data folder
        :raises PortTaken, CannotListen: a port cannot be had
        :raises Unreachable: the database does not answer
        :raises BadRelay: a relay's URL cannot be read
        """
        for url in self.settings.relay_urls:
            Relay.from_url(url)
        with ExitStack() as parts:  # what has started is stopped in reverse, here if a later part fails
            self.database = Database(self.settings.database)
            parts.callback(self.database.close)
            self.database.check()  # before the lock's file is made: a wrong address changes nothing
            parts.enter_context(_lock(self.settings))
            migrations.upgrade(self.database)
            sock = parts.enter_context(bound(self.settings.host, self.settings.port))
            self.settings = self.settings.model_copy(update={"port": sock.getsockname()[1]})
            self.outbox: Outbox | None = None
            if self.settings.embedded:
                self._start_embedded(parts)
            else:
                queue.connect(self.settings)
            self._start_web(parts, sock)
            self._parts = parts.pop_all()

    def _start_embedded(self, parts: ExitStack) -> None:
        self.outbox = Outbox(self.settings.data)
        parts.callback(self.outbox.close)
        listener = Listener(self.settings, self.database, self.outbox, self.manners)
        listener.start()
        parts.callback(listener.stop)
        if not self.settings.smtp_url:  # the listener's port may have been any free one
            self.settings = self.settings.model_copy(update={"listener_port": listener.port})
        with self.database.write() as session:  # other shells may ask before the first sweep
            sweep.announce(session)
        parts.callback(self._retire)
        embedded = Embedded(self.settings)
        embedded.start()
        parts.callback(embedded.stop)
        watcher = Watcher(self.settings, self.database)
        watcher.start()
        parts.callback(watcher.stop)

    def _retire(self) -> None:
        with suppress(MailerError), self.database.write() as session:  # without a database nobody can ask
            sweep.retire(session)

    def _start_web(self, parts: ExitStack, sock: socket.socket) -> None:
        app = create_app(self.settings, self.database, self.outbox)
        web = _Web(web_config(app, self.settings))
        self._thread = threading.Thread(target=web.run, kwargs={"sockets": [sock]}, name="web", daemon=True)
        self._thread.start()
        parts.callback(self._thread.join, 10)
        parts.callback(setattr, web, "should_exit", True)
        web.ready.wait(20)

    @property
    def url(self) -> str:
        """Where the web app is reached."""
        return self.settings.public_url

    def stop(self) -> None:
        """Stop in order: no new pages, then the worker's turn ends, then the listener."""
        self._parts.close()

    def wait(self) -> None:
        """Serve until told to stop (SIGTERM, SIGINT), which raises KeyboardInterrupt in the main thread."""
        try:
            while self._thread.is_alive():
                time.sleep(0.5)  # a join that is interrupted takes the thread for ended: it is not waited for
        except KeyboardInterrupt:
            logging.getLogger(__name__).info("stopping")


def web_config(app: Callable[..., Any], settings: Settings) -> uvicorn.Config:
    """Return how the app is served: no access log (addresses carry tokens), and nobody's word on who asks
    but a trusted proxy's.
    """
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
    )


class _Web(uvicorn.Server):
    """uvicorn in a thread of ours: outside the main one it leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when pages are served."""
        await super().startup(sockets)
        self.ready.set()


def free_port(host: str, wished: int) -> int:
    """Return ``wished`` if it can be had on ``host``, else any free port."""
    try:
        with bound(host, wished):
            return wished
    except PortTaken:
        with bound(host, 0) as found:
            port: int = found.getsockname()[1]
            return port


def _lock(settings: Settings) -> IO[Any]:
    """Hold the data folder until the file is closed."""
    name = "serve.lock" if settings.embedded else f"web-{settings.port}.lock"
    try:
        private_folder(settings.data)
        file = (settings.data / name).open("a+")
    except OSError as error:
        raise NoFolder(settings.data, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise AlreadyServed from error
    return file


def answers(host: str, port: int) -> bool:
    """Tell whether somebody listens there, within 5 seconds."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def bound(host: str, port: int) -> socket.socket:
    """Hold a port that nobody has.

    :raises PortTaken: it cannot be had; the message says why
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise PortTaken(host, port, error.strerror or str(error)) from error
    return sock
