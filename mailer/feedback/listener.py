"""The built-in SMTP and LMTP listener: the one door to aiosmtpd.

RFC 5321, 1870 (SIZE), 2920 (PIPELINING), 6152 (8BITMIME), 6531 (SMTPUTF8), 3207 (STARTTLS), 2033 (LMTP).

Embedded, until a relay is configured, it catches letters for anyone, keeps them in the outbox, and hears what
comes to the bounce domain. Else it is the MX of the bounce domain, or a mail server's transport for it: it
takes signed return paths and leave addresses only.
A 250 means stored. While the database is away it answers 451, so that the peer tries again: nothing is lost.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from mailer.database import Database
from mailer.errors import MailerError
from mailer.feedback.outbox import Outbox
from mailer.feedback.reception import LATER, Manners, Reception
from mailer.settings import Settings

SIZE_LIMIT = 20 * 1024 * 1024  # octets of one message, announced as SIZE
_LINE_LIMIT = 1024 * 1024  # octets; RFC 5321 allows 1,000, bounces that quote HTML do not care
_IDLE = 300.0  # seconds without a command (RFC 5321 §4.5.3.2.7: at least 5 minutes)
RECIPIENTS = 100  # of one letter (RFC 5321 §4.5.3.1.8: at least 100); each is stored for itself
CONNECTIONS = 200  # at once; each may hold a letter in memory
PEER_CONNECTIONS = 100  # of them from one address: a proxy or a mail server may bring everybody's mail
PATIENCE = 20  # recipients refused on one connection before each answer takes a second longer
_TARRY = 10.0  # seconds at most

_ENOUGH = "452 4.5.3 Too many recipients, please send the rest in another letter"
_BUSY = b"421 4.3.2 Too many connections, please try again later\r\n"

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


class BadCertificate(MailerError):
    """The listener's certificate cannot be used."""

    def __init__(self, file: Path, error: OSError) -> None:
        why = getattr(error, "reason", None) or error.strerror or "it is no PEM file"
        super().__init__(
            f"The certificate {file} cannot be used ({why}): put certificate and key in one PEM file and"
            " name it in MAILER_LISTENER_CERTIFICATE."
        )


class Listener:
    """An SMTP server in a thread of its own, from ``start`` to ``stop``.

    ``outbox`` None: letters for strangers are refused whatever the settings say. ``manners`` lets a
    demonstration refuse or defer a reader's address when it is named.
    """

    def __init__(
        self, settings: Settings, database: Database, outbox: Outbox | None, manners: Manners | None = None
    ) -> None:
        self._host, self._port = settings.listener_host, settings.listener_port
        self._lmtp_port = settings.lmtp_port
        catching = outbox if settings.embedded and not settings.smtp_url else None
        reception = Reception(settings, database, catching, manners or (lambda address: None))
        self._handler = _Handler(settings, reception)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._servers: list[asyncio.Server] = []

    @property
    def port(self) -> int:
        """The port it listens on; known after ``start`` when the settings say 0."""
        return self._port

    @property
    def lmtp_port(self) -> int | None:
        """The port on which it speaks LMTP; None: it does not."""
        return self._lmtp_port

    def start(self) -> None:
        """Listen. When this returns, letters are taken.

        :raises CannotListen: an address cannot be had
        :raises BadCertificate: the settings name one that cannot be read
        """
        self._handler.certificate.load()
        loop = asyncio.new_event_loop()
        try:
            self._port = self._listen(loop, _Protocol, self._port)
            if self._lmtp_port is not None:
                self._lmtp_port = self._listen(loop, _Lmtp, self._lmtp_port)
        except CannotListen:
            for server in self._servers:
                server.close()
            loop.close()
            raise
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="smtp-listener", daemon=True)
        self._thread.start()

    def _listen(self, loop: asyncio.AbstractEventLoop, protocol: type[_Protocol], port: int) -> int:
        """Listen on a port, or on any for 0, and return it."""
        try:
            server = loop.run_until_complete(
                loop.create_server(lambda: protocol(self._handler, loop), self._host, port)
            )
        except OSError as error:
            raise CannotListen(self._host, port, error) from error
        self._servers.append(server)
        found: int = server.sockets[0].getsockname()[1]
        return found

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
        for server in self._servers:
            server.close()
        await asyncio.gather(*self._handler.storing, return_exceptions=True)
        await asyncio.sleep(0.05)  # the replies to what was just stored leave first
        for transport in self._handler.transports:
            transport.close()
        await asyncio.sleep(0.05)  # connections notice; none of their tasks outlives the loop


