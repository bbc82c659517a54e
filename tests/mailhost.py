"""Real IMAP and POP3 servers on loopback that do as they are told: whose mailboxes the tests read.

``ImapHost`` speaks as much of IMAP4rev1 as a reader needs, with the extensions it is made to offer: IDLE, ID,
MOVE, UIDPLUS. ``Pop3Host`` speaks POP3. One thread per connection; mail may be put into a folder at any time;
a rule answers or drops a command. What was said is kept in ``commands``.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PASSWORD = "hush-hush"
USER = "desk@example.org"


class Dropped(Exception):
    """The connection ends here."""


@dataclass
class Stored:
    """A mail in a folder."""

    uid: int
    raw: bytes
    flags: set[str] = field(default_factory=set)


class Talk:
    """One connection, in lines."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.file = sock.makefile("rb")

    def line(self) -> str:
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise Dropped
        return line.decode().rstrip("\r\n")

    def say(self, *lines: str | bytes) -> None:
        octets = b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines)
        try:
            self.sock.sendall(octets)
        except OSError as error:
            raise Dropped from error

    def secure(self, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile("rb")


@dataclass(kw_only=True)
class Host:
    """What both have in common. ``certificate``: PEM with key; with ``tls`` from the first byte."""

    certificate: Path | None = None
    tls: bool = False
    token: str = ""  # what XOAUTH2 takes; "" for no XOAUTH2
    commands: list[str] = field(default_factory=list)
    rules: dict[str, list[str | None]] = field(default_factory=dict)  # verb -> answers; None drops

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = False

    def answers(self, verb: str, *replies: str | None) -> None:
        """Answer the next commands of this verb so; None drops the connection instead."""
        self.rules.setdefault(verb, []).extend(replies)

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop_all()
        for thread in self._threads:
            thread.join(10)

    def drop_all(self) -> None:
        """Cut every connection, as a firewall does."""
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        with self.changed:
            self.changed.notify_all()

    @property
    def connected(self) -> int:
        return len(self._open)

    def _start(self, run: object, *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self._start(self._serve, sock)

    def _context(self) -> ssl.SSLContext:
        assert self.certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        return context

    def _serve(self, sock: socket.socket) -> None:
        talk = Talk(sock)
        self._open.add(sock)
        try:
            if self.tls:
                talk.secure(self._context())
            self.talk(talk)
        except (Dropped, OSError, ValueError):
            pass
        finally:
            self._open.discard(sock)
            talk.file.close()
            talk.sock.close()
            sock.close()

    def ruled(self, verb: str) -> str | None:
        """Return the scripted answer to a verb, None when there is none."""
        with self.changed:
            waiting = self.rules.get(verb)
            if not waiting:
                return None
            reply = waiting.pop(0)
        if reply is None:
            raise Dropped
        return reply

    def talk(self, talk: Talk) -> None:
        raise NotImplementedError


@dataclass(kw_only=True)
class ImapHost(Host):
    """``netease``: no folder opens before ID. ``lower``: new folders live under INBOX only."""

    offers: tuple[str, ...] = ("IDLE", "ID", "MOVE", "UIDPLUS")
    netease: bool = False
    lower: bool = False
    folders: dict[str, list[Stored]] = field(default_factory=lambda: {"INBOX": []})
    validity: int = 7
    ids: list[str] = field(default_factory=list)
    uid: int = 0

    def put(self, raw: bytes, folder: str = "INBOX") -> int:
        """A mail arrives."""
        with self.changed:
            self.uid += 1
            self.folders[folder].append(Stored(self.uid, raw))
            self.changed.notify_all()
            return self.uid

    def raws(self, folder: str = "INBOX") -> list[bytes]:
        with self.changed:
            return [one.raw for one in self.folders.get(folder, [])]

    def url(self, rest: str = "/INBOX", *, scheme: str = "imap") -> str:
        return f"{scheme}://{USER.replace('@', '%40')}:{PASSWORD}@127.0.0.1:{self.port}{rest}"

    def talk(self, talk: Talk) -> None:
        talk.say(self.ruled("CONNECT") or "* OK ready")
        _Session(self, talk).run()


class _Session:
    def __init__(self, host: ImapHost, talk: Talk) -> None:
        self.host, self.talk = host, talk
        self.told_id = self.signed_in = False
        self.secure = host.tls
        self.folder: list[Stored] = []

    def run(self) -> None:
        while True:
            tag, _, rest = self.talk.line().partition(" ")
            words = self.words(rest)
            verb = words.pop(0).upper()
            if verb == "UID":
                verb = f"UID {words.pop(0).upper()}"
            self.host.commands.append(" ".join([verb, *words]))
            if reply := self.host.ruled(verb):
                self.talk.say(f"{tag} {reply}")
                continue
            done = getattr(self, verb.replace(" ", "_").lower(), None)
            if done is None:
                self.talk.say(f"{tag} BAD unknown command {verb}")
                continue
            self.talk.say(f"{tag} {done(words) or 'OK done'}")
            if verb == "STARTTLS":
                self.talk.secure(self.host._context())
                self.secure = True
            if verb == "LOGOUT":
                raise Dropped

    def words(self, rest: str) -> list[str]:
        """Split a line into words; quoted strings and literals are one each, parentheses stay together."""
        found: list[str] = []
        while rest:
            if match := re.match(r'"((?:\\.|[^"\\])*)"', rest):
                found.append(re.sub(r"\\(.)", r"\1", match[1]))
            elif match := re.match(r"\{(\d+)\}$", rest):
                self.talk.say("+ go on")
                found.append(self.talk.file.read(int(match[1])).decode())
                rest = self.talk.line().lstrip()
                continue
            else:
                match = re.match(r"\([^)]*\)|\S+", rest)
                assert match
                found.append(match[0])
            rest = rest[match.end() :].lstrip()
        return found

    def capability(self, _words: list[str]) -> None:
        more = ["STARTTLS"] if self.host.certificate and not self.secure else []
        more += ["AUTH=XOAUTH2"] if self.host.token else []
        self.talk.say(" ".join(["* CAPABILITY IMAP4rev1", *self.host.offers, *more]))

    def starttls(self, _words: list[str]) -> str:
        return "OK begin" if self.host.certificate else "BAD no"

    def login(self, words: list[str]) -> str:
        self.host.commands[-1] = "LOGIN"
        if words != [USER, PASSWORD]:
            return "NO [AUTHENTICATIONFAILED] wrong"
        self.signed_in = True
        return "OK welcome"

    def authenticate(self, words: list[str]) -> str:
        self.talk.say("+ ")
        said = base64.b64decode(self.talk.line()).decode()
        if words == ["XOAUTH2"] and said == f"user={USER}\1auth=Bearer {self.host.token}\1\1":
            self.signed_in = True
            return "OK welcome"
        self.talk.say("+ " + base64.b64encode(b'{"status":"401"}').decode())
        self.talk.line()
        return "NO refused"

    def id(self, words: list[str]) -> None:
        self.host.ids.append(" ".join(words))
        self.told_id = True
        self.talk.say("* ID NIL")

    def select(self, words: list[str]) -> str:
        if not self.signed_in:
            return "BAD sign in"
        if self.host.netease and not self.told_id:
            return "NO SELECT Unsafe Login. Please contact kefu@188.com for help"
        if words[0] not in self.host.folders:
            return "NO no such folder"
        self.folder = self.host.folders[words[0]]
        self.talk.say(f"* {len(self.folder)} EXISTS", f"* OK [UIDVALIDITY {self.host.validity}] valid")
        return "OK [READ-WRITE] open"

    def list(self, _words: list[str]) -> None:
        for name in self.host.folders:
            self.talk.say(f'* LIST (\\HasNoChildren) "." "{name}"')

    def create(self, words: list[str]) -> str:
        if self.host.lower and not words[0].startswith("INBOX."):
            return "NO folders live under INBOX"
        with self.host.changed:
            self.host.folders[words[0]] = []
        return "OK made"

    def uid_search(self, words: list[str]) -> None:
        with self.host.changed:
            uids = [one.uid for one in self.folder]
        if words[0].upper() == "UID":
            first = int(words[1].partition(":")[0])
            uids = [uid for uid in uids if uid >= first] or uids[-1:]  # n:* always names the last
        self.talk.say(" ".join(["* SEARCH", *map(str, uids)]))

    def uid_fetch(self, words: list[str]) -> None:
        what = " ".join(words[1:]).upper()
        for number, one in enumerate(self.chosen(words[0]), 1):
            if "RFC822.SIZE" in what:
                self.talk.say(f"* {number} FETCH (RFC822.SIZE {len(one.raw)} UID {one.uid})")
                continue
            part = re.search(r"<(\d+)\.(\d+)>", what)
            raw = one.raw[: int(part[2])] if part else one.raw
            place = "<0>" if part else ""
            self.talk.say(f"* {number} FETCH (UID {one.uid} BODY[]{place} {{{len(raw)}}}".encode())
            self.talk.sock.sendall(raw)
            self.talk.say(f" FLAGS ({' '.join(sorted(one.flags))}))")

    def chosen(self, words: str) -> list[Stored]:
        uids = {int(word) for word in words.split(",")}
        with self.host.changed:
            return [one for one in self.folder if one.uid in uids]

    def uid_store(self, words: list[str]) -> None:
        for one in self.chosen(words[0]):
            one.flags.update(words[2].strip("()").split())

    def uid_copy(self, words: list[str]) -> str:
        if words[1] not in self.host.folders:
            return "NO [TRYCREATE] no such folder"
        for one in self.chosen(words[0]):
            self.host.put(one.raw, words[1])
        return "OK copied"

    def uid_move(self, words: list[str]) -> str:
        if (said := self.uid_copy(words)).startswith("NO"):
            return said
        for one in self.chosen(words[0]):
            self.folder.remove(one)
        return "OK moved"

    def uid_expunge(self, words: list[str]) -> None:
        for one in self.chosen(words[0]):
            if r"\Deleted" in one.flags:
                self.folder.remove(one)

    def idle(self, _words: list[str]) -> str:
        with self.host.changed:
            before = self.host.uid
        self.talk.say("+ idling")
        teller = threading.Thread(target=self.tell, args=(before,), daemon=True)
        teller.start()
        said = self.talk.line()
        with self.host.changed:
            self.idling = False
            self.host.changed.notify_all()
        teller.join(5)
        return "OK idled" if said == "DONE" else "BAD expected DONE"

    def tell(self, before: int) -> None:
        self.idling = True
        with self.host.changed:
            while self.idling and self.host.uid == before and not self.host._closing:
                self.host.changed.wait(0.2)
            if self.host.uid != before:
                with contextlib.suppress(Dropped, OSError):
                    self.talk.say(f"* {len(self.folder)} EXISTS")

    def noop(self, _words: list[str]) -> None:
        self.talk.say(f"* {len(self.folder)} EXISTS")

    def logout(self, _words: list[str]) -> None:
        self.talk.say("* BYE bye")


@dataclass(kw_only=True)
class Pop3Host(Host):
    """A mailbox; mails deleted go when the connection ends in order."""

    mails: dict[str, bytes] = field(default_factory=dict)  # by UIDL

    def put(self, raw: bytes) -> None:
        with self.changed:
            self.mails[f"u{len(self.mails) + 1}x"] = raw

    def url(self, rest: str = "", *, scheme: str = "pop3") -> str:
        return f"{scheme}://{USER.replace('@', '%40')}:{PASSWORD}@127.0.0.1:{self.port}{rest}"

    def talk(self, talk: Talk) -> None:
        talk.say("+OK ready")
        uids, doomed, user = list(self.mails), set[str](), ""
        while True:
            verb, _, word = talk.line().partition(" ")
            self.commands.append(verb if verb in ("PASS", "AUTH") else f"{verb} {word}".strip())
            if reply := self.ruled(verb):
                talk.say(reply)
                continue
            match verb:
                case "STLS":
                    talk.say("+OK begin" if self.certificate else "-ERR no")
                    if self.certificate:
                        talk.secure(self._context())
                case "USER":
                    user = word
                    talk.say("+OK")
                case "PASS":
                    talk.say("+OK" if (user, word) == (USER, PASSWORD) else "-ERR [AUTH] wrong")
                case "AUTH":
                    talk.say("+ ")
                    said = base64.b64decode(talk.line()).decode()
                    right = said == f"user={USER}\1auth=Bearer {self.token}\1\1"
                    talk.say("+OK" if right else "-ERR [AUTH] wrong")
                case "LIST":
                    talk.say("+OK", *(f"{n} {len(self.mails[uid])}" for n, uid in enumerate(uids, 1)), ".")
                case "UIDL":
                    talk.say("+OK", *(f"{n} {uid}" for n, uid in enumerate(uids, 1)), ".")
                case "RETR":
                    lines = self.mails[uids[int(word) - 1]].split(b"\r\n")
                    talk.say("+OK", *(b"." + line if line.startswith(b".") else line for line in lines), ".")
                case "DELE":
                    doomed.add(uids[int(word) - 1])
                    talk.say("+OK")
                case "QUIT":
                    with self.changed:
                        for uid in doomed:
                            del self.mails[uid]
                    talk.say("+OK bye")
                    return
                case _:
                    talk.say("-ERR unknown")
