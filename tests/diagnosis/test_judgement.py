"""What mail systems say, and what we make of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.diagnosis import Category, diagnose, diagnose_reply
from mailer.diagnosis.verdict import ABOUT_THE_ADDRESS


@pytest.mark.parametrize(
    ("reply", "category", "dead"),
    [
        ("550 5.1.1 <ann@there.example>: no such user", Category.BAD_MAILBOX, True),
        ("450 4.1.1 <ann@there.example>: user unknown for now", Category.BAD_MAILBOX, False),
        ("550 5.1.2 Host unknown", Category.BAD_DOMAIN, True),
        ("556 5.1.10 Recipient address has a null MX", Category.BAD_DOMAIN, True),
        ("552 5.2.2 Mailbox full", Category.MAILBOX_FULL, False),
        ("550 5.2.1 This account is disabled", Category.INACTIVE, False),
        ("550 5.7.1 Client host 192.0.2.1 blocked using bl.example", Category.REPUTATION, False),
        ("550 5.7.26 DMARC check failed", Category.POLICY, False),
        ("554 5.6.0 Message looks like spam", Category.CONTENT, False),
        ("421 4.7.0 Too many connections, slow down", Category.RATE, False),
        ("451 4.3.0 Temporary server error", Category.TECHNICAL, False),
        ("550 邮箱不存在", Category.BAD_MAILBOX, True),
        ("552 邮箱已满", Category.MAILBOX_FULL, False),
        ("554 疑似垃圾邮件", Category.CONTENT, False),
        ("550 宛先のユーザーが存在しません", Category.BAD_MAILBOX, True),
        ("550", Category.UNKNOWN, False),
        ("", Category.UNKNOWN, False),
    ],
)
def test_words_are_put_into_the_closed_vocabulary(reply: str, category: Category, dead: bool) -> None:
    """In several languages, with and without an enhanced status."""
    diagnosis = diagnose_reply(reply)
    assert (diagnosis.category, diagnosis.dead) == (category, dead), diagnosis.reason


@pytest.mark.parametrize(
    ("mx", "reply", "category"),
    [
        ("mx1.qq.com", "550 Mailbox unavailable or access denied", Category.RATE),
        ("mx.other.example", "550 Mailbox unavailable", Category.BAD_MAILBOX),
        ("mx.yandex.ru", "550 5.7.1 No such user!", Category.BAD_MAILBOX),
        ("mx.other.example", "550 5.7.1 Refused", Category.POLICY),
        ("163mx00.mxmail.netease.com", "554 DT:SPM mx9", Category.CONTENT),
        ("mail.school.example", "554 DT:SPM mx9", Category.CONTENT),  # Coremail's letters, at a customer's
    ],
)
def test_the_provider_s_own_meaning_is_asked_first(mx: str, reply: str, category: Category) -> None:
    """The same words mean different things in different mouths."""
    assert diagnose_reply(reply, mx).category == category


def test_what_is_said_to_mail_from_never_speaks_of_the_reader() -> None:
    """ "Does not exist" in reply to MAIL is about the sender (RFC 5321 §3.3)."""
    said = "550 <news@ours.example>: user unknown"
    assert diagnose_reply(said, command="RCPT").dead
    assert diagnose_reply(said, command="MAIL").category == Category.POLICY
    assert not diagnose_reply(said, command="EHLO").dead


def test_user_unknown_after_the_letter_was_taken_is_a_filter() -> None:
    """By DATA the recipient had been accepted, unless a status X.1.x says that the check came late."""
    assert diagnose_reply("550 user unknown", command="DATA").category == Category.POLICY
    assert diagnose_reply("550 5.1.1 user unknown", command="DATA").dead


def test_hearsay_kills_no_address() -> None:
    """A report's bare "user unknown" is no proof; a status X.1.x, or an answer to RCPT, is (law 4)."""

    def told(status: str | None, command: str | None) -> bool:
        return diagnose(
            provider=None, code=550, status=status, text="user unknown", command=command, heard=False
        ).dead

    assert [told(None, None), told("5.1.1", None), told(None, "RCPT")] == [False, True, True]


def test_what_merely_lasted_too_long_is_not_permanent() -> None:
    """X.4.7 closes the queue, not the mailbox, whatever class it is written in."""
    diagnosis = diagnose_reply("554 5.4.7 Message expired: connection timed out")
    assert (diagnosis.category, diagnosis.permanent) == (Category.TECHNICAL, False)


def test_a_reply_of_several_lines_is_one_reply() -> None:
    """Codes repeated on each line are taken off, the words joined (RFC 5321 §4.2.1)."""
    diagnosis = diagnose_reply("550-5.1.1 The account\r\n550-5.1.1 you tried does\r\n550 5.1.1 not exist")
    assert (diagnosis.status, diagnosis.dead) == ("5.1.1", True)


def test_a_number_that_words_contradict_is_not_believed() -> None:
    """556 is for domains that take no mail (RFC 7504); a system that counts recipients with it says so."""
    assert diagnose_reply("556 there.example").dead
    assert not diagnose_reply("556 too many recipients").dead


def test_a_vague_status_gives_way_to_the_one_in_the_words() -> None:
    """Reporting systems write 5.0.0 over what the remote system said."""
    diagnosis = diagnose(provider=None, code=550, status="5.0.0", text="550 5.2.2 quota exceeded")
    assert diagnosis.status == "5.2.2"


_REPLIES = st.one_of(
    st.text(),
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["421", "450", "550", "554", ""]),
        st.sampled_from(["", "4.7.1", "5.1.1", "5.7.1"]),
        st.sampled_from(["user unknown", "blocked", "quota exceeded", "域名不存在", "host not found"]),
    ),
)


@given(_REPLIES, st.sampled_from([None, "mx1.qq.com", "aspmx.l.google.com"]), st.booleans())
def test_only_words_about_the_address_may_silence_it(reply: str, mx: str | None, after_data: bool) -> None:
    """Law 4, for any words at all: dead implies permanent and a category about the address."""
    diagnosis = diagnose_reply(reply, mx, command="DATA" if after_data else "RCPT")
    if diagnosis.dead:
        assert diagnosis.permanent
        assert diagnosis.category in ABOUT_THE_ADDRESS
