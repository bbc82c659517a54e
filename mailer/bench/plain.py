"""The plain way, to compare with: ``smtplib`` on a kept connection, an ``EmailMessage`` for each reader.

``python -m mailer.bench.plain`` reads a ``Task`` as JSON on standard input and prints a ``Done``.
"""

from __future__ import annotations

import json
import smtplib
import sys
import time
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

_FEWEST = 20  # letters, however slow the server is


@dataclass(frozen=True)
class Task:
    """What to send, where, and for how long at least. ``greeting`` stands in ``html`` and ``text``."""

    host: str
    port: int
    seconds: float
    octets: int
    subject: str
    greeting: str
    html: str
    text: str


@dataclass(frozen=True)
class Done:
    """What was sent; ``octets`` is one letter on the wire."""

    letters: int
    seconds: float
    octets: int


def run(task: Task) -> Done:
    """Send until the time is up."""
    html = _weighing(task)
    with smtplib.SMTP(task.host, task.port, timeout=60) as smtp:
        smtp.ehlo()
        letters, started = 0, time.monotonic()
        while letters < _FEWEST or time.monotonic() - started < task.seconds:
            letters += 1
            smtp.send_message(_letter(task, html, letters))
        seconds = time.monotonic() - started
    return Done(letters, seconds, _octets(task, html))


def _letter(task: Task, html: str, n: int) -> EmailMessage:
    greeting = f"{task.greeting} ({n})"
    message = EmailMessage(policy=SMTP)
    message["From"] = "Secretariat <newsletter@secretariat.example>"
    message["To"] = f"reader-{n:06}@north.example"
    message["Subject"] = task.subject
    message["Date"] = formatdate()
    message["Message-ID"] = f"<m-{n}@bounces.mailer.example>"
    message["List-Id"] = "bench.secretariat.example"
    message["List-Unsubscribe"] = f"<https://news.mailer.example/leave/{n}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["Precedence"] = "bulk"
    message.set_content(task.text.replace(task.greeting, greeting))
    message.add_alternative(html.replace(task.greeting, greeting), subtype="html")
    return message


def _weighing(task: Task) -> str:
    """Return the HTML cut or filled so that the letter weighs what it should, within one per cent."""
    html = task.html
    for _ in range(8):
        lacking = task.octets - _octets(task, html)
        if abs(lacking) <= task.octets // 100:
            break
        html = html[:lacking] if lacking < 0 else html + "<p>It is written.</p>\n" * (lacking // 22 + 1)
    return html


def _octets(task: Task, html: str) -> int:
    return len(_letter(task, html, 1).as_bytes())


if __name__ == "__main__":
    print(json.dumps(asdict(run(Task(**json.load(sys.stdin))))))
