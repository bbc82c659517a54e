"""The bench that breaks things: its relay keeps its record, its counts find every broken promise."""

from __future__ import annotations

import importlib.util
import json
import smtplib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mailer.bench import faults, servers
from mailer.bench.faulty import OFFERS, Act, Fault, Faulty, Plan, Record, Step, Taken
from mailer.bench.reckoning import reckon
from mailer.database import Database
from mailer.delivery.store import DeliveryState
from tests.make import Make
from tests.shell import Person

LETTER = "Message-ID: <one@news.example>\r\nSubject: Hello\r\n\r\nA line.\r\n..\r\n"
READER = "ann@north.example"


def relay(folder: Path, *plan: Fault, offers: tuple[str, ...] = OFFERS) -> Faulty:
    """A relay that plays a plan."""
    return Faulty(Plan(plan, offers), folder / "record")


def client() -> smtplib.SMTP:
    return smtplib.SMTP(local_hostname="client.example", timeout=0.5)


def always(step: Step, act: Act, says: str = "") -> Fault:
    return Fault(step, act, says, one_in=1, most=1)


def send(process: Faulty) -> None:
    """One letter over a connection of its own."""
    with closing(client()) as connection:
        connection.connect("127.0.0.1", process.port)
        connection.sendmail("desk@news.example", [READER], LETTER)


def test_what_is_taken_stands_in_the_record_before_it_is_answered(tmp_path: Path) -> None:
    """Killed after its 250, the relay has the letter; started again it adds to the same record."""
    with relay(tmp_path) as process:
        for count in (1, 2):
            send(process)
            process.kill()
            assert process.taken() == count
            process.start()
        assert Record.read(process.record).letters == {Taken("one@news.example", READER): 2}


@pytest.mark.parametrize("step", Step)
def test_a_connection_breaks_where_it_is_planned(step: Step, tmp_path: Path) -> None:
    """Closed at any step, then never again; a letter counts as taken only once all of it has come."""
    with relay(tmp_path, always(step, Act.CLOSE)) as process:
        with pytest.raises((smtplib.SMTPException, OSError)):
            send(process)
        record = Record.read(process.record)
        assert (record.faults, record.broken) == ({(step, Act.CLOSE): 1}, 1)
        assert record.accepted == 0 or step is Step.DOT
        send(process)
        assert Record.read(process.record).accepted == record.accepted + 1


@pytest.mark.parametrize("step", [Step.MAIL, Step.RCPT, Step.DATA, Step.DOT])
def test_a_refusal_is_said_where_it_is_planned(step: Step, tmp_path: Path) -> None:
    """The letter is not taken, and the connection goes on."""
    with relay(tmp_path, always(step, Act.SAY, "452 4.3.1 no room")) as process:
        with pytest.raises(smtplib.SMTPException, match="no room"):
            send(process)
        record = Record.read(process.record)
        assert (record.accepted, record.broken, record.faults.total()) == (0, 0, 1)


@pytest.mark.parametrize("act", [Act.GARBAGE, Act.SILENCE, Act.RESET])
def test_an_answer_that_never_comes_may_hide_a_letter_that_was_taken(act: Act, tmp_path: Path) -> None:
    """The sender cannot know: the record does, and tells such letters from those it answered for."""
    with relay(tmp_path, *[Fault(Step.DOT, act, one_in=1, most=8)]) as process:
        for _ in range(3):
            with pytest.raises((smtplib.SMTPException, OSError)):
                send(process)
        record = Record.read(process.record)
        assert record.broken == 3
        assert {line[:1] for line in process.record.read_text().splitlines()} == {"B", "S"}  # by its seed


def test_chunks_are_taken_as_bodies_are(tmp_path: Path) -> None:
    """BDAT with LAST ends a letter; a planned refusal is said after the chunk's octets (RFC 3030 §2)."""
    refusal = always(Step.DATA, Act.SAY, "451 4.3.0 not now")
    with relay(tmp_path, refusal, offers=(*OFFERS, "CHUNKING")) as process, closing(client()) as connection:
        connection.connect("127.0.0.1", process.port)
        connection.ehlo()
        assert connection.has_extn("chunking")
        for expected in (451, 250):
            connection.mail("desk@news.example")
            connection.rcpt(READER)
            connection.send(f"BDAT {len(LETTER)} LAST\r\n{LETTER}")
            assert connection.getreply()[0] == expected
        assert process.taken() == 1


