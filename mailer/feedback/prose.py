"""Reading a notice meant for people: who failed, in whose words, and where the returned letter begins.

Mail systems that send no delivery-status part, or an empty one, still say it in sentences. The forms are
few: a line that begins with the address, a labelled address, a sentence around it, a session transcript.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

NOTICE_LIMIT = 20_000  # characters of a notice that are read; the longest honest ones have about 6,000
RECIPIENT_LIMIT = 100
_BEFORE = 200  # characters before an address, on its line, that say whether it is a bystander's

_LOCAL = r"[\w.!#$%&'*+/=?^{|}~-]{1,128}"
_ADDRESS = rf"(?>(?:\"[^\"\n@]{{1,64}}\"|{_LOCAL})@(?:[\w#-]{{1,63}}\.){{0,10}}[\w-]{{1,63}})"
ADDRESS = re.compile(_ADDRESS)

_RETURNED = re.compile(
    r"""^[ \t>]*(?:
        [-*=_\#+]{2,}[^\n]{0,40}?\b(?:original|returned|unsent|undelivered|copy|below
            |headers?\ (?:of|follows?)
            |message\ (?:headers?|follows|text|contents?|body)|mail\ follows|adjunto|weiter|nachricht
            |forwarded\ message|rejected\ message|start\ of|non-?deliverable)\b[^\n]*
      | (?:the\ |your\ )?(?:original|returned|rejected|undelivered)\ (?:message|mail|e-mail)(?:\ headers?)?
            (?:\ (?:follows|is\ (?:attached|included|below|reproduced))\b[^\n]*|[ \t]*[:.]?[ \t]*$)
      | (?:included|below|attached|the\ following|here)\ is\ (?:a\ |the\ )?(?:copy|header|original)[^\n]*
      | a\ (?:copy|summary)\ of\ (?:the|your)\ (?:original\ |undelivered\ )?message[^\n]*
      | your\ message\ (?:reads|was\ as\ follows|begins)[^\n]*
      | (?:the\ )?message\ headers?\ follows?\b[^\n]*
      | (?:原邮件|原始邮件|原信|以下是原)(?!信息)[^\n]*
      | received:[ \t]*(?:from|by|\()[^\n]*
      | return-path:[ \t]*<?[^\n]*
      | x-(?:originating-ip|ymail-osg|apparently-to):[^\n]*
      | dkim-signature:[^\n]*
    )$""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)

