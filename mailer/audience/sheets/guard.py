"""Cells that no spreadsheet takes for a formula, and back."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""First signs by which spreadsheets take a cell for a formula."""


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula; ``unguarded`` gives the text back."""
    return f"'{cell}" if cell.lstrip("'").startswith(FORMULA) else cell


def unguarded(cell: str) -> str:
    """Undo the apostrophe of ``guarded``."""
    return cell[1:] if cell.startswith("'") and guarded(cell) != cell else cell