def test_a_torn_last_line_was_never_answered(tmp_path: Path) -> None:
    """Whatever stands after the last line feed does not count."""
    file = tmp_path / "record"
    file.write_bytes(b"T one@news.example ann@north.example\nT two@news.example bo")
    assert Record.read(file).accepted == 1


@pytest.mark.parametrize(
    ("states", "taken", "expected"),
    [
        ({"ann": "ACCEPTED", "bob": "ACCEPTED"}, {"ann": 1, "bob": 1}, (0, 0, 0)),
        ({"ann": "ACCEPTED", "bob": "ACCEPTED"}, {"ann": 1}, (1, 0, 0)),
        ({"ann": "ACCEPTED", "bob": "UNCERTAIN"}, {"ann": 2}, (0, 1, 0)),
        ({"ann": "REJECTED", "bob": "UNCERTAIN"}, {"ann": 1, "bob": 1}, (0, 0, 1)),
        ({"ann": "WAITING", "bob": "WITHDRAWN"}, {"ann": 1, "eve": 1}, (0, 0, 2)),
    ],
)
def test_the_counts_find_every_broken_promise(
    database: Database, make: Make, states: dict[str, str], taken: dict[str, int],
    expected: tuple[int, int, int],
) -> None:  # fmt: skip
    """Lost, sent twice, and taken without the ledger's knowledge are told apart."""
    campaign = make.campaign(candidates=len(states))
    for name, state in states.items():
        make.attempt(make.delivery(f"{name}@north.example", campaign=campaign, state=DeliveryState[state]))
    record = Record()
    for name, times in taken.items():
        record.letters[Taken("m", f"{name}@north.example")] = times
    with database.read() as session:
        counted = reckon(session, campaign.id, record)
    assert (counted.lost, counted.twice, counted.unknown, counted.adds_up) == (*expected, True)


def test_the_counts_find_rows_that_contradict_each_other(database: Database, make: Make) -> None:
    """A candidate without a row, a state that no attempt bears out, a letter settled in two attempts."""
    missing = make.campaign(candidates=2)
    make.attempt(make.delivery("ann@north.example", campaign=missing))
    unfounded = make.campaign(candidates=1)
    make.delivery("bob@north.example", campaign=unfounded)
    doubled = make.campaign(candidates=1)
    letter = make.delivery("cy@north.example", campaign=doubled)
    make.attempt(letter, 1)
    make.attempt(letter, 2)
    with database.read() as session:
        found = [reckon(session, campaign.id, Record()) for campaign in (missing, unfounded, doubled)]
    assert [counted.adds_up for counted in found] == [False, False, False]
    assert [counted.lost for counted in found] == [2, 1, 1]


def besieged(tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    """What the command prints about its scenarios; every promise was kept."""
    said = Person(tmp_path).process("bench", "faults", "--letters", 600, "--json", *arguments)
    assert said.status == 0, said
    return [json.loads(line) for line in said.out.splitlines()]


def test_promises_hold_when_workers_are_killed(tmp_path: Path) -> None:
    """The embedded worker on SQLite: every reader is accounted for, whoever died."""
    [result] = besieged(tmp_path, "--database", "sqlite", "--only", "workers-killed")
    assert result["disturbed"] > 0
    assert (result["candidates"], sum(result["ledger"].values())) == (600, 600)
    assert (result["lost"], result["twice"], result["finished"]) == (0, 0, True)
    assert result["uncertain"] <= result["uncertain_allowed"]


def test_promises_hold_when_the_database_crashes(tmp_path: Path, postgres_server: str) -> None:
    """Real Celery workers, a PostgreSQL and a Redis of the bench's own; nothing is uncertain after it."""
    [result] = besieged(tmp_path, "--database", "postgres", "--only", "postgres-crashed")
    assert result["disturbed"] > 0
    assert (result["ledger"]["accepted"], result["uncertain"], result["listener"]["distinct"]) == (
        594,
        0,
        594,
    )


def test_without_servers_their_scenarios_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the reason says how to have them; asked for alone, that is an error."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    chosen = faults.choose(["beat-killed"])
    [result] = faults.run(100, chosen, databases=faults.DATABASES, seed=1, say=print)
    assert "pip install" in result["skipped"]
    with pytest.raises(servers.NotInstalled):
        list(faults.run(100, chosen, databases=("postgres",), seed=1, say=print))


def test_a_scenario_that_is_not_known_is_told(tmp_path: Path) -> None:
    """With those that are."""
    said = Person(tmp_path)("bench", "faults", "--only", "meteorite")
    assert "meteorite: choose among workers-killed" in said.sentence
