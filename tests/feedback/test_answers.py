"""A person's own answer goes to the desk, once, and can never go round in circles."""

from __future__ import annotations

import email
from collections.abc import Iterator
from datetime import datetime, timedelta
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from mailer.accounts.audit import SYSTEM
from mailer.database import Database
from mailer.delivery.store import Event
from mailer.feedback import answers, forwarding, store
from mailer.feedback.answers import PER_LETTER, State
from mailer.feedback.record import Heard, hear
from mailer.feedback.store import Answer
from mailer.settings import Settings
from tests.feedback import samples
from tests.make import KEYS, NOON, Make
from tests.smtphost import SmtpHost


@pytest.fixture
def relay() -> Iterator[SmtpHost]:
    with SmtpHost() as relay:
        yield relay


class Post:
    """Answers come in, and are passed on through a relay."""

    def __init__(self, database: Database, settings: Settings, relay: SmtpHost) -> None:
        self.database, self.relay = database, relay
        self.settings = settings.model_copy(update={"smtp_url": relay.url})

    def comes(self, raw: bytes, to: str, at: datetime = NOON) -> Heard:
        with self.database.write() as session:
            return hear(session, raw=raw, envelope_to=to, now=at, keys=KEYS)

    def passes(self, at: datetime = NOON) -> list[EmailMessage]:
        """Pass on what waits; return the letters that the desk got by it."""
        before = len(self.relay.letters)
        answers.pass_on(self.database, settings=self.settings, now=at)
        return [_parsed(letter.body) for letter in self.relay.letters[before:]]

    def answer(self) -> Answer:
        with self.database.read() as session:
            return session.scalars(select(Answer)).one()


@pytest.fixture
def post(database: Database, settings: Settings, relay: SmtpHost) -> Post:
    return Post(database, settings, relay)


def _parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def written(subject: str = "Re: Green Observer", words: str = "Thank you!", **headers: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ann Lee <ann@example.org>", "x@example.net", subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(words)
    return message.as_bytes(policy=policy.SMTP)


def test_an_answer_goes_to_the_desk_whole(post: Post, relay: SmtpHost, make: Make) -> None:
    """Its words to be read at once, the mail itself attached, and a reply goes to the reader."""
    raw = written(words="Could you send me the figures?")
    assert post.comes(raw, samples.return_path(make.delivery())).answer
    [letter] = post.passes()
    assert (relay.letters[0].sender, relay.letters[0].recipient) == ("", "desk-observer@news.example")
    assert (letter["Reply-To"], letter["Subject"]) == (
        "Ann Lee <ann@example.org>",
        "Ann Lee: Re: Green Observer",
    )
    assert letter["From"] == "Green Observer <observer@news.example>"
    words, attached = letter.iter_parts()
    assert "Could you send me the figures?" in words.get_content()
    assert attached.get_content_type() == "message/rfc822"
    assert raw.strip() in relay.letters[0].body
    assert post.answer().state == State.PASSED


def test_an_answer_is_no_event(post: Post, database: Database, make: Make) -> None:
    """It says nothing about an address."""
    post.comes(written(), samples.return_path(make.delivery()))
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 0


def test_an_answer_that_came_to_a_mailbox_is_known_by_what_it_answers(post: Post, make: Make) -> None:
    """It went to the sender's address, not to the return path."""
    delivery = make.delivery()
    raw = written(In_Reply_To=samples.message_id(delivery))
    assert post.comes(raw, "").delivery == (delivery.campaign_id, delivery.n)
    assert len(post.passes()) == 1


def test_twice_told_it_is_passed_on_once(post: Post, make: Make) -> None:
    """The peer came again; the task ran twice."""
    path = samples.return_path(make.delivery())
    post.comes(written(), path)
    post.comes(written(), path)
    assert [len(post.passes()) for _ in range(2)] == [1, 0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-generated"},
        {"Precedence": "bulk"},
        {"List_Id": "<news.example.net>"},
        {"Return_Path": "<>"},
        {forwarding.PASSED_ON.replace("-", "_"): "bounces.example"},
        {"Reply_To": "observer@news.example"},
        {"Reply_To": "desk-observer@news.example"},
    ],
)
def test_what_a_machine_wrote_or_we_is_kept_for_a_person(
    post: Post, make: Make, headers: dict[str, str]
) -> None:
    """Nothing goes round in circles; a person who has looked may pass it on."""
    heard = post.comes(written(**headers), samples.return_path(make.delivery()))
    assert heard.kind in ("ordinary", "auto_reply")
    if heard.kind == "auto_reply":
        return
    assert post.passes() == []
    assert post.answer().state == State.KEPT
    with post.database.write() as session:
        answers.again(session, post.answer().mail_id, now=NOON, actor=SYSTEM)
    assert len(post.passes()) == 1


def test_what_we_send_the_desk_cannot_come_round(post: Post, make: Make) -> None:
    """The desk's address forwards to a return path of ours, by somebody's mistake."""
    path = samples.return_path(make.delivery())
    post.comes(written(), path)
    post.passes()
    post.comes(post.relay.letters[0].body, path)
    assert post.passes() == []


