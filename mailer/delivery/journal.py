"""The send journal: what this worker has begun and what the relay answered, on local disk.

Law 2: before a body's first byte leaves, its ``begin`` is in the journal, in the same write(2) as the
``end`` of the letters before it. write(2) survives the death of the process, so whoever opens the journal
next knows exactly which letters are uncertain (begun, reply unseen) and which replies SQL may have missed.
It does not survive a power cut: ``Leftover.trusted`` says whether the machine has kept running.

One file per worker in a folder of the machine's own disk, locked while its owner lives:

    J 1 <machine> <worker> <boot id> *<crc32>
    B <campaign> <batch> <attempt> <n> *<crc32>
    E <campaign> <batch> <attempt> <n> <kind> <code> <status> <command> <relay> <text as JSON> *<crc32>

(``-`` where there is none.)

A line that is torn or spoilt fails its checksum and counts as never written: for a ``begin`` that is true
(the body waits for it), for an ``end`` it leaves the letter uncertain, which is safe.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from mailer.database import private_folder
from mailer.delivery.smtp import Kind, Outcome
from mailer.errors import Conflict, MailerError

_SUFFIX = ".journal"
_WORKER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux: changes when the machine starts, not containers


_as_json = json.JSONEncoder().encode


class JournalInUse(Conflict):
    """Another living process writes this worker's journal: give each worker a name of its own."""


class JournalUnwritable(MailerError):
    """The journal cannot be written, so nothing more is sent."""


class Begun(NamedTuple):
    """A letter on its way: its place in the ledger, the batch it went with, and which try it was."""

    campaign: int
    batch: int
    attempt: int
    n: int


class Leftover(NamedTuple):
    """What a journal holds that SQL may not know. A letter stands in one of the two, never in both."""

    uncertain: tuple[Begun, ...]  # begun, and no reply was written down
    ended: tuple[tuple[Begun, Outcome], ...]  # replies since the last checkpoint, in the order they came


def read(data: bytes) -> Leftover:
    """Read a journal's bytes, whatever they are; what is not a whole line of ours is passed over.

    A letter written about twice (given back unsent, then begun again) counts as the last line says.
    """
    letters: dict[Begun, Outcome | None] = {}
    for line in data.split(b"\n"):
        entry = _entry(line)
        if entry:
            letters.pop(entry[0], None)
            letters[entry[0]] = entry[1]
    ended = tuple((letter, outcome) for letter, outcome in letters.items() if outcome)
    return Leftover(tuple(letter for letter, outcome in letters.items() if not outcome), ended)


def _entry(line: bytes) -> tuple[Begun, Outcome | None] | None:
    words = _checked(line)
    try:
        match words:
            case [b"B", campaign, batch, attempt, n]:
                return Begun(int(campaign), int(batch), int(attempt), int(n)), None
            case [b"E", campaign, batch, attempt, n, *reply]:
                letter = Begun(int(campaign), int(batch), int(attempt), int(n))
                return letter, _read_outcome(letter.n, reply)
    except (ValueError, UnicodeDecodeError):
        pass  # a line with a right checksum that we did not write: nothing to learn from it
    return None


def _checked(line: bytes) -> list[bytes]:
    text, _, sum_ = line.rpartition(b" *")
    return text.split(b" ", 10) if sum_ == b"%08x" % crc32(text) else []


def _sealed(text: bytes) -> bytes:
    return b"%b *%08x\n" % (text, crc32(text))


def _read_outcome(n: int, reply: list[bytes]) -> Outcome:
    kind, code, status, command, relay, text = (word.decode() for word in reply)
    return Outcome(
        n,
        Kind(kind),
        None if code == "-" else int(code),
        None if status == "-" else status,
        str(json.loads(text)),
        "" if command == "-" else command,
        "" if relay == "-" else relay,
    )


def _written(outcome: Outcome) -> bytes:
    _, kind, code, status, text, command, relay = outcome
    words = f"{kind} {code or '-'} {status or '-'} {command or '-'} {relay or '-'} {_as_json(text)}"
    return words.encode()


class Pen:
    """Writes one batch's letters into a journal. Lines wait in memory until ``flush``."""

    def __init__(self, journal: Journal, campaign: int, batch: int, attempt: int) -> None:
        self._journal = journal
        self._place = b"%d %d %d " % (campaign, batch, attempt)

    def begin(self, n: int) -> None:
        """Note that letter ``n``'s body is about to leave. It may leave once ``flush`` has returned."""
        self._journal.lines.append(_sealed(b"B %b%d" % (self._place, n)))
        self._journal.open.add((self._place, n))

    def end(self, outcome: Outcome) -> None:
        """Note what became of a letter, begun or not."""
        self._journal.lines.append(_sealed(b"E %b%d %b" % (self._place, outcome.key, _written(outcome))))
        self._journal.open.discard((self._place, outcome.key))

    def flush(self) -> None:
        """Write all lines that wait, in one write(2).

        :raises JournalUnwritable: disk full or the like; nothing that was begun in it may leave
        """
        self._journal.write()


@dataclass(frozen=True, slots=True)
class _Header:
    machine: str
    worker: str
    boot: str

    def line(self) -> bytes:
        return _sealed(f"J 1 {self.machine} {self.worker} {self.boot or '-'}".encode())