_LINE_BEGINS = re.compile(
    rf"""^[ \t>*•|-]*(?:\d{{3}}[ -](?:\d\.\d{{1,3}}\.\d{{1,3}}[ ]+)?|\d+\.\s+)?['"(\[]?
        (?:{_ADDRESS}[ \t]+(?=<))?  # written as the name before the address
        <?(?:mailto:|smtp:|rfc822;\s?)?(?P<address>{_ADDRESS})>?['")\]]*
        (?:[ \t]*$|[ \t]*[:;,.(<\[|-]|[ \t]+on\ |[ \t]{2}|(?-i:[ \t]+[A-Z]))""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
_LABELLED = re.compile(
    rf"""(?:\brcpt\ to[ :]|\b(?:failed|final|original|intended|invalid|unknown|bad)[ -]recipient
        (?:\ address)?\b
        |\brecipients?(?:\ address(?:es)?)?[ \t]*:|\berror-for[ ]*:|\baddressed\ to[ ]*:?|\baddress\ failed\b
        |\baddress[ ]*:|\be-?mail[ ]*:|收件人|收信人|邮箱|地址|\bmailbox\ for\b
        |\breturned\ permanent\ errors\b)
        [^@\n]{{0,30}}?(?P<address>{_ADDRESS})""",
    re.VERBOSE | re.IGNORECASE,
)
_SENTENCE = re.compile(
    rf"""(?:\b(?:un)?deliver(?:y|ed|ing|able)?\b|\bsen[dt]\b|\breach\b|\brecipients?\b|\bmailbox\b|\buser\b|\baccount\b
        |\bunknown\b|\brejected\b|\bquota\b|\bfailed\b|\baddress(?:es)?\b|\bgenerated\ from\b
        |\bexpanded\ from\b
        |\bfor\b|\bto\b|\bpara\b|\ban\b|\baan\b|不存在|投递|投遞|发送|發送|发给|發給|发往|发到|寄给|退回|被拒)
        [^@\n]{{0,60}}?[\s<'"(\[:：;“，给給往到至](?P<address>{_ADDRESS})""",
    re.VERBOSE | re.IGNORECASE,
)
_DELIVERING = re.compile(
    rf"\bdeliver\w*\ (?:your |the )?(?:e-?mail|mail|message) to <(?P<address>{_ADDRESS})>", re.I
)
_CLOSED_LIST = re.compile(
    rf"\bmember of (?:this |the )?(?:mailing |discussion )?list <(?P<address>{_ADDRESS})>", re.I
)
_BARE = re.compile(
    r"^.{0,200}\brecipients?\b.{0,300}:[ \t]*\n(?P<names>(?:[ \t]+[\w.-]{1,64}[ \t]*(?:\n|\Z)){1,100})",
    re.M | re.I,
)
_SENTENCE_AROUND = re.compile(r"^[^\x00-\x7f]+(?=[\x21-\x7e]+@)|(?<=[a-z]{2})[^\x00-\x7f]+$", re.I)
_ECHO = re.compile(rf"^[ \t>]*(?:to|cc|for)[ \t]*:[^@\n]{{0,80}}?(?P<address>{_ADDRESS})", re.M | re.I)
_NOT_ABOUT = re.compile(
    r"""\b(?:(?<!generated\ )(?<!expanded\ )from|e\.g|try|emailing|sender|reply-to|message-?id|contact
        |postmaster|abuse|support|assistance|administrator
        |help|return-path|originator|envelope-sender|your\ address|forward\ (?:this|it)|write\ to|email\ us
        |mailto:postmaster|references|in-reply-to|subject)\b
        |发件人|寄件|联系|聯絡|聯繫|管理员|管理員|客服|咨询|反馈|申诉|举报""",
    re.VERBOSE | re.IGNORECASE,
)
_DAEMONS = frozenset(
    (
        *("mailer-daemon", "mailerdaemon", "postmaster", "hostmaster", "abuse", "root"),
        *("helpdesk", "support", "noreply", "no-reply"),
    )
)
_NEVER = frozenset({"mailer-daemon", "mailerdaemon"})


@dataclass(frozen=True, slots=True)
class Named:
    """An address found in a notice, with the words said about it."""

    address: str
    words: str


def split_notice(text: str) -> tuple[str, str]:
    """Part a notice from the letter it returns: (what the system says, what we once said)."""
    text = text[: NOTICE_LIMIT * 4]
    for found in _RETURNED.finditer(text):
        if found.start() > 0 and text[: found.start()].strip():
            return text[: found.start()][:NOTICE_LIMIT], text[found.start() :]
    return text[:NOTICE_LIMIT], ""


def recipients_named(notice: str, ours: Iterable[str]) -> list[Named]:
    """Return those a notice says it failed for; ``ours`` (lower case) are the letter's own parties.

    The surest form that yields anyone wins; forms are not mixed: a vaguer one also picks up bystanders.
    """
    own = frozenset(ours)
    if "@" not in notice:
        return []
    for form in (_CLOSED_LIST, _LINE_BEGINS, _LABELLED, _SENTENCE, _ECHO):
        if places := _places(form, notice, own):
            return _with_words(notice, places)
    for form in (_LINE_BEGINS, _LABELLED, _DELIVERING):  # a letter to oneself, or to a postmaster
        if places := _places(form, notice, frozenset(), _NEVER):
            return _with_words(notice, places)
    return []


def is_closed_list(words: str) -> bool:
    """Tell whether a mailing list says that it takes letters from its members only."""
    return bool(_CLOSED_LIST.search(words))


def bare_names(notice: str) -> list[str]:
    """Return names that stand without a domain, each on a line, below words about recipients.

    AOL writes so about its own users: the domain is the notice's own.
    """
    found = _BARE.search(notice)
    return found["names"].split() if found else []


def _places(
    form: re.Pattern[str], notice: str, own: frozenset[str], daemons: frozenset[str] = _DAEMONS
) -> dict[str, int]:
    """Return address -> where it is first named, in order."""
    places: dict[str, int] = {}
    for found in form.finditer(notice):
        address = _SENTENCE_AROUND.sub("", found["address"].strip("'\"."))
        local = address.partition("@")[0].lower()
        if address.lower() in own or local in daemons or not local.strip("*"):  # stars: blacked out
            continue
        line_start = notice.rfind("\n", 0, found.start("address")) + 1
        before = max(line_start, found.start("address") - _BEFORE)
        if form is not _ECHO and _NOT_ABOUT.search(notice, before, found.start("address")):
            continue
        places.setdefault(address, line_start)
        if len(places) >= RECIPIENT_LIMIT:
            break
    return places


def _with_words(notice: str, places: dict[str, int]) -> list[Named]:
    seen: dict[str, Named] = {}
    starts = [*places.values(), len(notice)]
    for n, (address, start) in enumerate(places.items()):
        end = next((later for later in starts[n + 1 :] if later > start), len(notice))
        seen.setdefault(address.lower(), Named(address, notice[start : min(end, start + 2_000)]))
    return list(seen.values())
