"""The built-in SMTP listener (RFC 5321, 1870, 2920, 6152, 6531): the one door to aiosmtpd.

Embedded, until a relay is configured, it catches letters for anyone, keeps them in the outbox, and hears what
comes to the bounce domain. Else it is the MX of the bounce domain: it takes signed return paths and leave
addresses only.
A 250 means stored. While the database is away it answers 451, so that the peer tries again: nothing is lost.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from aiosmtpd.smtp import SMTP, Envelope, Session

from mailer.database import Database
from mailer.errors import MailerError
from mailer.feedback import attribution, record
from mailer.feedback.outbox import Outbox
from mailer.settings import Settings

Manners = Callable[[str], str | None]
"""How a host treats an address: None takes the letter, a reply like ``550 5.1.1 No such user`` refuses."""

SIZE_LIMIT = 20 * 1024 * 1024  # octets of one message, announced as SIZE
_LINE_LIMIT = 1024 * 1024  # octets; RFC 5321 allows 1,000, bounces that quote HTML do not care
_IDLE = 300.0  # seconds without a command (RFC 5321 §4.5.3.2.7: at least 5 minutes)
RECIPIENTS = 100  # of one letter (RFC 5321 §4.5.3.1.8: at least 100); each is stored for itself
CONNECTIONS = 200  # at once; each may hold a letter in memory

_REFUSED = "550 5.7.1 This host takes only answers to letters it has sent"
_ENOUGH = "452 4.5.3 Too many recipients, please send the rest in another letter"
_BUSY = b"421 4.3.2 Too many connections, please try again later\r\n"
_LATER = "451 4.3.0 Not stored, please try again later"

_log = logging.getLogger(__name__)
logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd would log addresses and letters (law 9)


class CannotListen(MailerError):
    """The SMTP listener cannot start."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        if error.errno == errno.EADDRINUSE:
            hint = "another server uses that port: stop it, or choose another with MAILER_LISTENER_PORT"
        elif error.errno == errno.EACCES:
            hint = "ports below 1024 need more rights: choose another with MAILER_LISTENER_PORT"
        else:
            hint = f"{error.strerror}: correct MAILER_LISTENER_HOST and MAILER_LISTENER_PORT"
        super().__init__(f"The SMTP listener cannot listen on {host}:{port}, {hint}.")


class Listener:
    """An SMTP server in a thread of its own, from ``start`` to ``stop``.

    ``outbox`` None: letters for strangers are refused whatever the settings say. ``manners`` lets a
    demonstration refuse or defer a reader's address when it is named.
    """

    def __init__(
        self, settings: Settings, database: Database, outbox: Outbox | None, manners: Manners | None = None
    ) -> None:
        self._host, self._port = settings.listener_host, settings.listener_port
        catching = outbox if settings.embedded and not settings.smtp_url else None
        self._handler = _Handler(settings, database, catching, manners or (lambda address: None))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._servers: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on; known after ``start`` when the settings say 0."""
        return self._port

    def start(self) -> None:
        """Listen. When this returns, letters are taken.

        :raises CannotListen: the address cannot be had
        """
        loop = asyncio.new_event_loop()
        try:
            self._servers = loop.run_until_complete(
                loop.create_server(lambda: _Protocol(self._handler, loop), self._host, self._port)
            )
        except OSError as error:
            loop.close()
            raise CannotListen(self._host, self._port, error) from error
        self._port = self._servers.sockets[0].getsockname()[1]
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="smtp-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening. Letters being stored are finished; open connections are closed."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._wind_down(), self._loop).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._loop = self._thread = None

    def serve_forever(self, started: Callable[[int], object]) -> None:
        """Listen until the process is told to stop (SIGTERM, SIGINT); ``started`` is called with the port.

        :raises CannotListen: the address cannot be had
        """
        told = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
        self.start()
        started(self.port)
        told.wait()
        self.stop()

    async def _wind_down(self) -> None:
        if self._servers is not None:
            self._servers.close()
        await asyncio.gather(*self._handler.storing, return_exceptions=True)
        await asyncio.sleep(0.05)  # the replies to what was just stored leave first
        for transport in self._handler.transports:
            transport.close()
        await asyncio.sleep(0.05)  # connections notice; none of their tasks outlives the loop


class _Handler:
    """What aiosmtpd asks: whom to take letters for, and where to put them."""

    def __init__(
        self, settings: Settings, database: Database, outbox: Outbox | None, manners: Manners
    ) -> None:
        self.domain = settings.bounce_domain.lower()
        self.storing: set[asyncio.Future[str]] = set()
        self.transports: set[asyncio.BaseTransport] = set()
        self._keys = settings.keys
        self._database = database
        self._outbox = outbox
        self._manners = manners

    async def handle_EHLO(  # noqa: N802  aiosmtpd's name for it
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Announce PIPELINING: commands are read one after the other from a buffer that nothing flushes."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the recipient or say why not."""
        refusal = _ENOUGH if len(envelope.rcpt_tos) >= RECIPIENTS else self._refusal(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer 250 only when the letter is stored. A connection that breaks meanwhile undoes nothing."""
        storing = asyncio.ensure_future(asyncio.to_thread(self._store, envelope))
        self.storing.add(storing)
        storing.add_done_callback(self.storing.discard)
        return await asyncio.shield(storing)

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours is no reason to lose a letter: the peer tries again."""
        _log.error("fault in an SMTP session: %s", type(error).__name__)
        return _LATER

    def _refusal(self, address: str) -> str | None:
        if self._outbox is None:
            return None if attribution.mailbox(address, self._keys, datetime.now(UTC)) else _REFUSED
        return None if self._is_returned(address) else self._manners(address)

    def _is_returned(self, address: str) -> bool:
        return self._outbox is None or address.rpartition("@")[2].lower() == self.domain

    def _store(self, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        returned = [address for address in envelope.rcpt_tos if self._is_returned(address)]
        caught = [address for address in envelope.rcpt_tos if not self._is_returned(address)]
        now = datetime.now(UTC)
        try:
            if returned:
                self._hear(content, returned, now)
            if caught and self._outbox:  # last: it keeps no letter twice when the peer must try again
                sender = (envelope.mail_from or "").strip("<>")
                self._outbox.record(received_at=now, mail_from=sender, recipients=caught, content=content)
        except Exception as error:  # whatever it was, the letter is not stored and its sender must know
            _log.error("a letter could not be stored: %s", type(error).__name__)
            return _LATER
        return "250 2.0.0 OK: stored"

    def _hear(self, content: bytes, recipients: list[str], now: datetime) -> None:
        with self._database.write() as session:
            for address in recipients:
                record.hear(session, raw=content, envelope_to=address, now=now, keys=self._keys)


class _Protocol(SMTP):
    """One connection."""

    line_length_limit = _LINE_LIMIT
    _turned_away = False

    def __init__(self, handler: _Handler, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            handler,
            data_size_limit=SIZE_LIMIT,
            enable_SMTPUTF8=True,
            hostname=handler.domain,
            ident="mailer",
            timeout=_IDLE,
            loop=loop,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection, so that ``stop`` can close it. One too many is turned away."""
        if len(self.event_handler.transports) >= CONNECTIONS:
            self._turned_away = True
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(_BUSY)
            transport.close()
            return
        self.event_handler.transports.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        if self._turned_away:
            return
        self.event_handler.transports.discard(self.transport)
        super().connection_lost(error)
