"""Sheets: whatever a colleague or another system sends is read as people, or refused in a sentence."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailer.audience.names import Names
from mailer.audience.sheets import cells, columns, source, zipped
from mailer.audience.sheets.columns import Layout, NoSuchColumn, NoSuchMeaning
from mailer.audience.sheets.sheet import look, read
from mailer.audience.sheets.source import BadFile
from mailer.audience.sheets.workbook import ChooseTab, NoSuchTab
from tests.audience.workbooks import workbook

PEOPLE = [
    ["email", "name", "country"],
    ["ann@example.org", "Ann Lee", "FR"],
    ["li@example.org", "李敏", "CN"],
]

RAW = workbook(PEOPLE)


def found(raw, layout=columns.FOUND):
    """Addresses by line."""
    return {row.line: row.person.address for row in read(raw, "x", layout).rows() if row.person}


def refused(raw):
    """Refusals by line."""
    return {row.line: str(row.refusal) for row in read(raw, "x").rows() if row.refusal}


def remarks(raw):
    """What is said about the file as a whole."""
    return " ".join(read(raw, "x").remarks)


# --- workbooks ------------------------------------------------------------------------------------------


def test_a_workbook_is_read_like_a_csv():
    """Names, countries, lines."""
    sheet = read(workbook(PEOPLE), "people.xlsx")
    ann, li = sheet.rows()
    assert (ann.line, ann.person.address, ann.person.country) == (2, "ann@example.org", "FR")
    assert (li.person.names, li.person.origin) == (Names(name_zh="李敏"), "people.xlsx:3")
    assert sheet.count == 2


def test_rows_may_be_read_again():
    """A second reading gives the same."""
    for raw in (workbook(PEOPLE), b"email\nann@example.org\nben@example.org\n"):
        sheet = read(raw, "x")
        assert list(sheet.rows()) == list(sheet.rows())


def test_numbers_days_and_truths_are_read_as_people_see_them():
    """No ".0", no midnight."""

    def draw(book, sheet):
        sheet.write_row(0, 0, ["email", "notes"])
        for n, value in enumerate((13800138000, 1.5, True), 1):
            sheet.write(n, 0, f"p{n}@example.org")
            sheet.write(n, 1, value)
        sheet.write(4, 0, "p4@example.org")
        sheet.write_datetime(
            4,
            1,
            datetime(2026, 5, 1, 9, 30),  # noqa: DTZ001  a cell has no zone
            book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
        )

    notes = [row.person.notes for row in read(workbook(draw=draw), "x").rows()]
    assert notes == ["13800138000", "1.5", "TRUE", "2026-05-01 09:30:00"]


def test_formulas_are_read_by_their_value_and_never_run():
    """What Excel saw last; one that was never worked out is an empty cell."""

    def draw(_book, sheet):
        sheet.write_row(0, 0, ["email", "name"])
        sheet.write_formula(1, 0, '=LOWER("ANN")&"@example.org"', None, "ann@example.org")
        sheet.write_formula(2, 0, '=HYPERLINK("http://evil.example")', None, "")
        sheet.write(2, 1, "Ben")

    raw = workbook(draw=draw)
    assert found(raw) == {2: "ann@example.org"}
    assert "has no address" in refused(raw)[3]


def test_merged_cells_hold_their_value_in_every_row():
    """A country over three rows is the country of three people; and it is said."""

    def draw(_book, sheet):
        sheet.merge_range(0, 0, 0, 2, "Contacts 2026")
        sheet.write_row(1, 0, ["email", "name", "country"])
        for n in range(3):
            sheet.write_row(2 + n, 0, [f"p{n}@example.org", f"P {n}"])
        sheet.merge_range(2, 2, 4, 2, "FR")

    raw = workbook(draw=draw)
    assert [row.person.country for row in read(raw, "x").rows()] == ["FR"] * 3
    assert "Merged cells" in remarks(raw)
    assert "named on line 2" in remarks(raw)


def test_one_address_merged_over_two_rows_is_one_person():
    """The second row says that the address stands above."""

    def draw(_book, sheet):
        sheet.write_row(0, 0, ["email", "name"])
        sheet.write(1, 1, "Ann")
        sheet.write(2, 1, "Ben")
        sheet.merge_range(1, 0, 2, 0, "ann@example.org")

    raw = workbook(draw=draw)
    assert found(raw) == {2: "ann@example.org"}
    assert "stands on line 2 already" in refused(raw)[3]


def test_a_header_of_two_rows_is_understood():
    """A heading over several columns, merged; and the names of the columns below it."""

    def draw(_book, sheet):
        sheet.merge_range(0, 0, 1, 0, "姓名")
        sheet.merge_range(0, 1, 0, 2, "联系方式")
        sheet.write_row(1, 1, ["邮箱", "电话"])
        sheet.write_row(2, 0, ["李敏", "li@example.org", "1"])

    raw = workbook(draw=draw)
    assert found(raw) == {3: "li@example.org"}
    assert "named on line 2" in remarks(raw)


def test_columns_named_twice_in_two_languages_are_understood():
    """The second row of names is nobody."""
    raw = "邮箱,姓名\nemail,name\nann@example.org,Ann\n".encode()
    assert found(raw) == {3: "ann@example.org"}
    assert "Line 2 names the columns a second time" in remarks(raw)


def test_of_several_sheets_a_person_chooses():
    """Empty and hidden ones do not count; a hidden one is read when it is named."""

    def two(book, _sheet):
        book.add_worksheet("Empty")
        book.add_worksheet("Others").write_column(0, 0, ["email", "ben@example.org"])
        hidden = book.add_worksheet("Old")
        hidden.hide()
        hidden.write_column(0, 0, ["email", "old@example.org"])

    raw = workbook(PEOPLE, two)
    with pytest.raises(ChooseTab, match="“People”, “Others”") as choose:
        read(raw, "x")
    assert choose.value.tabs == ("People", "Others")
    assert found(raw, Layout(tab="Others")) == {2: "ben@example.org"}
    assert found(raw, Layout(tab="Old")) == {2: "old@example.org"}
    with pytest.raises(NoSuchTab, match="it has “People”"):
        read(raw, "x", Layout(tab="Nowhere"))


def test_a_hidden_sheet_is_left_out_and_said():
    """Nobody is imported unseen."""

    def hide(book, _sheet):
        book.add_worksheet("Old").hide()

    assert "Hidden sheets were left out: “Old”" in remarks(workbook(PEOPLE, hide))


def test_an_empty_workbook_says_so():
    """Nothing to see in it."""
    with pytest.raises(BadFile, match="nothing in a sheet that is shown"):
        read(workbook(), "x")


# --- what is no table -----------------------------------------------------------------------------------


def zipped_file(*names):
    """An archive with files of these names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()


