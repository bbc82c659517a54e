"""Verdicts packed: what a check found is kept, filtered and paged without a row for each. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mailer.audience.intake import Verdict
from mailer.sentence import Sentence, as_sentence


class Told(NamedTuple):
    """What a page tells of a row. ``address``: as it stands in the file, "" where it is not known."""

    line: int
    verdict: Verdict
    message: str  # a Sentence, or ""
    address: str


def packed(verdicts: Iterable[Told]) -> bytes:
    """Return verdicts as compressed lines: line of the file, verdict, address, message where there is one."""
    deflating, pieces = zlib.compressobj(1), []
    for row in verdicts:
        said = json.dumps(as_sentence(row.message).stored(), ensure_ascii=False) if row.message else ""
        address = " ".join(row.address.split())[:320]
        pieces.append(
            deflating.compress(
                f"{row.line}\t{row.verdict.value}\t{address}\t{said}\n".encode("utf-8", "replace")
            )
        )
    return b"".join([*pieces, deflating.flush()])


def unpacked(content: bytes) -> Iterator[Told]:
    """Yield the verdicts that were ``packed``, in the same order."""
    for row in zlib.decompress(content).decode().split("\n")[:-1]:
        line, verdict, address, said = row.split("\t", 3)
        message = Sentence.restored(json.loads(said)) if said else ""
        yield Told(int(line), Verdict(verdict), message, address)
