"""Mail made to hurt its reader, and damaged mail: what does reading it cost? Never a fault, issue 4 asks.

Run as a process of its own (``python -m mailer.bench.hostile``) so that the memory told is that of reading:
the task comes as JSON on standard input, the figures go as JSON to standard output.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mailer.bench.processes import peak_rss_mb
from mailer.errors import MailerError
from mailer.feedback.message import take_in

SECONDS = 1.0  # of processor time that any mail may take (issue 4)
MEGABYTES = 256.0  # that a process reading it may hold, the interpreter included (issue 4)

_DAEMON = b"From: mailer-daemon@x.example\nSubject: failure notice\n"
_REPORT = b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"

INPUTS: dict[str, Callable[[], bytes]] = {
    "1,500 nested parts": lambda: b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(1_500)
    ),
    "1,500 nested messages": lambda: b"Content-Type: message/rfc822\n\n" * 1_500 + b"\nundeliverable\n",
    "50,000 recipients": lambda: (
        _REPORT
        + b"".join(b"Final-Recipient: rfc822; u%d@x.example\nAction: failed\n\n" % n for n in range(50_000))
    ),
    "50,000 recipients without addresses": lambda: (
        _DAEMON + _REPORT + b"Final-Recipient: rfc822; |prog\nAction: failed\n\n" * 50_000
    ),
    "50,000 recipients in sentences": lambda: (
        _DAEMON
        + b"\nundeliverable\n"
        + b"".join(b"<u%d@x.example>: no such user\n" % n for n in range(50_000))
    ),
    "10 MB attachment": lambda: (
        _DAEMON
        + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nundeliverable: a@x.example\n--b\n"
        + b"Content-Type: application/x\nContent-Transfer-Encoding: base64\n\n"
        + b"QUJD" * 2_500_000
        + b"\n--b--\n"
    ),
    "10 MB of text": lambda: _DAEMON + b"\nundeliverable: a@x.example\n" + b"not delivered\n" * 750_000,
    "10 MB of base64 text": lambda: (
        _DAEMON
        + b"Content-Transfer-Encoding: base64\n\n"
        + b"dW5kZWxpdmVyYWJsZSA8YUB4LmV4YW1wbGU+Cg==\n" * 250_000
    ),
    "a boundary of dashes": lambda: b"Content-Type: multipart/mixed; boundary=-\n\n" + b"-" * 9_000_000,
    "a boundary that begins others": lambda: (
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--bx\n" * 1_000_000
    ),
    "comments never closed": lambda: _DAEMON + b"Content-Type: text/html\n\n" + b"<!--" * 2_000_000,
    "tags never closed": lambda: _DAEMON + b"Content-Type: text/html\n\n" + b"<div <p <br " * 700_000,
    "half addresses": lambda: _DAEMON + b"\nundeliverable " + b"a@b." * 2_000_000,
    "one endless word": lambda: _DAEMON + b"\nundeliverable to " + b"a" * 8_000_000,
    "endless labels": lambda: _DAEMON + b"\n" + b"recipient address: to: for: user " * 250_000,
    "white lines": lambda: _DAEMON + b"\nundeliverable" + b" \t\n" * 2_500_000,
    "forwards of forwards": lambda: (
        b"Subject: Fwd: undelivered\n\n" + b"> Forwarded message\n> \n> Subject: Fwd: undelivered\n" * 50_000
    ),
    "quoted lines": lambda: _DAEMON + b"\nundeliverable\n" + b"> > > > > > > > " * 500_000,
    "one line of addresses": lambda: _DAEMON + b"\nundeliverable " + b"x@x@to " * 15_000,
    "status fields among sentences": lambda: (
        _DAEMON + b"\nundeliverable " + b"Final-Recipient: rfc822;a@b\n550 unknown, not a thing\n" * 3_000
    ),
    "a folded header without end": lambda: b"Subject: a\n" + b" b\n" * 2_000_000,
    "a million header fields": lambda: b"X-A: b\n" * 1_000_000 + b"\nundeliverable\n",
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?=41?= " * 500_000 + b"\n\nundeliverable\n",
    "brackets": lambda: b'\n\n{"a":' + b"[" * 2_000_000,
    "a bomb of JSON": lambda: b'\n\n{"Message": "' + b'{\\"Message\\": ' * 300_000,
    "charsets nobody knows": lambda: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"".join(
        b"--b\nContent-Type: text/plain; charset=%s\n\n\xff\xfe\x81 undeliverable\n" % name
        for name in b"x-none utf-7 utf-16 iso-2022-jp hz idna punycode base64 zip rot13 \0".split()
    ),
    "failed recipients beyond count": lambda: (
        _DAEMON
        + b"X-Failed-Recipients: "
        + b",".join(b"u%d@x.example" % n for n in range(4_000))
        + b"\n\n"
        + b"undeliverable " * 30_000
    ),
}  # fmt: skip
"""Name -> what makes the mail; up to 10 MB each."""


class ReaderFailed(MailerError):
    """A process that reads mail ended with an error."""


def measure(folder: Path, *, seed: int, copies: int) -> dict[str, dict[str, Any]]:
    """Read INPUTS, every mail of ``folder``, and damaged copies of them, each in a process of its own.

    :raises ReaderFailed: a process could not be started or was killed
    """
    tasks: dict[str, dict[str, Any]] = {
        "made to hurt": {},
        "the folder": {"folder": str(folder)},
        "damaged copies": {"folder": str(folder), "seed": seed, "copies": copies},
    }
    return {name: _in_a_process(task) for name, task in tasks.items()}


def damaged(mails: list[bytes], *, seed: int, count: int) -> Iterator[bytes]:
    """Yield copies with bytes changed, cut out and moved; the same for the same ``seed``."""
    chance = random.Random(seed)  # noqa: S311
    for _ in range(count):
        raw = bytearray(chance.choice(mails))
        for _ in range(chance.randint(1, 12)):
            at = chance.randint(0, len(raw))
            until = at + chance.choice((0, 1, 3, 40, 400))
            raw[at:until] = chance.choice(
                (b"", chance.randbytes(8), b"\n", b"\n\n", b"\0", b"--", raw[:at][-200:])
            )
        yield bytes(raw)


def read_all(mails: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """Read named mails as feedback does; tell the slowest one's processor time and what was raised."""
    slowest, which, count = 0.0, "", 0
    faults: list[str] = []
    for name, raw in mails:
        count += 1
        began = time.process_time()
        try:
            take_in(raw)
        except Exception as fault:  # whatever it is, it is what is being counted
            faults.append(f"{name}: {type(fault).__name__}: {fault}"[:200])
        if (took := time.process_time() - began) > slowest:
            slowest, which = took, name
    return {"mails": count, "slowest_seconds": round(slowest, 3), "slowest": which, "faults": faults}


def _in_a_process(task: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "mailer.bench.hostile"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise ReaderFailed("Reading {task} ended with an error; it says: {last}", task=str(task), last=last)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _mails(task: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    if "folder" not in task:
        yield from ((name, make()) for name, make in INPUTS.items())
        return
    folder = Path(task["folder"])
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if "seed" not in task:
        yield from ((str(path.relative_to(folder)), path.read_bytes()) for path in paths)
        return
    copies = damaged([path.read_bytes() for path in paths], seed=task["seed"], count=task["copies"])
    yield from ((f"copy {number}", raw) for number, raw in enumerate(copies))


def _main() -> None:
    figures = read_all(_mails(json.load(sys.stdin)))
    print(json.dumps({**figures, "peak_mb": round(peak_rss_mb(os.getpid()), 1)}))


if __name__ == "__main__":
    _main()