def ole(*names):
    """The beginning of an old Office file with streams of these names."""
    return (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(504)
        + b"".join(name.encode("utf-16-le") for name in names)
    )


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "a picture"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "a picture"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(99), "a picture"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a picture"),
        (b"%PDF-1.7", "a PDF"),
        (b"<!DOCTYPE html><table>", "a web page"),
        (b"\x1f\x8b\x08", "compressed archive"),
        (zipped_file("a.csv"), "compressed archive"),
        (zipped_file("word/document.xml"), "a Word document"),
        (zipped_file("Index/Document.iwa"), "a Numbers document"),
        (zipped_file("mimetype", "content.xml"), "OpenDocument"),
        (zipped_file("xl/workbook.bin"), r"\.xlsb"),
        (zipped_file("xl/workbook.xml"), "is damaged"),
        (workbook(PEOPLE)[:2000], "is damaged"),
        (ole("EncryptedPackage"), "locked with a password"),
        (ole("Workbook"), r"old Excel \(\.xls\)"),
        (ole("WordDocument"), "a text document"),
        (bytes(range(256)) * 20, "save it as CSV"),
    ],
)  # fmt: skip
def test_what_is_no_table_says_what_it_is_and_what_to_do(raw, words):
    """By its octets, whatever it is called."""
    with pytest.raises(BadFile, match=words) as refusal:
        read(raw, "people.csv")
    assert str(refusal.value).rstrip(".").count(":") == 1  # what is wrong: what to do


def test_a_large_file_says_what_to_do():
    """Over 40 MB over the web."""
    with pytest.raises(BadFile, match="larger than 40 MB: split it"):
        read(bytes(source.LARGEST + 1), "x")


def test_a_column_of_telephone_numbers_is_no_column_of_addresses():
    """One sentence for the file, and not one for each of its rows."""
    rows = "".join(f"Ann {n},1380013800{n}\n" for n in range(9))
    with pytest.raises(BadFile, match="“邮箱” holds telephone numbers"):
        read(f"姓名,邮箱\n{rows}".encode(), "x")
    with pytest.raises(BadFile, match="“email” holds no address"):
        read(b"email\nAnn\nBen\n", "x")
    with pytest.raises(BadFile, match="“email” is empty"):
        read(b"email,name\n,Ann\n", "x")


