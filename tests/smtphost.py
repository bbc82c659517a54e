"""A real SMTP server on loopback that does as it is told: the far end of the wire in tests.

It offers what it is made to offer, answers as scripted, drops connections at any step, and keeps a record
of every letter it took. One thread per connection.

    with SmtpHost() as host:
        host.answers_rcpt("550 5.1.1 No such user", address="ann@example.org")
        ... send to host.url ...
        assert [letter.recipient for letter in host.letters] == [...]
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Received:
    """A letter this host took, as it came over the wire (dots undone)."""

    sender: str
    recipient: str
    body: bytes
    options: str  # what followed MAIL FROM:<…>
    tls: bool
    user: str


@dataclass
class _Rule:
    """What to do when a step is reached. ``times`` None: always."""

    step: str
    reply: str | None  # None: drop the connection
    address: str | None = None
    times: int | None = None
    after: int = 0  # let so many pass first


class Dropped(Exception):
    """The connection ends here."""


@dataclass
class SmtpHost:
    """Steps are CONNECT, EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, DATA, BODY, RSET, QUIT, and two to drop at.

    BODY is the answer to a whole body; HALF is a body of which a part has come; KEEP is a letter taken
    whose answer is never given.
    """

    offers: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
    starttls: bool = False  # offered
    implicit_tls: bool = False
    certificate: Path | None = None  # PEM with key, see ``self_signed``
    user: str = ""  # with a password AUTH is offered and required
    password: str = ""
    auth: str = "PLAIN LOGIN"
    delay: float = 0.0  # seconds before each batch of replies
    address: str = "127.0.0.1"
    port: int = 0
    letters: list[Received] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)  # as they came, all connections
    reads: list[bytes] = field(default_factory=list)  # what each recv() brought
    connections: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._guests: list[_Guest] = []
        self.letting_go = threading.Event()

    # -- scripting --

    def answers(self, step: str, reply: str, *, address: str | None = None, times: int | None = None) -> None:
        """Answer a step so. ``address``: only for that recipient (RCPT, and the steps after it)."""
        self._rules.append(_Rule(step, reply, address, times))

    def answers_rcpt(self, reply: str, *, address: str | None = None, times: int | None = None) -> None:
        """Answer RCPT so, for one address or for all."""
        self.answers("RCPT", reply, address=address, times=times)

    def drops(
        self, step: str, *, times: int | None = None, after: int = 0, address: str | None = None
    ) -> None:
        """Close the connection at a step, in place of answering; a letter dropped at BODY is not taken."""
        self._rules.append(_Rule(step, None, address, times, after))

    def forgets(self) -> None:
        """Drop every rule."""
        self._rules.clear()

    def _rule(self, step: str, address: str | None) -> _Rule | None:
        with self._lock:
            for rule in self._rules:
                if rule.step != step or rule.address not in (None, address) or rule.times == 0:
                    continue
                if rule.after > 0:
                    rule.after -= 1
                    continue
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    def reply(self, step: str, usual: str, address: str | None = None) -> str:
        """Return the scripted answer or the usual one, or drop."""
        rule = self._rule(step, address)
        if rule is None:
            return usual
        if rule.reply is None:
            raise Dropped
        return rule.reply

    # -- life --

    @property
    def url(self) -> str:
        """How a relay is told to come here."""
        return self.url_with()

    def url_with(self, **options: object) -> str:
        """The URL with options, e.g. ``connections=1``."""
        who = f"{self.user}:{self.password}@" if self.user else ""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        scheme = "smtps" if self.implicit_tls else "smtp"
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{scheme}://{who}{host}:{self.port}" + (f"?{query}" if query else "")

    def __enter__(self) -> SmtpHost:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self._server = socket.create_server((self.address, self.port), family=family)
        self.port = self._server.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.letting_go.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.hangs_up()
        for thread in self._threads:
            thread.join(5)

    def served(self) -> list[int]:
        """How many letters each connection has brought."""
        return [guest.brought for guest in self._guests]

    def hangs_up(self) -> None:
        """Close every open connection now."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open.add(sock)
                    self.connections += 1
                    self.most_at_once = max(self.most_at_once, len(self._open))
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        guest = _Guest(self, sock)
        self._guests.append(guest)
        try:
            with contextlib.suppress(Dropped, OSError, ssl.SSLError):
                guest.serve()
        finally:
            self.lets_go(sock)
            guest.close()

    def lets_go(self, sock: socket.socket) -> None:
        """Count a connection no more."""
        with self._lock:
            self._open.discard(sock)