class Journal:
    """One worker's journal, held under its lock until ``close``. Not for two threads; open it after fork.

    What an earlier life left (``leftover``) is to be recorded in SQL and committed, then ``checkpoint``\\ ed,
    before the first new letter; recording it twice must change nothing, because a death between commit and
    checkpoint leads to just that.
    """

    def __init__(self, folder: Path, worker: str, *, patience: float = 2.0) -> None:
        """Open or make the journal of ``worker`` (letters, digits, ``._-``; at most 64).

        ``patience``: seconds to wait for its lock, which another worker holds for as long as it settles it.

        :raises JournalInUse: its owner is alive
        :raises JournalUnwritable: the folder or file cannot be made
        """
        if not _WORKER.fullmatch(worker):
            raise ValueError(f"not a worker's name: {worker!r}")
        self.lines: list[bytes] = []
        self.open: set[tuple[bytes, int]] = set()
        self.path = folder / f"{worker}{_SUFFIX}"
        try:
            private_folder(folder)
            self._header = _Header(machine_id(folder), worker, _boot_id())
            self._fd = _locked(self.path, patience)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            self._found, self.written_at = self._read()
        except BaseException:
            os.close(self._fd)
            raise

    def _read(self) -> tuple[bytes, datetime]:
        """Return what stands in the file and when it was last written; a new file gets its header."""
        written_at = datetime.fromtimestamp(os.fstat(self._fd).st_mtime, UTC)
        found = self.path.read_bytes()
        self._torn = not found.endswith(b"\n")
        self._headed = found.startswith(self._header.line())
        if not found:
            self.checkpoint()
        return found, written_at

    @property
    def owner(self) -> str:
        """``machine/worker``: what a batch's row names as the one who knows its begun slice."""
        return f"{self._header.machine}/{self._header.worker}"

    @property
    def leftover(self) -> Leftover:
        """What an earlier life of this worker left behind when this one opened the journal."""
        return read(self._found)

    @property
    def trusted(self) -> bool:
        """Whether the machine has kept running since the journal was begun, so that no line can be missing.

        False after a power cut or restart, and for a file that was new or empty: then whatever the ledger
        says this worker has begun, and is not among ``leftover.ended``, is uncertain.
        """
        return bool(self._header.boot) and self._found.startswith(self._header.line())

    def pen(self, *, campaign: int, batch: int, attempt: int) -> Pen:
        """Return what a batch's letters are noted with."""
        return Pen(self, campaign, batch, attempt)

    def write(self) -> None:
        """Append all waiting lines in one write(2); see ``Pen.flush``."""
        if not self.lines:
            return
        data, self.lines = b"".join(self.lines), []
        self._append(b"\n" + data if self._torn else data)

    def _append(self, data: bytes) -> None:
        try:
            self._torn = True  # until all of it stands there, the last line may be half a line
            if os.write(self._fd, data) < len(data):
                raise OSError("the disk took only a part of it")
            self._torn = False
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def checkpoint(self) -> None:
        """Forget every line: SQL has committed all of them.

        :raises RuntimeError: a letter is still on its way (a mistake of the caller)
        """
        if self.open:
            raise RuntimeError(f"{len(self.open)} letters of {self.path.name} are still on their way")
        try:
            os.ftruncate(self._fd, len(self._header.line()) if self._headed else 0)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.lines, self._found, self._torn = [], b"", False
        if not self._headed:
            self._append(self._header.line())
            self._headed = True

    def close(self) -> None:
        """Let go of the journal. Its lines stay."""
        os.close(self._fd)

    def discard(self) -> None:
        """Remove the file of a dead worker whose leftover has been committed, and let go of it."""
        self.path.unlink(missing_ok=True)
        self.close()


def unsettled(folder: Path, *, but: str = "") -> Iterator[Journal]:
    """Open, one after another, the journals in ``folder`` whose owners are dead.

    An empty one is worth as much as a full one: it tells that what its owner had leased was never begun.
    ``but`` names a worker to pass over (the caller's own). The caller records each ``leftover`` and commits,
    then calls ``discard``; or ``close``, to leave it for another time.
    """
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        worker = path.name.removesuffix(_SUFFIX)
        if worker == but or not _WORKER.fullmatch(worker):
            continue
        try:
            yield Journal(folder, worker, patience=0)
        except JournalInUse:
            continue  # its owner lives and will settle it itself


def vanished(folder: Path, owners: Iterable[str]) -> list[str]:
    """Return those of ``owners`` who wrote in ``folder`` on this machine, and whose journal is not there."""
    ours = f"{machine_id(folder)}/"
    return [
        owner
        for owner in owners
        if owner.startswith(ours) and not (folder / f"{owner.removeprefix(ours)}{_SUFFIX}").exists()
    ]


def machine_id(folder: Path) -> str:
    """Return the id of the machine whose folder this is: made once, then the same for ever."""
    path = folder / "machine"
    if not path.exists():
        mine = folder / f"machine.{uuid.uuid4().hex}"
        mine.write_text(uuid.uuid4().hex[:16] + "\n")
        try:
            os.link(mine, path)  # the first of several workers wins; the others read its id
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    return path.read_text().strip()


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""  # not Linux: nothing tells a restart, so nothing left behind is trusted


def _locked(path: Path, patience: float) -> int:
    """Open ``path`` for appending and lock it; the lock ends with the process.

    Waits ``patience`` seconds for another who may only be settling it. The file that was locked must still
    be the one of that name: ``discard`` may have removed it meanwhile.
    """
    give_up = time.monotonic() + patience
    while True:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                return fd
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            if time.monotonic() >= give_up:
                os.close(fd)
                raise JournalInUse() from error
            time.sleep(0.02)
        os.close(fd)


def _unwritable(path: Path, error: OSError) -> JournalUnwritable:
    why = error.strerror or str(error)
    return JournalUnwritable(
        "The journal {path} cannot be written ({why}): free disk space or mend its permissions;"
        " until then nothing more is sent.",
        path=path,
        why=why,
    )