# --- bombs ----------------------------------------------------------------------------------------------


def with_part(raw, name, content):
    """A workbook with one of its parts exchanged."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            new.writestr(part, content if part == name else old.read(part))
    return out.getvalue()


def test_a_workbook_that_unpacks_to_too_much_is_refused(monkeypatch):
    """It is counted while it is unpacked, and never held."""
    monkeypatch.setattr(zipped, "MOST_UNPACKED", 1_000_000)
    with pytest.raises(zipped.TooMuch):
        read(with_part(workbook(PEOPLE), "xl/worksheets/sheet1.xml", b" " * 2_000_000), "x")


def test_the_size_that_an_archive_claims_is_not_believed(monkeypatch):
    """A part that says it is small, and is not."""
    monkeypatch.setattr(zipped, "MOST_UNPACKED", 1_000_000)
    raw = with_part(workbook(PEOPLE), "xl/worksheets/sheet1.xml", b" " * 2_000_000)
    claimed = (2_000_000).to_bytes(4, "little")
    assert raw.count(claimed) >= 2
    with pytest.raises(zipped.TooMuch):
        read(raw.replace(claimed, (100).to_bytes(4, "little")), "x")


@pytest.mark.parametrize(
    "far",
    [
        '<row r="1"><c r="A1"/></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        '<row r="1048576"><c r="A1048576"><v>1</v></c></row><row r="1">'
        + "<c><v>1</v></c>" * 9_000
        + "</row>",
        "<row><c r='ZZZ9'><v>1</v></c></row><row r='999999'/>",
    ],
)
def test_one_cell_far_away_does_not_cost_all_before_it(far):
    """A library spans everything up to it: such a sheet is refused before."""
    xml = f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{far}</sheetData></worksheet>'
    with pytest.raises(zipped.TooMuch):
        read(with_part(workbook(PEOPLE), "xl/worksheets/sheet1.xml", xml), "x")


@settings(deadline=None)  # a workbook is opened
@given(st.data())
def test_a_workbook_with_a_flipped_octet_is_read_or_refused(data):
    """Nothing in it breaks the reader in another way."""
    raw = bytearray(RAW)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        rows = list(read(bytes(raw), "x").rows())
    except (BadFile, ChooseTab):
        return
    assert all(bool(row.person) != bool(row.refusal) for row in rows)


# --- text -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gbk", "gb18030"]
)
def test_text_is_read_in_whatever_it_is_encoded(encoding):
    """Also UTF-16 without its mark, and GBK as Chinese Excel writes it."""
    raw = "邮箱,姓名\r\nli@example.org,李敏\r\nwang@example.org,王芳\r\n".encode(encoding)
    assert [row.person.names.name_zh for row in read(raw, "x").rows()] == ["李敏", "王芳"]


def test_trailing_commas_and_short_rows_are_no_trouble():
    """Spreadsheets leave them behind."""
    assert found(b"email,name,,\nann@example.org,Ann,,,,,\nben@example.org\n,,,\n") == {
        2: "ann@example.org", 3: "ben@example.org",
    }  # fmt: skip


def test_a_file_on_disk_is_read_like_one_in_memory(tmp_path):
    """And may be larger."""
    file = tmp_path / "people.csv"
    file.write_bytes(b"email\nann@example.org\n")
    assert [row.person.address for row in read(file, "x").rows()] == ["ann@example.org"]
    assert read(file, "x").digest == read(file.read_bytes(), "x").digest


def test_a_million_rows_need_little_memory(tmp_path):
    """Rows, repeats and all: far below 300 MB, the whole process together."""
    file = tmp_path / "people.csv"
    with file.open("w") as out:
        out.write("email,name\n")
        out.writelines(f"reader{n}@example.org,Ann Lee {n}\n" for n in range(200_000))
        out.write("reader7@example.org,Again\n")
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from mailer.audience.sheets.sheet import read\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "sheet = read(Path(sys.argv[1]), 'x'); rows = sum(1 for row in sheet.rows() if row.refusal)\n"
        "print(sheet.count, rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True
    )
    count, repeats, kilobytes = map(int, said.stdout.split())
    assert (count, repeats) == (200_001, 1)
    assert kilobytes < 40_000


# --- cells ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        ("mailto:ann@example.org", "ann@example.org"),
        ("MAILTO:ann@example.org?subject=x", "ann@example.org"),
        ("\u200bann@example.org\ufeff", "ann@example.org"),
        ("ann@example.org\xa0", "ann@example.org"),
        ("ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ", "ann@example.org"),
        ("ann＠example。org", "ann@example.org"),
        ("Ann Lee <ann@example.org>", "ann@example.org"),
        ("<ann@example.org>", "ann@example.org"),
        ("ann@example.org；", "ann@example.org"),
        ("\nann@example.org\n", "ann@example.org"),
    ],
)
def test_an_address_is_read_as_it_was_meant(cell, address):
    """What nobody sees is dropped, full-width signs are made plain."""
    assert cells.tidied(cell)[::2] == (address, "")


def test_full_width_signs_elsewhere_stay():
    """Only addresses are made plain."""
    (row,) = read("email,notes\nann@example.org,Ａ！\n".encode(), "x").rows()
    assert row.person.notes == "Ａ！"


def test_several_addresses_in_a_cell_are_several_people():
    """Each belongs on a row of its own."""
    assert "several addresses" in refused(b'email\n"ann@example.org; ben@example.org"\ncho@example.org\n')[2]


def test_a_name_beside_the_address_is_kept():
    """Where no column holds one."""
    (row,) = read("email,country\n李敏 <li@example.org>,CN\n".encode(), "x").rows()
    assert row.person.names == Names(name_zh="李敏")


def test_a_likely_slip_is_asked_about_and_the_row_taken_in():
    """A note, and nothing is changed."""
    (row,) = read(b"email\nann@gmial.com\n", "x").rows()
    assert (row.person.address, row.note) == ("ann@gmial.com", "Did you mean ann@gmail.com?")


@given(st.text(max_size=40))
def test_tidying_twice_changes_nothing_more(cell):
    """Whatever a cell holds."""
    address, _name, refusal = cells.tidied(cell)
    if not refusal and columns.ADDRESS.fullmatch(address):
        assert cells.tidied(address)[0] == address


@given(
    st.lists(st.sampled_from(["a@x.org", "A@x.org", "b@x.org", "ｂ@x.org", "c@x.org", "", "no"]), max_size=12)
)
def test_each_address_is_taken_once(addresses):
    """The first stands, every later one says where; plain Python is the oracle."""
    raw = ("email\nfirst@x.org\n" + "\n".join(addresses)).encode()
    met, expected = {"first@x.org": 2}, {}
    for line, address in enumerate(addresses, 3):
        key = address.lower().replace("ｂ", "b")
        if key:
            expected[line] = met.setdefault(key, line)
    rows = {row.line: row for row in read(raw, "x").rows() if row.line > 2}
    assert set(rows) == set(expected)
    for line, first in expected.items():
        assert rows[line].refusal == (
            "" if first == line else f"The same address stands on line {first} already."
        )


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(st.characters(codec="utf-8"), max_size=12)
        ),
        min_size=1, max_size=8, unique_by=lambda pair: pair[0],
    ),
    st.sampled_from([",", ";", "\t"]),
)  # fmt: skip
def test_what_a_csv_writer_wrote_is_read_back(people, delimiter):
    """Quotes, line breaks and separators inside cells."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["email", "notes"])
    writer.writerows((f"{who}@example.org", notes.replace("\x00", "")) for who, notes in people)
    rows = list(read(out.getvalue().encode(), "x").rows())
    assert [row.person.address for row in rows] == [f"{who}@example.org" for who, _ in people]


