"""Mail that came back is read for what it is, and nothing in it can hurt."""

from __future__ import annotations

import base64
import quopri
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.bench.hostile import INPUTS
from mailer.diagnosis import diagnose_reply
from mailer.feedback.message import Kind, Returned, classify, take_in

SAMPLES = Path(__file__).parent.parent / "data" / "bounces"
CORPUS = Path(__file__).parents[3] / "shared" / "bounces"
ALL = sorted(SAMPLES.rglob("*.eml"))


def _named(folder: str, *, within: bool = False) -> list[str]:
    return sorted(
        f"{folder}/{path.stem}" if within else path.stem for path in (SAMPLES / folder).glob("*.eml")
    )


def read(name: str) -> Returned:
    return classify((SAMPLES / f"{name}.eml").read_bytes())


def said(name: str) -> list[tuple[str, str, bool]]:
    """(address, category, dead) of each recipient a sample names."""
    return [(one.address, one.category.value, one.dead) for one in read(name).recipients]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("postfix-unknown", Kind.BOUNCE),
        ("postfix-delayed", Kind.DELAY),
        ("exim-warning", Kind.DELAY),
        ("forwarded-dsn", Kind.BOUNCE),
        ("ses-notification", Kind.BOUNCE),
        ("arf-abuse", Kind.COMPLAINT),
        ("arf-redacted", Kind.COMPLAINT),
        ("vacation", Kind.AUTO_REPLY),
        ("vacation-zh", Kind.AUTO_REPLY),
        ("challenge", Kind.CHALLENGE),
        ("delivered", Kind.DELIVERED),
        ("ordinary", Kind.ORDINARY),
        ("ordinary-about-bounces", Kind.ORDINARY),
    ],
)
def test_each_kind_is_known_by_its_signs(name: str, kind: Kind) -> None:
    """A person who writes about bounces does not bounce; a machine's own mark decides before its words."""
    assert read(name).kind is kind


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("postfix-unknown", [("li.na@ministry.example", "bad_mailbox", True)]),
        ("global-utf8", [("张三@例子.example", "bad_mailbox", True)]),
        ("exim-full", [("amina@ngo.example", "mailbox_full", False)]),
        (
            "qmail-two",
            [
                ("kofi@university.example", "bad_mailbox", True),
                ("olga@institute.example", "mailbox_full", False),
            ],
        ),
        ("sendmail-transcript", [("peter@company.example", "reputation", False)]),
        ("chinese-unknown", [("wang.wei@youjian.example", "bad_mailbox", False)]),
        ("chinese-spam", [("zhao.min@youjian.example", "content", False)]),
        ("japanese-unknown", [("sato@kaisha.example", "bad_mailbox", True)]),
        ("html-only", [("ines@foundation.example", "bad_mailbox", True)]),
        ("forwarded-dsn", [("li.na@ministry.example", "bad_mailbox", True)]),
        ("forwarded-as-text", [("li.na@ministry.example", "bad_mailbox", True)]),
        ("forwarded-quoted", [("li.na@ministry.example", "bad_mailbox", True)]),
        ("bounce-of-a-bounce", [("desk@old.example", "bad_mailbox", True)]),
        ("pipe", [("desk@bureau.example", "mailbox_full", False)]),
        ("ses-notification", [("yusuf@chamber.example", "bad_mailbox", True)]),
        ("arf-abuse", [("tom@home.example", "complaint", False)]),
        ("arf-redacted", []),
        ("vacation", []),
        ("ordinary", []),
    ],
)
def test_who_failed_and_why(name: str, expected: list[tuple[str, str, bool]]) -> None:
    """In status parts and in sentences; bystanders (senders, desks, signatures) are never named."""
    assert said(name) == expected


