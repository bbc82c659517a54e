"""Tables that come in from one page: a short file is checked there, and taken in as it was checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData

from mailer.audience.sheets.listed import Listed
from mailer.web import forms, pages

NOTHING: dict[str, Any] = {"report": None, "name": "", "unread": (), "carried": ""}
"""What such a page shows before a file is chosen; ``admin/table_parts.html`` has its pieces."""


def reported(
    request: Request,
    form: FormData,
    page: str,
    read: Callable[[bytes, str], Listed],
    verb: Callable[[Listed], Any],
    **seen: Any,
) -> dict[str, Any]:
    """Read the chosen file, have ``verb`` check it or take it in, and return what the page shows of that.

    What is wrong with the file is said on the page, with what is ``seen`` there besides.
    """
    with pages.again(request, page, form={}, **NOTHING, **seen):
        name, raw = forms.chosen_file(form)
        found = read(raw, name)
        report = verb(found)
    return {"report": report, "name": name, "unread": found.unread, "carried": forms.carried(raw)}
