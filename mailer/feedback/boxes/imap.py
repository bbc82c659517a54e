"""An IMAP4rev1 client (RFC 3501) of what reading a mailbox needs, and no more.

The stdlib's has no IDLE before Python 3.14 and reads literals of any size; one of a few commands over our own
wire bounds what is held and knows what came unasked.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from mailer import __version__
from mailer.delivery.relay import Auth, RelayUnavailable, is_loopback
from mailer.feedback.boxes import names
from mailer.feedback.boxes.account import Account, Then
from mailer.feedback.boxes.box import Waiting, access_token
from mailer.feedback.boxes.trouble import (
    MailboxTrouble,
    Refused,
    in_the_clear,
    no_starttls,
    no_token,
    not_let_in,
    refused,
    said,
)
from mailer.feedback.boxes.wire import Wire

_LITERAL = re.compile(rb"\{(\d{1,12})\+?\}$")
_NUMBER = {name: re.compile(rb"\b%s (\d{1,20})" % name) for name in (b"UID", b"RFC822.SIZE", b"UIDVALIDITY")}
_LISTED = re.compile(rb'^\* LIST \([^)]*\) (NIL|"(?:\\.|[^"\\])*") (.*)$', re.IGNORECASE)
_IDLE_FOR = 540.0  # seconds; RFC 2177 allows 29 minutes, many firewalls forget a connection after 10
_SIZES_AT_ONCE = 200  # mails
_ROOM = 64 * 1024 * 1024  # octets of what one command is answered, beside the mail that it asks for
_ANSWER = 256  # octets that one more answer takes at least
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE = re.compile(r"[^\x20-\x7e]")  # what a quoted string cannot hold


@dataclass(slots=True)
class Answer:
    """One response: its text, literals taken out, and those literals; ``size`` in octets, as they came."""

    text: bytes
    literals: list[bytes]
    size: int


class Imap:
    """A folder, open. ``cursor`` is ``UIDVALIDITY:UID`` of the last mail that was looked at, "" at first."""

    def __init__(self, account: Account) -> None:
        """Connect, sign in and open the folder.

        :raises MailboxTrouble:
        """
        self._account = account
        self._number = 0
        self._able: frozenset[str] = frozenset()
        self._exists = False  # mail has come, by what the server said unasked
        self._validity = ""
        self._destination = names.encode(account.to)
        self._wire = Wire(account)
        try:
            self._open()
        except BaseException:
            self._wire.close()
            raise

    # -- what a reader asks --

    def fresh(self, cursor: str, since: date) -> list[Waiting]:
        """Return what came after ``cursor``, oldest first; when that says nothing, what came ``since``.

        :raises MailboxTrouble:
        """
        self._exists = False
        validity, _, last = cursor.partition(":")
        known = int(last) if validity == self._validity and last.isdecimal() else None
        if known is None:
            what = f"SINCE {since.day}-{_MONTHS[since.month - 1]}-{since.year}"
        else:
            what = f"UID {known + 1}:*"
        answers = self._command("UID SEARCH", what)
        found = {
            int(word)
            for answer in answers
            if answer.text.upper().startswith(b"* SEARCH")
            for word in answer.text.split()[2:]
            if word.isdigit()
        }
        uids = sorted(uid for uid in found if uid > (known or 0))  # n:* always names the last mail
        sizes = self._sizes(uids)
        places = {uid: f"{self._validity}:{uid}" for uid in uids if uid in sizes}
        return [Waiting(str(uid), sizes[uid], place, place) for uid, place in places.items()]

    def find(self, uids: Collection[str]) -> list[Waiting]:
        """Return those of these mails, each ``UIDVALIDITY:UID``, that are still there.

        :raises MailboxTrouble:
        """
        named = (uid.partition(":") for uid in uids)
        mine = sorted(int(uid) for validity, _, uid in named if validity == self._validity)
        sizes = self._sizes(mine)
        return [Waiting(str(uid), sizes[uid], "", f"{self._validity}:{uid}") for uid in mine if uid in sizes]

    def fetch(self, waiting: Waiting, limit: int) -> bytes | None:
        """Return a mail, no more than its first ``limit`` octets; None: it is gone.

        :raises MailboxTrouble:
        """
        part = f"<0.{limit}>" if waiting.size > limit else ""
        for answer in self._command("UID FETCH", f"{waiting.key} (UID BODY.PEEK[]{part})", keep=limit):
            uid = _NUMBER[b"UID"].search(answer.text)
            if uid and uid[1].decode() == waiting.key and b"BODY[" in answer.text.upper():
                return answer.literals[0] if answer.literals else b""
        return None

    def settle(self, waiting: Collection[Waiting]) -> None:
        """Do to mails that are stored what the account says.

        :raises MailboxTrouble: it cannot be done
        """
        if not waiting or self._account.then is Then.KEEP:
            return
        uids = ",".join(one.key for one in waiting)
        match self._account.then:
            case Then.MARK:
                self._command("UID STORE", uids, r"+FLAGS.SILENT (\Seen)")
            case Then.MOVE:
                self._move(uids)
            case Then.DELETE:
                self._delete(uids)

    def wait(self, going_on: Callable[[], bool]) -> bool:
        """Wait until mail has come or it is time to look; False: ``going_on``, asked each second, said no.

        :raises MailboxTrouble:
        """
        if self._exists:
            return going_on()
        if "IDLE" in self._able:
            return self._idle(going_on)
        for _ in range(self._account.poll):
            if not going_on():
                return False
            if self._wire.readable(1.0):
                self._keep_news(self._read(0))
        self._command("NOOP")
        return True

    def close(self) -> None:
        """Take leave."""
        with suppress(MailboxTrouble):  # it is gone already
            self._wire.send(self._tag() + b" LOGOUT\r\n")
        self._wire.close()

    # -- opening --

    def _open(self) -> None:
        greeting = self._read(0).text
        if not greeting.upper().startswith((b"* OK", b"* PREAUTH")):
            raise refused(self._account, "CONNECT", _said(greeting))
        self._ask_able()
        if self._account.starttls:
            if "STARTTLS" not in self._able:
                raise no_starttls(self._account)
            self._command("STARTTLS")
            self._wire.start_tls()
            self._ask_able()  # what was said in the clear does not count (RFC 3501 §6.2.1)
        if not greeting.upper().startswith(b"* PREAUTH"):
            self._sign_in()
        self._ask_able()
        if "ID" in self._able:  # NetEase opens no folder before (163.com, 126.com: "Unsafe Login")
            self._tell_id()
        self._select()

    def _ask_able(self) -> None:
        answers = self._command("CAPABILITY")
        words = [
            answer.text.decode(errors="replace").upper().split()[2:]
            for answer in answers
            if answer.text.upper().startswith(b"* CAPABILITY")
        ]
        self._able = frozenset(word for line in words for word in line)

    def _sign_in(self) -> None:
        account = self._account
        if not self._wire.secure and not is_loopback(account.host):
            raise in_the_clear(account)
        try:
            if account.auth is Auth.XOAUTH2:
                self._authenticate("XOAUTH2", access_token(account))
            elif "LOGINDISABLED" in self._able and "AUTH=PLAIN" in self._able:
                self._authenticate("PLAIN", f"\0{account.user}\0{account.password}".encode())
            else:
                self._command("LOGIN", account.user, account.password, quoted=True)
        except Refused as error:
            lasting = "UNAVAILABLE" not in error.reply.upper()  # RFC 5530
            raise not_let_in(account, error.reply, lasting=lasting) from error
        except RelayUnavailable as error:
            raise no_token(account, error) from error

    def _authenticate(self, how: str, words: bytes) -> None:
        tag = self._tag()
        self._wire.send(tag + f" AUTHENTICATE {how}\r\n".encode())
        answers = [base64.b64encode(words), b""]  # a refusal is explained first, and wants an empty answer
        while True:
            answer = self._read(0)
            if answer.text.startswith(b"+"):
                self._wire.send((answers.pop(0) if answers else b"*") + b"\r\n")
            elif answer.text.startswith(tag):
                self._check("AUTHENTICATE", answer.text[len(tag) :])
                return

    def _tell_id(self) -> None:
        with suppress(Refused):  # RFC 2971 §2: nothing may depend on it
            self._command("ID", f'("name" "mailer" "version" "{__version__}" "vendor" "mailer")')

    def _select(self) -> None:
        folder = self._account.folder
        try:
            answers = self._command("SELECT", names.encode(folder), quoted=True)
        except Refused as error:
            others = [names.decode(name) for name, _ in self._folders()]
            if folder in others or not others:
                raise
            raise MailboxTrouble(
                "The mailbox of {user} at {server} has no folder “{folder}” ({reply}): it has {others}.",
                lasting=True,
                user=self._account.user,
                server=self._account.name,
                folder=folder,
                reply=error.reply,
                others=", ".join(others[:20]),
            ) from error
        told = [found for answer in answers if (found := _NUMBER[b"UIDVALIDITY"].search(answer.text))]
        self._validity = told[0][1].decode() if told else "0"

    def _folders(self) -> list[tuple[str, str]]:
        """Return the folders as the server writes them, and the sign between a folder and one in it."""
        found = []
        for answer in self._command("LIST", '""', "*"):
            if match := _LISTED.match(answer.text):
                name = answer.literals[0] if answer.literals else match[2]
                separator = "" if match[1].upper() == b"NIL" else _unquoted(match[1])
                found.append((_unquoted(name), separator))
        return found

    # -- mails --

    def _sizes(self, uids: list[int]) -> dict[int, int]:
        sizes = {}
        for at in range(0, len(uids), _SIZES_AT_ONCE):
            some = ",".join(map(str, uids[at : at + _SIZES_AT_ONCE]))
            for answer in self._command("UID FETCH", some, "(UID RFC822.SIZE)"):
                uid = _NUMBER[b"UID"].search(answer.text)
                size = _NUMBER[b"RFC822.SIZE"].search(answer.text)
                if uid and size:
                    sizes[int(uid[1])] = int(size[1])
        return sizes

    def _move(self, uids: str) -> None:
        try:
            self._move_to(uids)
        except Refused:  # most likely there is no such folder yet: RFC 3501 §6.4.7 says TRYCREATE, not all do
            self._make_destination()
            self._move_to(uids)

    def _move_to(self, uids: str) -> None:
        if "MOVE" in self._able:
            self._command("UID MOVE", uids, _quoted(self._destination))
        else:
            self._command("UID COPY", uids, _quoted(self._destination))
            self._delete(uids)

    def _make_destination(self) -> None:
        """Make the folder for heard mail; where folders live under INBOX (Courier, some Dovecots), there."""
        try:
            self._command("CREATE", self._destination, quoted=True)
        except Refused:
            listed = self._folders()
            separator = next((sign for _, sign in listed if sign), ".")
            below = f"INBOX{separator}{self._destination}"
            if self._destination not in [name for name, _ in listed]:
                if below not in [name for name, _ in listed]:
                    self._create_below(below)
                self._destination = below

    def _create_below(self, below: str) -> None:
        try:
            self._command("CREATE", below, quoted=True)
        except Refused as error:
            raise MailboxTrouble(
                "The mailbox of {user} at {server} has no folder “{folder}” and lets none be made ({reply}):"
                " make it there, or name another with to= in its URL. Mail is heard all the same.",
                user=self._account.user,
                server=self._account.name,
                folder=self._account.to,
                reply=error.reply,
            ) from error

    def _delete(self, uids: str) -> None:
        r"""Delete mails. Without UIDPLUS they stay, marked: EXPUNGE would take what others marked too."""
        self._command("UID STORE", uids, r"+FLAGS.SILENT (\Deleted)")
        if "UIDPLUS" in self._able:
            self._command("UID EXPUNGE", uids)

    def _idle(self, going_on: Callable[[], bool]) -> bool:
        tag, waited, goes_on = self._tag(), 0.0, True
        self._wire.send(tag + b" IDLE\r\n")
        while not (answer := self._read(0)).text.startswith(b"+"):
            if answer.text.startswith(tag):
                self._able -= {"IDLE"}  # it was offered and is refused: look now and then instead
                return going_on()
            self._keep_news(answer)
        while not self._exists and waited < _IDLE_FOR and (goes_on := going_on()):
            waited += 1.0
            if self._wire.readable(1.0):
                self._keep_news(self._read(0))
        self._wire.send(b"DONE\r\n")
        while not (answer := self._read(0)).text.startswith(tag):
            self._keep_news(answer)
        return goes_on

    # -- commands --

    def _command(self, verb: str, *words: str, keep: int = 0, quoted: bool = False) -> list[Answer]:
        """Say a command and return what is answered. ``keep``: octets of a literal.

        :raises Refused: NO or BAD
        :raises MailboxTrouble: the connection is gone, or there is no end of answers
        """
        tag, room = self._tag(), keep + _ROOM
        self._say(tag, verb, words, quoted)
        answers = []
        while not (answer := self._read(keep, room)).text.startswith(tag):
            self._keep_news(answer)
            answers.append(answer)
            room -= answer.size
        self._check(verb, answer.text[len(tag) :])
        return [*answers, answer]

    def _say(self, tag: bytes, verb: str, words: Collection[str], quoted: bool) -> None:
        line = tag + b" " + verb.encode()
        for word in words:
            if quoted and _UNSAFE.search(word):  # a literal: the server says when it may come
                octets = word.encode()
                self._wire.send(line + b" {%d}\r\n" % len(octets))
                while not (answer := self._read(0)).text.startswith(b"+"):
                    if answer.text.startswith(tag):
                        self._check(verb, answer.text[len(tag) :])
                line = octets
            else:
                line += b" " + (_quoted(word) if quoted else word).encode()
        self._wire.send(line + b"\r\n")

    def _read(self, keep: int, room: int | None = None) -> Answer:
        """Read one response of at most ``room`` octets, of each literal the first ``keep`` or a few more."""
        texts: list[bytes] = []
        literals: list[bytes] = []
        size, room = 0, _ROOM if room is None else room
        while True:
            line = self._wire.line()
            found = _LITERAL.search(line)
            texts.append(line[: found.start()] if found else line)
            size += len(line) + _ANSWER + (int(found[1]) if found else 0)
            if size > room:
                raise self._flood()
            if not found:
                return Answer(b"".join(texts), literals, size)
            literals.append(self._wire.octets(int(found[1]), max(keep, 65_536)))

    def _flood(self) -> MailboxTrouble:
        return MailboxTrouble(
            "The mailbox server {server} answers a command with more than {megabytes} MB: look whether the"
            " mailbox's URL names an IMAP server, or read a folder that holds less.",
            lasting=True,
            server=self._account.name,
            megabytes=_ROOM // (1024 * 1024),
        )

    def _keep_news(self, answer: Answer) -> None:
        words = answer.text.upper().split()
        if len(words) > 2 and words[0] == b"*" and words[2] in (b"EXISTS", b"RECENT"):
            self._exists = True
        if answer.text.upper().startswith(b"* BYE"):
            raise MailboxTrouble(
                "The mailbox server {server} hangs up ({reply}): it is asked again soon.",
                server=self._account.name,
                reply=_said(answer.text),
            )

    def _check(self, verb: str, rest: bytes) -> None:
        if not rest.upper().startswith(b" OK"):
            raise refused(self._account, verb, _said(rest))

    def _tag(self) -> bytes:
        self._number += 1
        return b"m%d" % self._number


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(word: bytes) -> str:
    text = word.decode(errors="replace").strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _said(line: bytes) -> str:
    return said(line).removeprefix("* ")
