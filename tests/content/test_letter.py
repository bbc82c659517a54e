"""The assembled letter is the one a patient person would build with the standard library, only sooner."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from html import escape

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mailer.content import slots
from mailer.content.compile import Compiled, compile_edition
from mailer.content.encoding import BadHeader, one_line
from mailer.content.letter import Attachment, Blueprint, Heading
from tests.content import editions

HEADING = Heading(
    sender_name="流域联盟秘书处",
    sender_address="news@example.org",
    subject="流域观察 第12期",
    list_id="observer.news.example.org",
    list_name="The Basin Observer",
    reply_to="desk@example.org",
    feedback_id="12:observer:mailer",
    leave_by_mail=True,
)
READER = editions.READER
names = st.one_of(
    st.text(max_size=90),
    st.text('李明Å"\\,;<>@()[] .=?_\r\n\t\u2028', max_size=40),
    st.sampled_from(["=?utf-8?q?x?=", '"Ann" <a@b>', "a\r\nBcc: x@y.z", "😀" * 40]),
)
# Slot values as bodies meet them; NUL and line ends become spaces, so compare after one_line.
fillings = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def edition(html: str, text: str = "Text\n") -> Compiled:
    """Return an edition of just these two parts."""
    return Compiled(language="en", subject="S", mjml="", html=html, text=text, links=())


def read(raw: bytes) -> EmailMessage:
    """Parse as the strictest reader at hand."""
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert [part.defects for part in message.walk() if part.defects] == []
    return message


def body(message: EmailMessage, kind: str) -> str:
    """Return a part's text with plain line ends."""
    part = message.get_body((kind,))
    assert part is not None
    return part.get_content().replace("\r\n", "\n")


def shown_name(raw: bytes, field: str) -> str:
    """Return a mailbox's name. Not by policy.default: Python 3.11 puts spaces between encoded words there."""
    name, _ = parseaddr(str(message_from_bytes(raw)[field]))
    return str(make_header(decode_header(name)))


def plainly(made: Compiled, heading: Heading, values: dict[str, str]) -> EmailMessage:
    """Build the same letter the plain way, with nothing of ours but the slots."""
    message = EmailMessage()
    message["From"] = Address(heading.sender_name, addr_spec=heading.sender_address)
    message["To"] = Address(one_line(values["to_name"]), addr_spec=values["to_address"])
    message["Subject"] = one_line(heading.subject or values["subject"])
    message["Date"] = values["date"]
    message["Message-ID"] = values["message_id"]
    lined = {name: one_line(value) if not value.isprintable() else value for name, value in values.items()}
    message.set_content(slots.fill(made.text, lined))
    message.add_alternative(slots.fill(made.html, lined, escape), subtype="html")
    return message


def wire_is_sound(raw: bytes) -> None:
    """No bare line end, no line beginning with a dot, none above 998 octets, no octet above 127."""
    lines = raw.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert not any(line.startswith((b".", b"From ")) for line in lines)
    assert max(map(len, lines)) <= 998
    assert raw.isascii()


@pytest.mark.parametrize("document", [editions.zh(), editions.en()], ids=["base64 text", "quoted-printable"])
def test_a_real_edition_arrives_whole(document):
    """Both parts, every slot, whatever encoding was shorter."""
    made = compile_edition(document, look=editions.LOOK, places=editions.PLACES)
    raw = Blueprint.build(made, HEADING).letter(READER)
    wire_is_sound(raw)
    message = read(raw)
    assert message.get_content_type() == "multipart/alternative"
    assert body(message, "plain") == slots.fill(made.text, READER)
    assert body(message, "html") == slots.fill(made.html, READER, escape)


def test_the_header_says_who_and_how_to_leave():
    """RFC 8058 needs both lines; RFC 2919 names the list; vacation programs are told to be silent."""
    message = read(Blueprint.build(edition("<p>x</p>\n"), HEADING).letter(READER))
    assert message["From"] == "流域联盟秘书处 <news@example.org>"
    assert message["Reply-To"] == "desk@example.org"
    assert message["To"] == "李明 <li.ming@example.org>"
    assert message["Subject"] == "流域观察 第12期"
    assert message["Message-ID"] == "<ab2cd3@news.example.org>"
    assert message["List-Unsubscribe"] == (
        "<https://news.example.org/leave/ab2cd3>, <mailto:leave+ab2cd3@news.example.org>"
    )
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == "The Basin Observer <observer.news.example.org>"
    assert message["Feedback-ID"] == "12:observer:mailer"
    assert message["Precedence"] == "bulk"
    assert message["Content-Language"] == "en"