@pytest.mark.parametrize("system", _named("notices"))
def test_every_system_says_it_in_its_own_form(system: str) -> None:
    """Without a status part: the one who failed is named, and nobody who stands around."""
    returned = read(f"notices/{system}")
    assert [one.address for one in returned.recipients] == ["lena@harbour.example"]
    assert returned.kind is (Kind.DELAY if "delay" in system else Kind.BOUNCE)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for folder, kind in (
            ("people", Kind.ORDINARY),
            ("machines", Kind.AUTO_REPLY),
            ("challenges", Kind.CHALLENGE),
        )
        for name in _named(folder, within=True)
    ],
)
def test_what_people_and_their_machines_write_is_no_bounce(name: str, kind: Kind) -> None:
    """People write about bounces, quote them and go on holiday; nobody is named as failed."""
    returned = read(name)
    assert (returned.kind, returned.recipients) == (kind, ())


_CHARSETS = {
    **dict.fromkeys(
        ("qq", "exmail", "163", "coremail", "alimail", "sina"), ("utf-8", "gb2312", "gb18030", "")
    ),
    "sohu": ("utf-8", "big5", "gbk", ""),  # writes for Taiwan
}
_DRESSES = [
    (provider, charset, encoding)
    for provider, charsets in _CHARSETS.items()
    for charset in charsets
    for encoding in ("8bit", "base64", "quoted-printable")
]


@pytest.mark.parametrize(("provider", "charset", "encoding"), _DRESSES)
def test_chinese_notices_read_the_same_in_every_dress(provider: str, charset: str, encoding: str) -> None:
    """Declared or not; what has no charset is UTF-8, GB18030 or Big5, whichever makes sense of it."""
    head, _, body = (SAMPLES / "notices" / f"{provider}.eml").read_text("utf-8").partition("\n\n")
    written = body.encode(charset or ("big5" if provider == "sohu" else "gb18030"))
    wrap = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(encoding, bytes)
    head = head.replace("; charset=utf-8", f"; charset={charset}" if charset else "")
    raw = f"{head}\nContent-Transfer-Encoding: {encoding}\n\n".encode() + wrap(written)
    (one,), (plain,) = classify(raw).recipients, read(f"notices/{provider}").recipients
    assert (one.address, one.category, one.dead) == (plain.address, plain.category, plain.dead)
    assert one.diagnostic == plain.diagnostic


def test_a_delay_says_nothing_final() -> None:
    """Whatever the words, a letter still in the queue kills no address."""
    (waiting,) = read("postfix-delayed").recipients
    assert (waiting.permanent, waiting.dead, waiting.category) == (False, False, "technical")


def test_the_letter_it_returns_is_found_again() -> None:
    """Attribution looks for its token in the address the report came to and in the returned headers."""
    found = take_in((SAMPLES / "postfix-unknown.eml").read_bytes()).addresses
    assert "b.7k2m.x9q4@bounce.coalition.example" in found.delivered_to
    assert found.original_return_path == "b.7k2m.x9q4@bounce.coalition.example"
    assert (
        found.original_message_id
        == read("postfix-unknown").original_message_id
        == "<d.7k2m.x9q4@coalition.example>"
    )


def test_a_complaint_is_matched_even_when_addresses_are_blacked_out() -> None:
    """RFC 5965 lets the reporter redact; the signed Message-ID stays."""
    complaint = read("arf-redacted")
    assert (complaint.feedback_type, complaint.original_message_id) == ("abuse", "<d.9@coalition.example>")


def test_a_letter_quoted_as_text_tells_its_message_id() -> None:
    """Exim and qmail paste the letter below a line instead of attaching it."""
    assert read("exim-full").original_message_id == "<d.1@coalition.example>"
    assert read("qmail-two").original_return_path == "b.3@bounce.coalition.example"


def test_line_ends_and_mbox_lines_do_not_matter() -> None:
    """A mailbox file, a Unix pipe and an SMTP server hand over the same mail in three dresses."""
    raw = (SAMPLES / "postfix-unknown.eml").read_bytes()
    assert (
        classify(raw.replace(b"\n", b"\r\n"))
        == classify(b"From MAILER-DAEMON Mon Nov  2\n" + raw)
        == classify(raw)
    )


@given(st.sampled_from(ALL), st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_mail_is_read_without_a_fault(sample: Path, data: st.DataObject) -> None:
    """Bytes changed, cut out and repeated anywhere; every answer still keeps law 4."""
    raw = bytearray(sample.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=12))
    returned = take_in(bytes(raw)).returned
    assert all(one.permanent or not one.dead for one in returned.recipients)


