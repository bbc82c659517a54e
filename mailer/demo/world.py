"""The outside world of the demonstration: how mail systems answer, what they report, what readers do.

Everything here happens over real sockets: replies at RCPT time, reports sent by SMTP to the return path,
pages fetched and forms posted by HTTP.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import format_datetime

from mailer.delivery.smtp import Envelope
from mailer.demo.people import Fate
from mailer.feedback.outbox import Caught, Outbox

_AT_RCPT = {
    Fate.UNKNOWN: "550 5.1.1 <{}>: Recipient address rejected: no such user here",
    Fate.FULL: "552 5.2.2 <{}>: mailbox full, quota exceeded",
    Fate.UNWELCOME: "550 5.7.1 <{}>: message refused by the recipient's policy",
    Fate.GREYLISTED: "451 4.7.1 <{}>: greylisted, please try again later",
    Fate.BUSY: "450 4.2.1 <{}>: mailbox is busy, try again later",
}

_REPORTS = {
    Fate.BOUNCES: ("failed", "5.1.1", "550 5.1.1 user unknown"),
    Fate.OVERFLOWS: ("failed", "5.2.2", "552 5.2.2 the mailbox is over quota"),
    Fate.DISABLED: ("failed", "5.2.1", "550 5.2.1 the account is disabled"),
    Fate.DELAYED: ("delayed", "4.4.1", "connection timed out, still trying"),
}

_TIMEOUT = 20  # seconds for a page


class Manners:
    """How the listener answers RCPT in the demonstration: by each reader's fate."""

    def __init__(self, fates: Mapping[str, Fate]) -> None:
        self._fates = fates

    def __call__(self, address: str) -> str | None:
        """Return the refusal for an address, or None to take the letter."""
        reply = _AT_RCPT.get(self._fates.get(address.casefold(), Fate.READS))
        return reply.format(address) if reply else None


def caught(outbox: Outbox) -> Iterator[Caught]:
    """Give every caught letter, newest first."""
    page = 1
    while letters := outbox.listing(page=page):
        yield from letters
        page += 1


def answer(letter: Caught, content: bytes, fate: Fate, now: datetime) -> Envelope | None:
    """Return the mail that comes back about a letter, or None."""
    if fate in _REPORTS:
        message = _delivery_report(letter, content, *_REPORTS[fate], now)
    elif fate is Fate.AWAY:
        message = _absence(letter, now)
    elif fate is Fate.COMPLAINS:
        message = _complaint(letter, content, now)
    else:
        return None
    return Envelope(letter.id, "", letter.mail_from, message)


def visit(letter_html: str, headers: Mapping[str, str], fate: Fate) -> None:
    """Do in a browser's place what a reader does with a letter: look, follow a link, leave."""
    if fate in (Fate.OPENS, Fate.CLICKS) and (pixel := re.search(r'src="([^"]+/o/[^"]+)"', letter_html)):
        _fetch(pixel[1])
    if fate is Fate.CLICKS and (link := re.search(r'href="([^"]+/c/[^"]+)"', letter_html)):
        _fetch(link[1])
    if fate is Fate.LEAVES:
        address = headers["list-unsubscribe"].split(">")[0].lstrip("<")
        _fetch(address, b"List-Unsubscribe=One-Click")  # RFC 8058 §3.2


class _Stay(urllib.request.HTTPRedirectHandler):
    """Does not follow redirects: a click leads to the outside, where nobody is."""

    def redirect_request(self, *_: object) -> None:
        """Stop at the first answer."""


def _fetch(url: str, body: bytes | None = None) -> None:
    # A browser's User-Agent: without one the visit counts as a machine's
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}
    request = urllib.request.Request(url.replace("&amp;", "&"), data=body, headers=agent)  # noqa: S310  our own pages
    try:
        urllib.request.build_opener(_Stay).open(request, timeout=_TIMEOUT).close()
    except urllib.error.HTTPError as answer:
        answer.close()
        if answer.code not in (302, 303, 307):
            raise


def _delivery_report(
    letter: Caught, content: bytes, action: str, status: str, words: str, now: datetime
) -> bytes:
    """Return an RFC 3464 report with the letter's header (RFC 6522 §3)."""
    subject = "Undelivered Mail Returned to Sender" if action == "failed" else "Delayed Mail"
    told = "could not be delivered" if action == "failed" else "has not been delivered yet"
    fields = (
        f"Reporting-MTA: dns; mx.relay.example\nArrival-Date: {format_datetime(now)}\n\n"
        f"Final-Recipient: rfc822; {letter.rcpt_to}\nAction: {action}\nStatus: {status}\n"
        f"Remote-MTA: dns; mail.{letter.rcpt_to.partition('@')[2]}\nDiagnostic-Code: smtp; {words}\n"
    )
    return _report(
        letter,
        f"From: Mail Delivery System <MAILER-DAEMON@mx.relay.example>\nSubject: {subject}\n",
        ("delivery-status", fields),
        f"Your message to <{letter.rcpt_to}> {told}:\n\n{words}\n",
        content,
        now,
    )


def _complaint(letter: Caught, content: bytes, now: datetime) -> bytes:
    """Return an RFC 5965 abuse report."""
    fields = (
        "Feedback-Type: abuse\nUser-Agent: ExampleLoop/1.0\nVersion: 1\n"
        f"Original-Rcpt-To: <{letter.rcpt_to}>\nArrival-Date: {format_datetime(now)}\n"
    )
    return _report(
        letter,
        "From: feedback@mailbox-provider.example\nSubject: Abuse report\n",
        ("feedback-report", fields),
        "A reader has marked this letter as unwanted.\n",
        content,
        now,
    )


def _report(
    letter: Caught, head: str, machine: tuple[str, str], words: str, content: bytes, now: datetime
) -> bytes:
    """Return a multipart/report (RFC 6522): words for people, fields for machines, the letter's header."""
    kind, fields = machine
    parts = (
        f"Content-Type: text/plain; charset=us-ascii\n\n{words}",
        f"Content-Type: message/{kind}\n\n{fields}",
        f"Content-Type: text/rfc822-headers\n\n{_header_of(content)}",
    )
    body = "".join(f"--report\n{part}\n" for part in parts)
    return _wire(
        f"{head}To: {letter.mail_from}\nDate: {format_datetime(now)}\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="report"\n\n{body}--report--\n'
    )


def _absence(letter: Caught, now: datetime) -> bytes:
    """Return a vacation notice (RFC 3834)."""
    return _wire(
        f"From: {letter.rcpt_to}\nTo: {letter.mail_from}\nSubject: Out of office\n"
        f"Date: {format_datetime(now)}\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=us-ascii\n\n"
        "I am away until Monday and will read your letter then.\n"
    )


def _header_of(content: bytes) -> str:
    return content.split(b"\r\n\r\n", 1)[0].decode("ascii", "replace").replace("\r\n", "\n") + "\n"


def _wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()
