"""The bench of reading returned mail: what is labelled, held against what is read; and what it costs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from mailer.bench import bars, stopwatch
from mailer.bench.hostile import damaged, read_all
from mailer.bench.labels import LabelledReply, Labels, Unlabelled, read_labels, read_mails
from mailer.diagnosis import diagnose_reply
from mailer.feedback.message import Returned, classify
from tests.shell import Person

SAMPLES = Path(__file__).parent.parent / "data" / "bounces"
NAMES = {
    "postfix-unknown": "bounce\tli.na@ministry.example\tbad_mailbox\t5.1.1\t1",
    "exim-full": "bounce\tamina@ngo.example\tmailbox_full\t\t0",
    "postfix-delayed": "delay\t\ttechnical\t\t0",
    "arf-abuse": "complaint\ttom@home.example\tcomplaint\t\t0",
    "vacation": "auto_reply\t\t\t\t",
    "ordinary": "ordinary\t\t\t\t",
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six of our own samples, labelled: mails under other names, since the hash tells which is which."""
    (tmp_path / "mail").mkdir()
    lines = ["# sha1\tfile\tkind\trecipients\tcategory\tstatus\tdead"]
    for n, (name, labels) in enumerate(NAMES.items()):
        raw = (SAMPLES / f"{name}.eml").read_bytes()
        (tmp_path / "mail" / f"{n}.eml").write_bytes(raw)
        lines.append(f"{hashlib.sha1(raw, usedforsecurity=False).hexdigest()[:12]}\t{name}.eml\t{labels}")
    (tmp_path / "labels.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "replies.tsv").write_text("qq\tmx3.qq.com\t550 Mailbox not found\tbad_mailbox\t1\n")
    return tmp_path


def test_the_table_of_bars_is_printed_as_json(corpus: Path) -> None:
    """Every bar with its count, share and verdict, the times beside flufl.bounce's, the cost of any input."""
    figures = Person(corpus)(
        "bench", "classify", corpus / "mail", "--labels", corpus / "labels.tsv",
        "--replies", corpus / "replies.tsv", "--rounds", "1", "--copies", "20", "--json",
    ).json  # fmt: skip
    table = {line["name"]: line for line in figures["bars"]}
    assert (table["recipients_found"]["count"], table["recipients_found"]["of"]) == (3, 3)
    assert (table["recipients_wrong"]["count"], table["recipients_wrong"]["reached"]) == (1, False)
    assert table["recipients_wrong"]["wrong"][0]["file"] == "postfix-delayed.eml"
    assert (table["category_right"]["share"], table["dead_called_dead"]["share"]) == (1, 1)
    assert table["replies_category_right_chinese"]["reached"] is True
    assert figures["times"]["mailer"]["mean_us"] > 0
    assert figures["times"]["mean_ratio"] is not None
    assert figures["any_input"]["reached"] is True
    assert figures["reached"] is False  # a name was found that no label gives


def test_people_see_what_was_judged_otherwise(corpus: Path) -> None:
    """``--wrong`` lists the mails, so that somebody can look who is right."""
    shown = Person(corpus)(
        "bench", "classify", corpus / "mail", "--labels", corpus / "labels.tsv",
        "--rounds", "1", "--copies", "0", "--wrong",
    ).out  # fmt: skip
    assert re.search(r"recipients_wrong +1 of 3 +33\.33% .*NOT REACHED\n +\{.*postfix-delayed", shown)
    assert re.search(r"against flufl\.bounce +mean \d", shown)
    assert re.search(r"any input +0 faults, at most \d", shown)


def test_labels_and_mails_must_fit(corpus: Path) -> None:
    """A mail that is labelled and absent, or a line cut short, is told with its name or number."""
    (corpus / "mail" / "0.eml").unlink()
    with pytest.raises(Unlabelled, match=r"lacks 1 of the mails .* postfix-unknown\.eml among them"):
        read_mails(corpus / "mail", read_labels(corpus / "labels.tsv"))
    (corpus / "labels.tsv").write_text("abc\tx.eml\tbounce\n")
    with pytest.raises(Unlabelled, match=r"Line 1 of .* has 3 columns instead of 7"):
        read_labels(corpus / "labels.tsv")


def _held(name: str, labels: Labels, returned: Returned) -> bars.Bar:
    return next(bar for bar in bars.of_mail([(labels, returned)]) if bar.name == name)


def test_a_mailbox_may_have_two_names() -> None:
    """Either is right; a third is a stranger."""
    returned = classify((SAMPLES / "postfix-unknown.eml").read_bytes())

    def labels(*names: frozenset[str]) -> Labels:
        return Labels("0", "x.eml", "bounce", names, frozenset(), None)

    both = frozenset({"li.na@ministry.example", "li@old.example"})
    assert _held("recipients_found", labels(both), returned).count == 1
    assert _held("recipients_wrong", labels(both), returned).count == 0
    assert _held("recipients_found", labels(both, frozenset({"b@x.example"})), returned).count == 0
    assert _held("recipients_wrong", labels(frozenset({"b@x.example"})), returned).count == 1


def test_what_is_not_there_to_measure_is_neither_reached_nor_missed() -> None:
    """No complaint among the mails: no share of them."""
    told: dict[str, Any] = next(bar.told() for bar in bars.of_mail([]) if bar.name == "complaints_recognised")
    assert (told["share"], told["reached"]) == (None, None)
    assert all(bar.reached is None for bar in bars.of_replies([]))


def test_a_wrong_reply_is_listed() -> None:
    """With what was said and what was understood."""
    label = LabelledReply("qq", "mx3.qq.com", "550 Mailbox not found", "rate", False)
    found = bars.of_replies([(label, diagnose_reply(label.reply, label.mx))])
    assert [(bar.name, bar.count, bar.reached) for bar in found if bar.of] == [
        ("replies_category_right", 0, False),
        ("replies_category_right_chinese", 0, False),
        ("replies_living_called_dead", 1, False),
    ]
    assert found[0].missed[0]["got"] == "bad_mailbox"


def test_damage_is_the_same_for_the_same_seed() -> None:
    """So that a fault that is found can be found again."""
    mails = [path.read_bytes() for path in sorted(SAMPLES.glob("*.eml"))]
    once, again, other = (list(damaged(mails, seed=seed, count=30)) for seed in (1, 1, 2))
    assert once == again != other
    assert not set(once) <= set(mails)


def test_a_fault_is_counted_and_named() -> None:
    """What cannot be read at all (here: no bytes) is told with the mail's name; reading goes on."""
    told = read_all([("good", b"x"), ("bad", None), ("good too", b"y")])  # type: ignore[list-item]
    assert told["mails"] == 3
    assert [fault[:19] for fault in told["faults"]] == ["bad: AttributeError"]


def test_times_sum_up_the_mails() -> None:
    """The mean, the slowest of a hundred, the slowest of all."""
    times = stopwatch.Times.of([float(n) for n in range(200, 0, -1)])
    assert (times.mean, times.p99, times.worst) == (100.5, 199.0, 200.0)