@given(st.binary(max_size=2_000))
@settings(deadline=None)
def test_any_bytes_are_mail(raw: bytes) -> None:
    """Nothing is raised, whatever arrives."""
    assert classify(raw).kind in Kind


@pytest.mark.parametrize("name", INPUTS)
def test_hostile_mail_costs_no_more_than_a_second_and_a_hundred_megabytes(name: str) -> None:
    """Issue 4 allows 1 s and 256 MB; memory is measured in a run of its own because tracing slows it down."""
    raw = INPUTS[name]()
    began = time.process_time()
    take_in(raw)
    took = time.process_time() - began
    tracemalloc.start()
    classify(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 1.0
    assert peak < 100_000_000


# -- against real mail, where it is at hand ---------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled() -> list[tuple[dict[str, str], Returned]]:
    """Every message of the labelled corpus beside the checkout, with its labels."""
    if not CORPUS.is_dir():
        pytest.skip("the labelled corpus ../shared/bounces is not on this machine")
    names = ("sha", "file", "kind", "recipients", "category", "status", "dead")
    lines = (CORPUS / "labels.tsv").read_text(encoding="utf-8").splitlines()
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines if not line.startswith("#")]
    return [(row, classify((CORPUS / "mail" / row["file"]).read_bytes())) for row in rows]


def rate(hits: list[bool]) -> float:
    assert hits
    return sum(hits) / len(hits)


def names_of(row: dict[str, str]) -> list[set[str]]:
    return [set(one.lower().split("|")) for one in row["recipients"].split(",") if one]


def test_real_mail_every_failed_recipient_is_found(labelled: list[tuple[dict[str, str], Returned]]) -> None:
    """At least 98.5 % of bounces and delays, and hardly a bystander."""
    found, wrong = [], []
    for row, returned in labelled:
        if row["kind"] in ("bounce", "delay"):
            named = {one.address.lower() for one in returned.recipients}
            found.append(all(names & named for names in names_of(row)))
            wrong.append(bool(named - set().union(*names_of(row))))
    assert rate(found) >= 0.985
    assert sum(wrong) <= 3


def test_real_mail_nothing_else_is_taken_for_a_bounce(
    labelled: list[tuple[dict[str, str], Returned]],
) -> None:
    """Complaints, answers, challenges, people; one mail labelled ordinary marks itself X-Autoreply."""
    others = [
        (row["kind"], returned.kind) for row, returned in labelled if row["kind"] not in ("bounce", "delay")
    ]
    assert all(got not in (Kind.BOUNCE, Kind.DELAY) for _, got in others)
    assert all(got == kind for kind, got in others if kind != "ordinary")
    assert sum(got is not Kind.ORDINARY for kind, got in others if kind == "ordinary") <= 1


def test_real_mail_category_and_death(labelled: list[tuple[dict[str, str], Returned]]) -> None:
    """Floors under what is reached today: they only ever rise."""
    category, dead, living, delayed = [], [], [], []
    for row, returned in labelled:
        says_dead = any(one.dead for one in returned.recipients)
        if row["kind"] in ("bounce", "delay") and row["category"]:
            got = {one.category.value for one in returned.recipients}
            category.append(bool(got) and got <= set(row["category"].split("|")))
        if row["dead"] == "1":
            dead.append(says_dead)
        elif row["dead"] == "0":
            living.append(says_dead)
        if row["kind"] == "delay":
            delayed.append(any(one.permanent for one in returned.recipients))
    assert rate(category) >= 0.92
    assert rate(dead) >= 0.98
    assert rate(living) <= 0.01
    assert not any(delayed)


def test_real_replies_are_understood() -> None:
    """Replies as the providers document them, Chinese ones included."""
    if not CORPUS.is_dir():
        pytest.skip("the labelled corpus ../shared/bounces is not on this machine")
    right = []
    for line in (CORPUS / "replies.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            _, mx, reply, category, dead = line.split("\t")
            diagnosis = diagnose_reply(reply, mx)
            assert diagnosis.dead == (dead == "1"), reply
            right.append(diagnosis.category == category)
    assert rate(right) >= 0.97