@settings(max_examples=150, deadline=None)
@given(names, names, fillings, fillings)
@example("a\r\nBcc: victim@example.org", "x\ny", ".", "From here")
def test_any_reader_gets_the_letter_the_plain_way_would_build(name, subject, salutation, token):
    """Names in any script, line ends in names, slot values of any kind: same headers, same parts."""
    made = edition(
        f"<p>{slots.mark('salutation')}</p>{slots.mark('token')}\n.\n{slots.mark('token')}中文\n",
        f"{slots.mark('salutation')}\n中{slots.mark('token')}{slots.mark('salutation')},{slots.mark('token')}文文文\n",
    )
    heading = Heading("News", "news@example.org", None, "list.example.org")
    values = READER | {"to_name": name, "subject": subject, "salutation": salutation, "token": token}
    raw = Blueprint.build(made, heading).letter(values)
    wire_is_sound(raw)
    message, wanted = read(raw), plainly(made, heading, values)
    assert shown_name(raw, "To") == one_line(name)
    assert message["To"].addresses[0].addr_spec == values["to_address"]
    assert message["Subject"] == one_line(subject)
    assert message["Date"].datetime == wanted["Date"].datetime
    assert len(message.keys()) == len(set(message.keys()))
    assert "Bcc" not in message
    assert body(message, "plain") == body(wanted, "plain")
    assert body(message, "html") == body(wanted, "html")


pieces = st.lists(
    st.one_of(
        st.sampled_from(
            [slots.mark("token"), slots.mark("view"), "\n", ".", " \n", "=", "From ", "文" * 30, "x" * 80]
        ),
        st.text(st.characters(exclude_categories=["Cs", "Co"], exclude_characters="\r"), max_size=5),
    ),
    max_size=20,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(pieces, st.text("aé文.=F ", max_size=90), st.text("a文", max_size=9))
def test_any_text_with_slots_anywhere_survives_both_encodings(text, token, view):
    """Slots at the edges, side by side, parted by one octet, empty, longer than a line."""
    values = READER | {"token": token, "view": view}
    for padding in ("", "文" * 60, "x" * 60):  # tips the choice of encoding
        made = edition("<p>x</p>\n", f"{text}{padding}\n")
        raw = Blueprint.build(made, HEADING).letter(values)
        wire_is_sound(raw)
        assert body(read(raw), "plain") == slots.fill(made.text, values)


lengths = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 80)), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(pieces, lengths)
def test_one_blueprint_serves_readers_whose_values_differ_in_length(text, sizes):
    """What it keeps of one reader's letter never shows in another's."""
    made = edition(f"<p>{text}</p>\n", f"{text}{'文' * 60}\n")
    blueprint = Blueprint.build(made, HEADING)
    for token, view in sizes:
        values = READER | {"token": "t" * token, "view": "文" * view}
        message = read(blueprint.letter(values))
        assert body(message, "plain") == slots.fill(made.text, values)
        assert body(message, "html") == slots.fill(made.html, values, escape)


@settings(max_examples=150, deadline=None)
@given(pieces, fillings, st.sampled_from(["", "https://a.example/v?a=1&b=", ".", "文"]))
def test_slots_filled_for_good_read_like_slots_filled_at_last(text, salutation, opening):
    """Even by texts that hold slots: what readers share is filled once per campaign, in either encoding."""
    shared = {
        "view": f"{opening}{slots.mark('token')}",
        "other": opening,
        "unsubscribe": f"https://a.example/{slots.mark('leave')}",
        "message_id": f"<{slots.mark('identity')}@a.example>",
        "unsubscribe_mail": f"leave-{slots.mark('leave')}@a.example",
    }
    own = READER | {"salutation": salutation, "leave": "lv", "identity": "id"}
    values = {name: slots.fill(shared.get(name, value), own) for name, value in own.items()}
    text += slots.mark("salutation") + slots.mark("other")
    made = edition(f"<p>{text}</p>\n", f"{text}{'文' * 60}\n")
    blueprint = Blueprint.build(made, HEADING)
    bound = blueprint.bound(shared)
    assert bound.names.isdisjoint(shared)
    raw, wanted = bound.letter({name: own[name] for name in bound.names}), blueprint.letter(values)
    wire_is_sound(raw)
    assert body(read(raw), "plain") == body(read(wanted), "plain")
    assert body(read(raw), "html") == body(read(wanted), "html")
    assert read(raw).items() == read(wanted).items()


def test_a_text_that_could_not_stand_in_the_header_is_not_bound_there():
    """Said before the first letter, and not by every one."""
    with pytest.raises(BadHeader, match="cannot stand in a letter's header"):
        Blueprint.build(edition("<p>x</p>\n"), HEADING).bound({"unsubscribe": "https://a.example/ b"})


