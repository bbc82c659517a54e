"""Whom a mail says it failed for, and the diagnosis of what it says of each.

Here is decided whose words are heard: those beside an address before those around it, a quoted reply before
the sentences. What words mean is the diagnosis' own matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailer.diagnosis import (
    Category,
    Diagnosis,
    OwnRule,
    best_status,
    command_within,
    diagnose,
    provider_of,
    read_reply,
)
from mailer.feedback import prose, signs
from mailer.feedback.reading import Reading
from mailer.feedback.report import Fate, address_in

_SPOKEN = re.compile(r"(?<![\d.\w-])[45]\d\d[ ,:-](?:#?[45]\.\d{1,3}\.\d{1,3}\b)?(?=[^\d\n])")
_LOCAL_AGENT = re.compile(
    r"^(?:mail\.local|procmail|maildrop|vdelivermail|cyrdeliver|lmtpd|deliver|dovecot-lda|rmail): [^\n]+",
    re.M,
)
_FILTERS = frozenset({"messagelabs", "mimecast", "proofpoint"})
"""Providers that stand before other people's servers and tell in their own name what those answer."""
_WHOLE_NOTICE_FOR = 20  # recipients; past that a notice is a list, and each line must speak for itself
_SAID_LIMIT = 4_000  # characters of a notice read for one recipient
_LINE_LIMIT = 300  # the same where the notice is a list
_SMTP_WORDS = 800  # characters of a reply quoted in a notice


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """One address a mail speaks of, and the diagnosis of what it says.

    ``address`` is the name last tried, ``original`` the one first written to ("" if the mail tells only one).
    ``diagnostic`` are the remote system's words, 1,000 characters at most; ``remote_mta`` who spoke, or "".
    ``reason`` names the rule that decided.
    """

    address: str
    category: Category
    status: str
    permanent: bool
    dead: bool
    diagnostic: str
    remote_mta: str
    original: str = ""
    reason: str = ""


def of_fates(reading: Reading, fates: list[Fate]) -> list[FailedRecipient]:
    """Judge the recipients of a delivery-status part."""
    return [_of_fate(reading, fate, len(fates)) for fate in fates]


def of_notice(reading: Reading, *, delayed: bool) -> list[FailedRecipient]:
    """Judge the recipients that only sentences name."""
    recipients = []
    people = named(reading)
    if len(people) == 1 and "\n<<< " in reading.notice:  # a transcript: the reply stands above the address
        people = [prose.Named(people[0].address, reading.notice)]
    for one in people:
        diagnosis = judge(
            one.words, "", "", one.address, around=reading.notice if len(people) == 1 else "", own=reading.own
        )
        if diagnosis.category is Category.UNKNOWN and len(people) <= _WHOLE_NOTICE_FOR:
            diagnosis = judge(reading.notice, diagnosis.status, "", one.address, own=reading.own)
        recipients.append(recipient(one.address, diagnosis, one.words, "", delayed=delayed))
    return recipients


def named(reading: Reading) -> list[prose.Named]:
    """Return whom the notice names, in its words or, as Exim and Gmail do, in a header of their own."""
    if header := listed(reading):
        of = len(header)
        return [
            prose.Named(one, _said_of(reading.notice, one, of)) for one in header[: prose.RECIPIENT_LIMIT]
        ]
    own = signs.own_addresses(reading.headers)
    people = prose.recipients_named(reading.notice, own) or _of_the_house(reading)
    if not people and (to := reading.envelope_recipient) and to.lower() not in own:
        people = [prose.Named(to, reading.notice)]
    return people


def _of_the_house(reading: Reading) -> list[prose.Named]:
    """Give names that stand without a domain that of the system which writes."""
    sender = prose.ADDRESS.search(reading.headers.get("from")[:1_000])
    if not sender:
        return []
    domain = sender[0].rpartition("@")[2].lower()
    return [prose.Named(f"{name}@{domain}", reading.notice) for name in prose.bare_names(reading.notice)]


def listed(reading: Reading) -> list[str]:
    """Return the addresses of X-Failed-Recipients."""
    header = [address_in(v) for line in reading.headers.all("x-failed-recipients") for v in line.split(",")]
    return [address for address in dict.fromkeys(header) if address]


def judge(
    words: str,
    status: str,
    remote_mta: str,
    address: str,
    *,
    around: str = "",
    reporting_mta: str = "",
    own: Sequence[OwnRule] = (),
) -> Diagnosis:
    """Judge what is said of one address; a reply quoted in it is heard before the sentences around it.

    ``around`` is the notice, which may tell what a status part leaves out: the command that was refused.
    """
    provider = (remote_mta and provider_of(remote_mta)) or provider_of(address) or _filter_of(reporting_mta)
    command = command_within(words) or command_within(around)
    quoted = _SPOKEN.search(words)
    texts = (
        [words[quoted.start() : quoted.start() + _SMTP_WORDS].partition("\n\n")[0], words]
        if quoted
        else [words]
    )
    for text in texts:
        reply = read_reply(text)
        diagnosis = diagnose(
            provider=provider,
            code=reply.code,
            status=best_status(status, reply.status),
            text=reply.text,
            command=command,
            heard=False,
            own=own,
        )
        if diagnosis.category is not Category.UNKNOWN:
            break
    return diagnosis


def recipient(
    address: str,
    diagnosis: Diagnosis,
    words: str,
    remote_mta: str,
    *,
    delayed: bool = False,
    original: str = "",
) -> FailedRecipient:
    """Put a judgement down; while a letter is still tried, nothing about it is final."""
    return FailedRecipient(
        address=address,
        category=diagnosis.category,
        status=diagnosis.status,
        permanent=diagnosis.permanent and not delayed,
        dead=diagnosis.dead and not delayed,
        diagnostic=" ".join(words[:1_000].split()),
        remote_mta=remote_mta,
        original="" if original == address else original,
        reason=diagnosis.reason,
    )


def _of_fate(reading: Reading, fate: Fate, of: int) -> FailedRecipient:
    words, alone = fate.diagnostic, of == 1
    if not words and alone and (agent := _LOCAL_AGENT.search(reading.notice)):
        words = agent[0]  # Sendmail tells it in its transcript only, above a 554 of its own
    diagnosis = _judged(reading, fate, words, reading.notice if alone else "")
    if diagnosis.category is Category.UNKNOWN or (not words and diagnosis.status.endswith(".0.0")):
        words = _said_of(reading.notice, fate.address, of)
        closer = _judged(reading, fate, words)
        if closer.category is not Category.UNKNOWN:
            diagnosis = closer
        else:  # nobody understood either: a person reads what the remote system itself said
            words = fate.diagnostic or words
    return recipient(
        fate.address, diagnosis, words, fate.remote_mta, delayed=not fate.failed, original=fate.original
    )


def _judged(reading: Reading, fate: Fate, words: str, around: str = "") -> Diagnosis:
    return judge(
        words,
        fate.status,
        fate.remote_mta,
        fate.address,
        around=around,
        reporting_mta=fate.reporting_mta,
        own=reading.own,
    )


def _filter_of(reporting_mta: str) -> str | None:
    provider = provider_of(reporting_mta) if reporting_mta else None
    return provider if provider in _FILTERS else None


def _said_of(notice: str, address: str, of: int) -> str:
    """Return what the notice says from where it names ``address``, one ``of`` several, or from its start."""
    at = max(notice.lower().find(address.lower()), 0)
    return notice[at : at + (_SAID_LIMIT if of <= _WHOLE_NOTICE_FOR else _LINE_LIMIT)]