def test_a_desk_that_is_ourselves_gets_nothing(post: Post, database: Database, make: Make) -> None:
    """And the secretariat is told what to set."""
    delivery = make.delivery()
    with database.write() as session:
        store.publication_of(session, delivery.campaign_id).desk_address = f"desk@{samples.BOUNCES}"
    post.comes(written(), samples.return_path(delivery))
    assert post.passes() == []
    assert (post.answer().state, "--desk" in str(post.answer().said)) == (State.KEPT, True)


def test_an_answer_that_the_desk_has_is_not_sent_again(post: Post, database: Database, make: Make) -> None:
    """The mailbox we read is the desk's own."""
    raw = written(Cc="Desk <DESK-observer@news.example>")
    heard = post.comes(raw, samples.return_path(make.delivery()))
    assert (heard.answer, heard.concerns_us) == (False, False)
    assert post.passes() == []


def test_absence_notices_are_not_passed_on_and_challenges_wait_for_a_person(post: Post, make: Make) -> None:
    """A filter that asks whether we are people is for a person to answer."""
    path = samples.return_path(make.delivery())
    post.comes(samples.auto_reply(), path)
    post.comes(
        written("Please confirm", "Please click on the following link to have your mail delivered: x"), path
    )
    assert post.passes() == []
    assert (post.answer().state, "whether we are people" in str(post.answer().said)) == (State.KEPT, True)


def test_a_reader_sends_a_flood_and_the_desk_gets_a_few(post: Post, make: Make) -> None:
    """The rest is kept."""
    path = samples.return_path(make.delivery())
    for number in range(PER_LETTER + 3):
        post.comes(written(words=f"Number {number}"), path)
    assert len(post.passes()) == PER_LETTER
    post.comes(written(words="a day later"), path, NOON + timedelta(days=1, minutes=1))
    assert len(post.passes(NOON + timedelta(days=1, minutes=1))) == 1


def test_while_the_relay_is_away_an_answer_waits(post: Post, make: Make) -> None:
    """It is tried again in ten minutes, then twenty …"""
    post.relay.answers("RCPT", "451 4.3.0 later", times=1)
    post.comes(written(), samples.return_path(make.delivery()))
    assert post.passes() == []
    assert post.passes(NOON + timedelta(minutes=9)) == []
    assert len(post.passes(NOON + timedelta(minutes=10))) == 1


def test_an_answer_that_the_relay_refuses_is_kept_with_its_words(post: Post, make: Make) -> None:
    """For a person to see."""
    post.relay.answers("RCPT", "550 5.1.1 No such desk")
    post.comes(written(), samples.return_path(make.delivery()))
    post.passes()
    assert (post.answer().state, "No such desk" in str(post.answer().said)) == (State.KEPT, True)


def test_after_four_days_it_is_kept(post: Post, make: Make) -> None:
    """As relays give up."""
    post.relay.answers("RCPT", "451 4.3.0 later")
    post.comes(written(), samples.return_path(make.delivery()))
    post.passes(NOON + timedelta(days=5))
    assert post.answer().state == State.KEPT


def test_a_chinese_answer_with_a_file_arrives(post: Post, make: Make, database: Database) -> None:
    """Eight bits, and more than a bounce may have."""
    delivery = make.delivery(subscriber=make.subscriber(language="zh"))
    message = _parsed(written("回复：绿色观察", "谢谢！请寄一份报告。"))
    message.add_attachment(b"\0" * 3_000_000, maintype="application", subtype="pdf", filename="表.pdf")
    raw = message.as_bytes().replace(
        b"Content-Type: text/plain", b"X-Raw: \xe7\xbb\xbf\r\nContent-Type: text/plain", 1
    )
    post.comes(raw, samples.return_path(delivery))
    [letter] = post.passes()
    words, attached = letter.iter_parts()
    assert "谢谢！请寄一份报告。" in words.get_content()
    assert attached.get_content() == raw
    assert (attached.get_filename(), letter["From"]) == ("answer.eml", "绿色观察 <observer@news.example>")


@given(st.binary(max_size=600))
def test_any_answer_makes_a_letter(raw: bytes) -> None:
    """Whatever stands in its headers, ours are ours."""
    sender = ("Green Observer", "observer@news.example")
    made = forwarding.letter(
        b"From: " + raw, to="desk@example.org", sender=sender, newsletter="绿", host="b.example", now=NOON
    )
    message = _parsed(made)
    assert message["To"] == "desk@example.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert len(message.get_all("From", [])) == len(message.get_all("Subject", [])) == 1


def test_the_same_answer_has_the_same_message_id(make: Make, post: Post, database: Database) -> None:
    """Whoever dies after sending sends it again, and the desk can tell."""
    post.comes(written(), samples.return_path(make.delivery()))
    [first] = post.passes()
    with database.write() as session:
        answers.again(session, post.answer().mail_id, now=NOON, actor=SYSTEM)
    [second] = post.passes()
    assert first["Message-ID"] == second["Message-ID"]