# --- columns --------------------------------------------------------------------------------------------


def test_a_column_of_addresses_is_found_by_what_stands_in_it():
    """Whatever it is called; the others are left out."""
    sheet = read(b"Kontakt,Wer\nann@example.org,Ann\nben@example.org,Ben\n", "x")
    assert [column.meaning for column in sheet.columns] == ["address", ""]
    assert sheet.unread == ("Wer",)


def test_people_without_a_header_are_people():
    """The first row is one of them; columns are called as in a spreadsheet."""
    raw = b"Ann,ann@example.org\nBen,ben@example.org\n"
    assert found(raw) == {1: "ann@example.org", 2: "ben@example.org"}
    assert [column.label for column in look(raw, "x").columns] == ["A", "B"]


def test_a_table_of_thousands_of_columns_is_refused_and_one_such_row_is_only_refused_itself():
    """Nobody could say what they mean; a row that lost its line breaks spoils no other."""
    with pytest.raises(BadFile, match="far too many columns"):
        read(b"email" + b"," * 100_000 + b"\nann@example.org\n", "x")
    raw = b"email,name\nann@example.org,Ann\nben@example.org" + b",x" * 100_000 + b"\n"
    assert found(raw) == {2: "ann@example.org"}
    assert "more cells than the header" in refused(raw)[3]