def test_chinese_goes_as_base64_and_english_as_quoted_printable():
    """Whichever is shorter."""
    made = Blueprint.build(edition("<p>plain</p>\n", "全部是中文的一段话。\n"), HEADING)
    assert [it.kind for it in made.segments] == ["head", "base64", "head", "quoted", "head"]


def test_lines_of_bodies_are_at_most_76():
    """RFC 2045 §6.7 and §6.8."""
    made = compile_edition(editions.zh(), look=editions.LOOK, places=editions.PLACES)
    raw = Blueprint.build(made, HEADING).letter(READER)
    assert max(len(line) for line in raw.partition(b"\r\n\r\n")[2].split(b"\r\n")) <= 76


def test_attachments_go_with_every_letter():
    """multipart/mixed around the alternatives; a Chinese file name as RFC 2231 has it."""
    files = [Attachment("报告 2026.pdf", "application/pdf", b"%PDF-1.7\r\n.\r\n" * 200)]
    raw = Blueprint.build(edition("<p>x</p>\n"), HEADING, files).letter(READER)
    wire_is_sound(raw)
    message = read(raw)
    assert message.get_content_type() == "multipart/mixed"
    (found,) = message.iter_attachments()
    assert (found.get_filename(), found.get_content_type()) == ("报告 2026.pdf", "application/pdf")
    assert found.get_content() == files[0].data
    assert body(message, "html") == "<p>x</p>\n"


def test_an_address_beyond_ascii_makes_a_utf8_header():
    """RFC 6532: only a relay that speaks SMTPUTF8 can carry it; nothing else in the letter changes."""
    raw = Blueprint.build(edition("<p>x</p>\n"), HEADING).letter(READER | {"to_address": "李明@example.org"})
    assert "To: =?utf-8?B?5p2O5piO?= <李明@example.org>\r\n".encode() in raw
    assert raw.replace("李明@".encode(), b"").isascii()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("to_address", "a@example.org\r\nBcc: b@example.org"),
        ("to_address", "a@example.org, b@example.org"),
        ("to_address", "a b@example.org"),
        ("to_address", "例@例子.公司"),
        ("message_id", "<a@b>\n"),
        ("unsubscribe", "https://a.example/ b"),
        ("date", ""),
        ("unsubscribe", "https://a.example/" + "x" * 999),
    ],
)
def test_what_could_not_stand_in_a_header_is_refused(name, value):
    """Names are cleaned, for people type them; addresses and identifiers must be right already."""
    with pytest.raises(BadHeader, match="cannot stand in a letter's header"):
        Blueprint.build(edition("<p>x</p>\n"), HEADING).letter(READER | {name: value})


def test_a_missing_value_is_an_error():
    """Better no letter than one with a hole."""
    made = Blueprint.build(edition(f"<p>{slots.mark('salutation')}</p>\n"), HEADING)
    assert "salutation" in made.names
    with pytest.raises(KeyError, match="salutation"):
        made.letter({name: value for name, value in READER.items() if name != "salutation"})


def test_names_are_all_a_letter_needs():
    """With these and no others it can be written."""
    made = compile_edition(editions.zh(), look=editions.LOOK, places=editions.PLACES)
    blueprint = Blueprint.build(made, HEADING)
    assert blueprint.letter({name: READER[name] for name in blueprint.names}) == blueprint.letter(READER)


@settings(max_examples=60, deadline=None)
@given(pieces)
def test_a_stored_blueprint_writes_the_same_letter(text):
    """Approval freezes it in SQL: what comes back is the same to the byte, and so is its digest."""
    blueprint = Blueprint.build(edition(f"<p>{text}</p>\n", text + "\n"), HEADING)
    again = Blueprint.from_json(blueprint.to_json())
    assert again == blueprint
    assert again.digest == blueprint.digest
    assert again.letter(READER) == blueprint.letter(READER)


@settings(max_examples=60, deadline=None)
@given(names)
def test_any_sender_name_and_file_name_can_be_written(name):
    """Typed by people into settings and file dialogs."""
    heading = Heading(name, "news@example.org", "Subject", "list.example.org", list_name=name)
    assume(one_line(name))
    files = [Attachment(name, "text/csv", b"a")]
    raw = Blueprint.build(edition("<p>x</p>\n"), heading, files).letter(READER)
    message = read(raw)
    assert shown_name(raw, "From") == one_line(name)
    assert re.search(r"<list\.example\.org>$", message["List-Id"])
    assert len(list(message.iter_attachments())) == 1
