"""The send journal: what survives the death of its writer."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.delivery import journal as module
from mailer.delivery.journal import (
    Begun,
    Journal,
    JournalInUse,
    JournalUnwritable,
    Pen,
    read,
    unsettled,
    vanished,
)
from mailer.delivery.smtp import Kind, Outcome

WORD = st.text("ABCabc019.:[]-", min_size=1, max_size=12).filter(lambda word: word != "-")


def accepted(n: int, text: str = "2.0.0 Queued") -> Outcome:
    return Outcome(n, Kind.ACCEPTED, 250, "2.0.0", text, "BODY", "relay.test:25")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path, "w1")
    yield journal
    journal.close()


@pytest.fixture
def pen(journal: Journal) -> Pen:
    return journal.pen(campaign=7, batch=70, attempt=2)


def test_a_letter_begun_without_an_end_is_uncertain(journal: Journal, pen: Pen) -> None:
    """And one with an end is known, with the relay's words."""
    pen.begin(1)
    pen.flush()
    pen.end(accepted(1))
    pen.begin(2)
    pen.flush()
    left = read(journal.path.read_bytes())
    assert left.uncertain == (Begun(7, 70, 2, 2),)
    assert left.ended == ((Begun(7, 70, 2, 1), accepted(1)),)


def test_nothing_is_written_before_flush_and_all_of_it_at_once(journal: Journal, pen: Pen) -> None:
    """The end of one letter and the begin of the next share one write."""
    before = journal.path.read_bytes()
    pen.end(accepted(1))
    pen.begin(2)
    assert journal.path.read_bytes() == before
    pen.flush()
    assert journal.path.read_bytes().removeprefix(before).count(b"\n") == 2


def test_a_letter_given_back_and_begun_again_counts_as_the_last_line_says(journal: Journal, pen: Pen) -> None:
    """Unsent, then on its way again, then answered."""
    pen.begin(1)
    pen.end(Outcome(1, Kind.UNSENT, None, None, "", "", "relay.test:25"))
    pen.begin(1)
    pen.flush()
    assert read(journal.path.read_bytes()).uncertain == (Begun(7, 70, 2, 1),)
    pen.end(accepted(1))
    pen.flush()
    left = read(journal.path.read_bytes())
    assert (left.uncertain, [end.kind for _, end in left.ended]) == ((), [Kind.ACCEPTED])


@given(
    st.builds(
        Outcome,
        st.integers(1, 10**9),
        st.sampled_from(Kind),
        st.none() | st.integers(200, 599),
        st.none() | st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
        st.text(),
        st.just("") | st.sampled_from(["MAIL", "RCPT", "DATA", "BODY"]),
        st.just("") | WORD,
    )
)
def test_every_outcome_comes_back_as_it_was(outcome: Outcome) -> None:
    """Any words of a relay, in any script, with line ends."""
    line = module._sealed(b"E 7 70 2 %d %b" % (outcome.key, module._written(outcome)))
    assert line.count(b"\n") == 1
    assert read(line).ended == ((Begun(7, 70, 2, outcome.key), outcome),)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(data: bytes) -> None:
    """A disk may hold anything after a power cut."""
    assert read(data) == ((), ())


@given(
    st.lists(
        st.sampled_from([b"B", b"E", b"J", b"1", b"-3", b"x", b"accepted", b'"a"', b"[]", b"-", b"\xff", b""])
    )
)
def test_lines_with_a_right_checksum_and_wrong_words_are_passed_over(words: list[bytes]) -> None:
    """Never an exception."""
    left = read(module._sealed(b" ".join(words)))
    assert len(left.uncertain) + len(left.ended) <= 1


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 255))
def test_a_torn_or_spoilt_journal_never_invents_anything(cut: int, at: int, byte: int) -> None:
    """Cut anywhere and one byte changed: what is read was written."""
    lines = [b"B 7 70 1 %d" % n for n in range(1, 5)] + [b"E 7 70 1 2 %b" % module._written(accepted(2))]
    whole = b"".join(map(module._sealed, lines))
    spoilt = bytearray(whole[:cut])
    if at < len(spoilt):
        spoilt[at] = byte
    left = read(bytes(spoilt))
    assert {letter for letter, _ in left.ended} <= {Begun(7, 70, 1, 2)}
    assert set(left.uncertain) <= {Begun(7, 70, 1, n) for n in range(1, 5)}


def test_a_checkpoint_forgets_what_sql_knows(journal: Journal, pen: Pen) -> None:
    """The file shrinks to its first line and takes new letters."""
    empty = journal.path.read_bytes()
    pen.begin(1)
    pen.end(accepted(1))
    pen.flush()
    journal.checkpoint()
    assert journal.path.read_bytes() == empty
    pen.begin(2)
    pen.flush()
    assert read(journal.path.read_bytes()) == ((Begun(7, 70, 2, 2),), ())


def test_a_checkpoint_with_letters_on_their_way_is_a_mistake(journal: Journal, pen: Pen) -> None:
    """It would forget them."""
    pen.begin(1)
    pen.flush()
    with pytest.raises(RuntimeError, match="still on their way"):
        journal.checkpoint()