class _Certificate:
    """What STARTTLS is offered with; read anew when its file changes, as it does every few weeks."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._read: tuple[float, int] | None = None
        self._context: ssl.SSLContext | None = None

    def load(self) -> None:
        """:raises BadCertificate:"""
        if self._file is None:
            return
        try:
            told = self._file.stat()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._file)
        except OSError as error:  # ssl.SSLError is one
            raise BadCertificate(self._file, error) from error
        self._read, self._context = (told.st_mtime, told.st_size), context

    def context(self) -> ssl.SSLContext | None:
        """Return what to offer now; one that cannot be read does not take the place of the one before."""
        if self._file is not None:
            try:
                told = self._file.stat()
                if self._read != (told.st_mtime, told.st_size):
                    self.load()
            except (OSError, BadCertificate) as error:
                _log.error("the listener's certificate cannot be read: %s", type(error).__name__)
        return self._context


class _Handler:
    """What aiosmtpd asks: whom to take letters for, and where to put them."""

    def __init__(self, settings: Settings, reception: Reception) -> None:
        self.domain = settings.bounce_domain.lower()
        self.certificate = _Certificate(settings.listener_certificate)
        self.storing: set[asyncio.Future[str]] = set()
        self.transports: set[asyncio.BaseTransport] = set()
        self.peers: Counter[str] = Counter()
        self._reception = reception

    async def handle_EHLO(  # noqa: N802  aiosmtpd's name for it
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Announce PIPELINING: commands are read one after the other from a buffer that nothing flushes."""
        session.host_name = hostname
        kept = [line for line in responses if not line.startswith("250-AUTH")]  # nobody signs in here
        return [*kept[:-1], "250-PIPELINING", kept[-1]]

    async def handle_RCPT(  # noqa: N802
        self, server: _Protocol, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the recipient or say why not; who asks for one stranger after the other waits for it."""
        refusal = _ENOUGH if len(envelope.rcpt_tos) >= RECIPIENTS else self._reception.refusal(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
            return "250 2.1.5 OK"
        server.refused += refusal.startswith("5")
        await asyncio.sleep(min(_TARRY, max(0.0, server.refused - PATIENCE)))
        return refusal

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer 250 only when the letter is stored. A connection that breaks meanwhile undoes nothing."""
        store = self._store_for_each if isinstance(server, LMTP) else self._store
        storing = asyncio.ensure_future(asyncio.to_thread(store, envelope))
        self.storing.add(storing)
        storing.add_done_callback(self.storing.discard)
        return await asyncio.shield(storing)

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours is no reason to lose a letter: the peer tries again."""
        _log.error("fault in an SMTP session: %s", type(error).__name__)
        return LATER

    def _store(self, envelope: Envelope) -> str:
        return self._stored(envelope, envelope.rcpt_tos)

    def _store_for_each(self, envelope: Envelope) -> str:
        """Return one reply for each recipient (RFC 2033 §4.2): what one has got need not come again."""
        return "\r\n".join(self._stored(envelope, [address]) for address in envelope.rcpt_tos)

    def _stored(self, envelope: Envelope, recipients: list[str]) -> str:
        sender = (envelope.mail_from or "").strip("<>")
        return self._reception.store(envelope.original_content or b"", sender, recipients)


class _Protocol(SMTP):
    """One connection."""

    line_length_limit = _LINE_LIMIT
    refused = 0  # recipients

    def __init__(self, handler: _Handler, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            handler,
            data_size_limit=SIZE_LIMIT,
            enable_SMTPUTF8=True,
            hostname=handler.domain,
            ident="mailer",
            tls_context=handler.certificate.context(),
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            timeout=_IDLE,
            loop=loop,
        )
        self._counted: asyncio.BaseTransport | None = None
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection, so that ``stop`` can close it. One too many is turned away.

        With STARTTLS the same connection is made once more, inside TLS.
        """
        if self._counted is None and not self._admit(transport):
            return
        super().connection_made(transport)

    def _admit(self, transport: asyncio.BaseTransport) -> bool:
        handler = self.event_handler
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        if len(handler.transports) >= CONNECTIONS or handler.peers[self._peer] >= PEER_CONNECTIONS:
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(_BUSY)
            transport.close()
            return False
        self._counted = transport
        handler.transports.add(transport)
        handler.peers[self._peer] += 1
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        if self._counted is None:
            return
        handler = self.event_handler
        if self._counted in handler.transports:
            handler.transports.discard(self._counted)
            handler.peers[self._peer] -= 1
            handler.peers = +handler.peers  # forgets peers that have no connection
        super().connection_lost(error)


class _Lmtp(_Protocol, LMTP):
    """One connection of a mail server that hands over by LMTP."""

    _due = 0  # replies that the body read just now is answered with

    async def push(self, status: str | bytes) -> None:
        """Answer; a body is answered once for each recipient (RFC 2033 §4.2), whatever the answer."""
        text = status.decode() if isinstance(status, bytes) else status
        if text.startswith("354"):
            self._due = len(self.envelope.rcpt_tos) if self.envelope else 0
        elif self._due:
            due, self._due = self._due, 0
            text = text if text.count("\r\n") == due - 1 else "\r\n".join([text] * due)
        await super().push(text)
