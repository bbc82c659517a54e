"""Cells that no spreadsheet takes for a formula, and back."""

from __future__ import annotations

import re

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""First signs by which spreadsheets take a cell for a formula."""

_FORMULA = f"(?='*[{re.escape(''.join(FORMULA))}])"
# where Europe's lists are cut at semicolons, a cell of ours may become two: quotes do not help in mid-line
_RUNS = re.compile(rf"(\A|[;\t\r\n]){_FORMULA}")
_GUARD = re.compile(rf"(\A|[;\t\r\n])'{_FORMULA}")


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula; ``unguarded`` gives the text back."""
    return _RUNS.sub(r"\1'", cell)


def unguarded(cell: str) -> str:
    """Undo the apostrophes of ``guarded``."""
    return _GUARD.sub(r"\1", cell)