# ---- lives and deaths ----


def test_a_living_workers_journal_is_left_alone(tmp_path: Path, journal: Journal, pen: Pen) -> None:
    """Neither opened by another of the name nor settled."""
    pen.begin(1)
    pen.flush()
    with pytest.raises(JournalInUse):
        Journal(tmp_path, "w1", patience=0)
    assert list(unsettled(tmp_path)) == []


_SEND_UNTIL_KILLED = """
import os, signal, sys
from pathlib import Path
from mailer.delivery.journal import Journal
from mailer.delivery.smtp import Kind, Outcome
pen = Journal(Path(sys.argv[1]), "w2").pen(campaign=7, batch=70, attempt=1)
for n in 1, 2, 3:
    pen.begin(n)
    pen.flush()
    if n < 3:
        pen.end(Outcome(n, Kind.ACCEPTED, 250, "2.0.0", "2.0.0 Queued", "BODY", "relay.test:25"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_kill_9_another_process_settles_what_is_left(tmp_path: Path) -> None:
    """Two answers are known, though SQL never heard of them, and one letter is uncertain."""
    killed = subprocess.run([sys.executable, "-c", _SEND_UNTIL_KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (found,) = unsettled(tmp_path)
    assert found.trusted
    assert found.owner == f"{module.machine_id(tmp_path)}/w2"
    assert found.leftover.uncertain == (Begun(7, 70, 1, 3),)
    assert [letter.n for letter, _ in found.leftover.ended] == [1, 2]
    found.discard()
    assert list(unsettled(tmp_path)) == []
    assert not found.path.exists()


def test_a_worker_that_comes_back_finds_its_own_leftover(tmp_path: Path) -> None:
    """And others leave it to it when told so."""
    first = Journal(tmp_path, "w1")
    pen = first.pen(campaign=7, batch=70, attempt=1)
    pen.begin(1)
    pen.flush()
    first.close()
    assert list(unsettled(tmp_path, but="w1")) == []
    second = Journal(tmp_path, "w1")
    assert second.leftover.uncertain == (Begun(7, 70, 1, 1),)
    second.checkpoint()
    assert second.leftover == ((), ())
    second.close()


def test_an_empty_journal_of_a_dead_worker_is_told_of_as_well(tmp_path: Path) -> None:
    """It vouches that what its owner had leased was never begun."""
    Journal(tmp_path, "w1").close()
    (found,) = unsettled(tmp_path)
    assert found.trusted
    assert found.leftover == ((), ())
    found.discard()
    assert list(unsettled(tmp_path)) == []


def test_a_vanished_journal_is_missed_on_its_own_machine_only(tmp_path: Path) -> None:
    """Another machine's journals are not ours to miss."""
    journal = Journal(tmp_path, "w1")
    machine = module.machine_id(tmp_path)
    owners = [journal.owner, f"{machine}/w2", "0123456789abcdef/w3"]
    assert vanished(tmp_path, owners) == [f"{machine}/w2"]
    journal.close()


def test_after_a_restart_of_the_machine_the_journal_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """write(2) does not survive a power cut: lines may be missing."""
    first = Journal(tmp_path, "w1")
    first.pen(campaign=7, batch=70, attempt=1).end(accepted(1))
    first.write()
    first.close()
    restarted = tmp_path / "boot_id"
    restarted.write_text("another-boot\n")
    monkeypatch.setattr(module, "_BOOT_ID", restarted)
    second = Journal(tmp_path, "w1")
    assert not second.trusted
    assert len(second.leftover.ended) == 1
    second.checkpoint()
    second.close()
    third = Journal(tmp_path, "w1")
    assert third.trusted
    third.close()


def test_a_machine_keeps_its_id(tmp_path: Path) -> None:
    """Made once for the folder."""
    assert module.machine_id(tmp_path) == module.machine_id(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["machine"]


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b"])
def test_a_workers_name_is_a_file_name(tmp_path: Path, name: str) -> None:
    """Nothing else reaches the disk."""
    with pytest.raises(ValueError, match="not a worker's name"):
        Journal(tmp_path, name)


# ---- a disk that fails ----

_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from mailer.delivery.journal import Journal, JournalUnwritable, read
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path(sys.argv[1]), "w1")
pen = journal.pen(campaign=7, batch=70, attempt=1)
pen.begin(1)
pen.flush()
limit = journal.path.stat().st_size + 10
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
pen.begin(2)
try:
    pen.flush()
except JournalUnwritable as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
pen.begin(3)
pen.flush()
print([letter.n for letter in read(journal.path.read_bytes()).uncertain])
"""


def test_a_full_disk_is_told_and_half_a_line_spoils_no_other(tmp_path: Path) -> None:
    """The kernel takes ten bytes of a line; when there is room again, the next lines stand whole."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    told, uncertain = done.stdout.splitlines()
    assert "cannot be written" in told
    assert "nothing more is sent" in told
    assert uncertain == "[1, 3]"


def test_a_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    """Something else stands in its place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnwritable, match="cannot be written"):
        Journal(tmp_path / "file" / "journal", "w1")
