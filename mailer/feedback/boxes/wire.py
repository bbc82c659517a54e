"""The wire to a mailbox's server: lines and octets over a socket, TLS verified by default. The one door.

Whatever a server sends, no more than ``LINE_LIMIT`` octets of a line and what is asked for of a body are
held; whatever it does not send, nobody waits longer than ``ANSWER_WITHIN``.
"""

from __future__ import annotations

import select
import socket
import ssl

from mailer.feedback.boxes.account import Account
from mailer.feedback.boxes.trouble import MailboxTrouble

CONNECT_WITHIN = 30.0  # seconds
ANSWER_WITHIN = 120.0  # seconds; searching a large folder takes a while
LINE_LIMIT = 32 * 1024 * 1024  # octets: some bounces quote a whole letter in one line
_CHUNK = 65_536


class Wire:
    """One connection. Every trouble is a ``MailboxTrouble``."""

    def __init__(self, account: Account) -> None:
        """Connect; with TLS if the account says so.

        :raises MailboxTrouble: it cannot be reached, or its certificate cannot be trusted
        """
        self._account = account
        self._buffer = bytearray()
        try:
            self._sock = socket.create_connection((account.host, account.port), CONNECT_WITHIN)
        except OSError as error:
            raise MailboxTrouble(
                "The mailbox server {server} cannot be reached ({why}): check host and port in its URL;"
                " it is asked again soon.",
                server=account.name,
                why=_reason(error),
            ) from error
        self.secure = False
        if account.tls:
            self.start_tls()
        self._sock.settimeout(ANSWER_WITHIN)

    def start_tls(self) -> None:
        """Speak TLS from here on. What was received before and not read is forgotten: it was not secured.

        :raises MailboxTrouble: the certificate cannot be trusted, or TLS fails
        """
        self._buffer.clear()
        self._sock.settimeout(CONNECT_WITHIN)
        try:
            self._sock = _trust(self._account).wrap_socket(self._sock, server_hostname=self._account.host)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise MailboxTrouble(
                "The certificate of {server} cannot be trusted ({why}): correct the host in the mailbox's"
                " URL, or add ca=FILE to it if the server has an authority of its own.",
                lasting=True,
                server=self._account.name,
                why=error.verify_message,
            ) from error
        except OSError as error:
            self.close()
            raise MailboxTrouble(
                "TLS with {server} fails ({why}): check scheme and port of the mailbox's URL.",
                server=self._account.name,
                why=_reason(error),
            ) from error
        self._sock.settimeout(ANSWER_WITHIN)
        self.secure = True

    def send(self, octets: bytes) -> None:
        """:raises MailboxTrouble: the connection is gone"""
        try:
            self._sock.sendall(octets)
        except OSError as error:
            raise self._broken(error) from error

    def line(self) -> bytes:
        """Return the next line without its end.

        :raises MailboxTrouble: the connection is gone, or the line has no end
        """
        looked = 0
        while (end := self._buffer.find(b"\n", looked)) < 0:
            looked = len(self._buffer)
            if looked > LINE_LIMIT:
                raise self._broken(ValueError("a line without end"))
            self._fill()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def octets(self, count: int, keep: int) -> bytes:
        """Read ``count`` octets and return the first ``keep`` of them.

        :raises MailboxTrouble: the connection is gone
        """
        kept = bytearray()
        while count:
            if not self._buffer:
                self._fill()
            taken = min(count, len(self._buffer))
            kept += self._buffer[: min(taken, max(0, keep - len(kept)))]
            del self._buffer[:taken]
            count -= taken
        return bytes(kept)

    def readable(self, seconds: float) -> bool:
        """Wait up to so long until something has come.

        :raises MailboxTrouble: the connection is gone
        """
        if self._buffer:
            return True
        pending = isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()
        if not pending and not _ready(self._sock, seconds):
            return False
        self._sock.setblocking(False)  # TLS may have come that holds no word for us
        try:
            self._fill()
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        finally:
            self._sock.settimeout(ANSWER_WITHIN)
        return True

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def _fill(self) -> None:
        try:
            received = self._sock.recv(_CHUNK)
        except (ssl.SSLWantReadError, BlockingIOError):
            raise
        except OSError as error:
            raise self._broken(error) from error
        if not received:
            raise self._broken(ConnectionError("it hung up"))
        self._buffer += received

    def _broken(self, error: Exception) -> MailboxTrouble:
        return MailboxTrouble(
            "The connection to the mailbox server {server} broke off ({why}): it is asked again soon.",
            server=self._account.name,
            why=_reason(error),
        )


def _ready(sock: socket.socket, seconds: float) -> bool:
    poll = select.poll()  # unlike select(), it takes any number of connections
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _trust(account: Account) -> ssl.SSLContext:
    """The system's authorities or the account's own; nobody's proof is asked if the account says so.

    :raises MailboxTrouble: the file of authorities cannot be read
    """
    try:
        context = ssl.create_default_context(cafile=account.ca or None)
    except OSError as error:
        raise MailboxTrouble(
            "The file of certificates {file} cannot be read ({why}): correct ca= in the mailbox's URL.",
            lasting=True,
            file=account.ca,
            why=_reason(error),
        ) from error
    if not account.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
