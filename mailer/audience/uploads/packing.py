"""Verdicts packed: what a check found is kept, filtered and paged without a row for each. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator

from mailer.audience.intake import Verdict
from mailer.audience.verdicts import RowVerdict
from mailer.sentence import Sentence, as_sentence


def packed(verdicts: Iterable[RowVerdict]) -> bytes:
    """Return verdicts as compressed lines: line of the file, verdict, and the message where there is one."""
    deflating, pieces = zlib.compressobj(1), []
    for row in verdicts:
        said = json.dumps(as_sentence(row.message).stored(), ensure_ascii=False) if row.message else ""
        pieces.append(deflating.compress(f"{row.line}\t{row.verdict.value}\t{said}\n".encode()))
    return b"".join([*pieces, deflating.flush()])


def unpacked(content: bytes) -> Iterator[RowVerdict]:
    """Yield the verdicts that were ``packed``, in the same order."""
    for row in zlib.decompress(content).decode().split("\n")[:-1]:
        line, verdict, said = row.split("\t", 2)
        message = Sentence.restored(json.loads(said)) if said else ""
        yield RowVerdict(int(line), Verdict(verdict), message)