class _Guest:
    """One connection to the host."""

    def __init__(self, host: SmtpHost, sock: socket.socket) -> None:
        self.host = host
        self.sock = sock
        self.buffer = b""
        self.replies: list[str] = []
        self.user = ""
        self.tls = False
        self.said_goodbye = False
        self.brought = 0
        self._reset()

    def _reset(self) -> None:
        self.sender: str | None = None
        self.recipient: str | None = None
        self.options = ""
        self.chunks = b""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()

    def serve(self) -> None:
        if self.host.implicit_tls:
            self._secure()
        self.say(self.host.reply("CONNECT", "220 host.test ESMTP"))
        while not self.said_goodbye:
            self.obey(self.line())

    def _secure(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert self.host.certificate
        context.load_cert_chain(self.host.certificate)
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.tls = True
        self.user = ""

    # -- bytes --

    def _more(self) -> None:
        """Send the replies that wait and read on, as a pipelining server does."""
        if self.replies:
            if self.host.delay and self.host.letting_go.wait(self.host.delay):
                raise Dropped
            self.sock.sendall("".join(self.replies).encode())
            self.replies.clear()
        data = self.sock.recv(65536)
        if not data:
            raise Dropped
        self.host.reads.append(data)
        self.buffer += data

    def line(self) -> str:
        while b"\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode()

    def take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._half()
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def _dotted(self) -> bytes:
        while not self.buffer.startswith(b".\r\n") and b"\r\n.\r\n" not in self.buffer:
            self._half()
            self._more()
        if self.buffer.startswith(b".\r\n"):
            self.buffer = self.buffer[3:]
            return b""
        body, self.buffer = self.buffer.split(b"\r\n.\r\n", 1)
        lines = (body + b"\r\n").split(b"\r\n")
        return b"\r\n".join(line.removeprefix(b".") for line in lines)

    def _half(self) -> None:
        if self.buffer and (reply := self.host.reply("HALF", "", self.recipient)):
            self.say(reply)
            self._end()

    def say(self, reply: str) -> None:
        """Queue a reply; 421 ends the connection (RFC 5321 §3.8). SILENCE says nothing at all."""
        if reply == "SILENCE":
            self.host.letting_go.wait(20)
            raise Dropped
        self.replies.append(reply.replace("\n", "\r\n") + "\r\n")
        if reply.startswith("421"):
            self._end()

    def _end(self) -> None:
        self.sock.sendall("".join(self.replies).encode())
        time.sleep(0.01)
        raise Dropped

    # -- commands --

    def obey(self, line: str) -> None:
        self.host.commands.append(line)
        verb, _, rest = line.partition(" ")
        if verb in ("MAIL", "RCPT", "DATA", "BDAT") and self.host.user and not self.user:
            return self.say("530 5.7.0 Authentication required")
        handler: dict[str, Callable[[str], None]] = {
            "EHLO": self.ehlo, "HELO": self.helo, "STARTTLS": self.start_tls, "AUTH": self.sign_in,
            "MAIL": self.mail, "RCPT": self.rcpt, "DATA": self.data, "BDAT": self.bdat, "RSET": self.rset,
            "QUIT": self.quit,
        }  # fmt: skip
        return handler.get(verb.upper(), lambda _: self.say("500 5.5.2 What?"))(rest)

    def ehlo(self, _: str) -> None:
        offers = list(self.host.offers)
        if self.host.starttls and not self.tls:
            offers.append("STARTTLS")
        if self.host.user:
            offers.append(f"AUTH {self.host.auth}")
        usual = "\n".join(f"250-{word}" for word in ("host.test", *offers[:-1]))
        self.say(self.host.reply("EHLO", f"{usual}\n250 {offers[-1]}" if offers else "250 host.test"))

    def helo(self, _: str) -> None:
        self.say(self.host.reply("HELO", "250 host.test"))

    def start_tls(self, _: str) -> None:
        reply = self.host.reply("STARTTLS", "220 2.0.0 Go ahead")
        self.say(reply)
        self.sock.sendall("".join(self.replies).encode())
        self.replies.clear()
        if reply.startswith("220"):
            self.buffer = b""
            self._secure()

    def sign_in(self, rest: str) -> None:
        how, _, token = rest.partition(" ")
        if how == "PLAIN":
            _, user, password = base64.b64decode(token).decode().split("\0")
        elif how == "XOAUTH2":
            user, password = self._bearer(base64.b64decode(token).decode())
        else:
            user, password = self._ask("334 VXNlcm5hbWU6"), self._ask("334 UGFzc3dvcmQ6")
        good = (user, password) == (self.host.user, self.host.password)
        self.user = user if good else ""
        self.say(self.host.reply("AUTH", "235 2.7.0 Welcome" if good else "535 5.7.8 Wrong password"))

    def _bearer(self, words: str) -> tuple[str, str]:
        """Google's XOAUTH2; a bad token is answered with the reason, and refused after an empty line."""
        user, bearer, *rest = words.split("\1")
        assert rest == ["", ""]
        token = bearer.removeprefix("auth=Bearer ")
        if token != self.host.password:
            assert self._ask("334 " + base64.b64encode(b'{"status":"400","schemes":"Bearer"}').decode()) == ""
        return user.removeprefix("user="), token

    def _ask(self, prompt: str) -> str:
        self.say(prompt)
        return base64.b64decode(self.line()).decode()

    def mail(self, rest: str) -> None:
        path, _, options = rest.removeprefix("FROM:<").partition(">")
        reply = self.host.reply("MAIL", "250 2.1.0 Sender ok")
        if reply.startswith("250"):
            self._reset()
            self.sender, self.options = path, options.strip()
        self.say(reply)

    def rcpt(self, rest: str) -> None:
        address = rest.removeprefix("TO:<").partition(">")[0]
        if self.sender is None:
            return self.say("503 5.5.1 MAIL first")
        reply = self.host.reply("RCPT", "250 2.1.5 Recipient ok", address)
        if reply.startswith("25"):
            self.recipient = address
        return self.say(reply)

    def data(self, _: str) -> None:
        if self.recipient is None:
            return self.say(self.host.reply("DATA", "503 5.5.1 RCPT first"))
        reply = self.host.reply("DATA", "354 Go ahead", self.recipient)
        self.say(reply)
        if reply.startswith("354"):
            self._taken(self._dotted())
        return None

    def bdat(self, rest: str) -> None:
        size, _, last = rest.partition(" ")
        chunk = self.take(int(size))
        if self.recipient is None:
            return self.say("503 5.5.1 RCPT first")
        self.chunks += chunk
        return self._taken(self.chunks) if last == "LAST" else self.say("250 2.0.0 Chunk ok")

    def _taken(self, body: bytes) -> None:
        """The body is whole: take the letter or not."""
        usual = f"250 2.0.0 Queued as {len(self.host.letters)}"
        reply = self.host.reply("BODY", usual, self.recipient)
        if reply.startswith("250") and self.recipient is not None:
            letter = Received(self.sender or "", self.recipient, body, self.options, self.tls, self.user)
            self.host.letters.append(letter)
            self.brought += 1
        recipient = self.recipient
        self._reset()
        self.host.reply("KEEP", "", recipient)
        self.say(reply)

    def rset(self, _: str) -> None:
        self._reset()
        self.say(self.host.reply("RSET", "250 2.0.0 Reset"))

    def quit(self, _: str) -> None:
        self.host.lets_go(self.sock)  # who hears 221 may be back on another before this thread has ended
        self.say(self.host.reply("QUIT", "221 2.0.0 Bye"))
        self.sock.sendall("".join(self.replies).encode())
        self.said_goodbye = True


def self_signed(folder: Path, *, host: str = "localhost") -> Path:
    """Make a certificate with its key in one PEM file, its own authority; for 127.0.0.1 too if localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "host.test")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if host == "localhost":
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{host}.pem"
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path