@pytest.mark.parametrize(
    "raw", [b'[{"email": "ann@example.org"}]', b'{"email":"ann@example.org"}\n{"email":"b@example.org"}\n']
)
def test_data_for_programs_is_no_table(raw):
    """Whatever addresses stand in it."""
    with pytest.raises(BadFile, match="JSON"):
        read(raw, "people.csv")


def test_a_stray_zero_octet_does_not_make_chinese_of_a_file():
    """It is no UTF-16: what cannot be read is said so."""
    with pytest.raises(BadFile, match="save it as CSV UTF-8"):
        read(b"email,name\nann@example.org,A\0nn\n", "x.csv")


def test_a_layout_says_what_columns_mean():
    """Others keep their own meaning; "" leaves one out. Another layout is another import."""
    raw = b"E-post,Namn,notes\nann@example.org,Ann Lee,x\n"
    layout = Layout({"Namn": "name", "notes": ""})
    (row,) = read(raw, "x", layout).rows()
    assert (row.person.names.name_en, row.person.notes) == ("Ann Lee", "")
    assert read(raw, "x").digest != read(raw, "x", layout).digest
    assert Layout.restored(json.loads(json.dumps(layout.stored()))) == layout
    with pytest.raises(NoSuchColumn, match="it has “E-post”"):
        read(raw, "x", Layout({"Mail": "address"}))
    with pytest.raises(NoSuchMeaning, match="choose one of address, name"):
        read(raw, "x", Layout({"Namn": "nonsense"}))


# --- other systems --------------------------------------------------------------------------------------


def test_an_export_of_listmonk_is_understood():
    """Its header is uuid, email, name, attributes, status; who is blocklisted there stays away."""
    raw = (
        b"uuid,email,name,attributes,status,created_at,updated_at\n"
        b'5e6b,ann@example.org,Ann Lee,"{""city"": ""Rome""}",enabled,2020-01-02,2020-01-02\n'
        b"5e6c,ben@example.org,Ben,{},blocklisted,2020-01-02,2020-01-02\n"
        b"5e6d,cho@example.org,Cho,{},disabled,2020-01-02,2020-01-02\n"
    )
    assert found(raw) == {2: "ann@example.org"}
    assert all("only they themselves can come back" in refusal for refusal in refused(raw).values())
    assert set(refused(raw)) == {3, 4}


_MAILCHIMP = (
    "Email Address,First Name,Last Name,Address,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,"
    "LATITUDE,LONGITUDE,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES"
)


def test_an_export_of_mailchimp_is_understood():
    """When and from where people agreed goes into their origin; the postal address is none of mail."""
    raw = (
        f"{_MAILCHIMP}\nann@example.org,Ann,Lee,1 High St,4,2019-05-01 10:00:00,,2019-05-01 10:02:03,"
        "192.0.2.7,48.8,2.3,FR,IDF,2020-01-01,123,abc,\n"
    ).encode()
    (row,) = read(raw, "subscribed.csv").rows()
    person = row.person
    assert (person.address, person.country) == ("ann@example.org", "FR")
    assert person.names == Names(given_en="Ann", family_en="Lee")
    assert person.origin == "subscribed.csv:2 (confirmed 2019-05-01 10:02:03 from 192.0.2.7)"


@pytest.mark.parametrize("gone", ["UNSUB_TIME", "CLEAN_TIME"])
def test_who_left_mailchimp_is_not_brought_back(gone):
    """The files of those who left, and of those whose mail came back."""
    raw = f"Email Address,First Name,{gone},LEID\nann@example.org,Ann,2020-01-02 03:04:05,1\n".encode()
    assert set(refused(raw)) == {2}


def test_a_members_list_of_mailman_is_understood():
    """list_members and mailman members: an address a line, or a name before it."""
    assert found(b"ann@example.org\nben@example.org\n") == {1: "ann@example.org", 2: "ben@example.org"}
    raw = (
        'Ann Lee <ann@example.org>\n"Ode, Ben" <ben@example.org>\nnonsense\n李敏 <li@example.org>\n'.encode()
    )
    assert found(raw)[2] == "ben@example.org"
    names = [
        row.person.names.full("en") or row.person.names.full("zh")
        for row in read(raw, "x").rows()
        if row.person
    ]
    assert names[:2] == ["Ann Lee", "Ode, Ben"]
