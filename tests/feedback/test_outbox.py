"""The outbox keeps letters exactly, finds them, and takes them apart for showing."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.feedback.outbox import PAGE_SIZE, NoSuchLetter, Outbox, taken_apart
from tests.make import NOON


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path)


def letter(subject: str = "绿色观察 12", *, html: str = "<p>河流 &amp; rivers</p>") -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "observer@news.example", "ann@example.org", subject
    message.set_content("河流 & rivers")
    message.add_alternative(html, subtype="html")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="报告.pdf")
    return message.as_bytes()


def put(outbox: Outbox, to: str = "ann@example.org", content: bytes = b"", at: datetime = NOON) -> None:
    outbox.record(
        received_at=at, mail_from="b-x@bounces.example", recipients=[to], content=content or letter()
    )


def test_a_letter_comes_out_as_it_went_in(outbox: Outbox) -> None:
    """Byte for byte, with what the envelope said."""
    content = letter()
    put(outbox, content=content, at=NOON.astimezone(timezone(timedelta(hours=8))))
    [caught] = outbox.listing()
    assert outbox.letter(caught.id) == content
    assert (caught.mail_from, caught.rcpt_to) == ("b-x@bounces.example", "ann@example.org")
    assert (caught.subject, caught.size) == ("绿色观察 12", len(content))
    assert caught.received_at == NOON
    assert caught.received_at.tzinfo == UTC


def test_each_recipient_counts(outbox: Outbox) -> None:
    """The count is of letters to readers, whatever the envelopes looked like."""
    outbox.record(
        received_at=NOON, mail_from="", recipients=["a@example.org", "b@example.org"], content=letter()
    )
    assert outbox.count() == 2


def test_letters_outlive_the_process(outbox: Outbox, tmp_path: Path) -> None:
    """Another opening of the same folder finds them."""
    put(outbox)
    outbox.close()
    assert Outbox(tmp_path).count() == 1


def test_the_listing_is_newest_first_and_in_pages(outbox: Outbox) -> None:
    """Every letter stands on exactly one page."""
    for number in range(PAGE_SIZE + 3):
        put(outbox, to=f"reader-{number}@example.org", content=b"Subject: x\r\n\r\n")
    first, second = outbox.listing(page=1), outbox.listing(page=2)
    assert [len(first), len(second), len(outbox.listing(page=3))] == [PAGE_SIZE, 3, 0]
    assert [caught.id for caught in first + second] == list(range(PAGE_SIZE + 3, 0, -1))


@pytest.mark.parametrize(
    ("search", "found"), [("ann", 1), ("河流", 1), ("100%", 1), ("_", 0), ("\\", 0), ("", 3)]
)
def test_search_looks_in_recipients_and_subjects(outbox: Outbox, search: str, found: int) -> None:
    """The signs that SQL gives a meaning are ordinary signs here."""
    put(outbox, to="ann@example.org", content=letter("News"))
    put(outbox, to="bob@example.org", content=letter("关于河流"))
    put(outbox, to="eve@example.org", content=letter("100% green"))
    assert len(outbox.listing(search)) == outbox.count(search) == found


def test_a_letter_is_taken_apart(outbox: Outbox) -> None:
    """Headers are decoded; what is neither text nor HTML is an attachment."""
    put(outbox)
    parts = outbox.parts(1)
    assert dict(parts.headers)["Subject"] == "绿色观察 12"
    assert parts.html is not None
    assert parts.html.strip() == "<p>河流 &amp; rivers</p>"
    assert parts.text is not None
    assert parts.text.strip() == "河流 & rivers"
    assert [(one.file_name, one.media_type, one.size) for one in parts.attachments] == [
        ("报告.pdf", "application/pdf", 8)
    ]


def test_a_letter_that_is_not_there_is_said_so(outbox: Outbox) -> None:
    """404, in one sentence."""
    with pytest.raises(NoSuchLetter, match="no such letter"):
        outbox.parts(7)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=100).map(lambda t: f"Subject: {t}\n\n{t}".encode()))
)
def test_any_bytes_can_be_shown(content: bytes) -> None:
    """What the listener took, the page can show."""
    parts = taken_apart(content)
    "".join(value for _, value in parts.headers).encode()
    (parts.text or parts.html or "").encode()


@settings(max_examples=100, deadline=None)
@given(content=st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda b: b"Subject: " + b)))
def test_any_bytes_can_be_kept(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A strange subject loses no letter."""
    box = Outbox(tmp_path_factory.getbasetemp() / "any")
    before = box.count()
    put(box, content=content or b"x")
    assert box.count() == before + 1
    assert box.letter(box.listing()[0].id) == (content or b"x")
    box.close()


def test_many_threads_lose_nothing(outbox: Outbox, tmp_path: Path) -> None:
    """The web reads in other threads while the listener writes."""
    other = Outbox(tmp_path)
    boxes = [outbox, other, outbox, other]

    def fill(box: Outbox) -> None:
        for _ in range(25):
            put(box, content=b"Subject: x\r\n\r\n")
            box.listing()

    threads = [threading.Thread(target=fill, args=(box,)) for box in boxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.count() == other.count() == 100
