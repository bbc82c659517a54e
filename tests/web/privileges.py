"""Who may call what: the one table of roles and routes, and how it is measured.

``tests/data/privileges.txt`` holds a line a route: method, path, and the roles that are let in. ``anybody``:
it asks for no account, but believes what it carries. The test that compares says which lines are missing,
and what was measured: look at it before you copy it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from mailer.accounts.store import Role
from tests.web.conftest import Visitor, routes

TABLE = Path(__file__).parent.parent / "data" / "privileges.txt"
ANYBODY = "anybody"
# authorised by what they carry: a token that was mailed, a provider's proof, the form of this very browser
BY_PROOF = (
    "/sign-in",
    "/webhooks",
    "/c/",
    "/o/",
    "/view/",
    "/issues/",
    "/figures/",
    "/leave",
    "/confirm",
    "/preferences",
    "/my/",
    "/join",
    "/embed",
    "/welcome",
    "/address",
    "/data",
    "/erase",
    "/fresh",
)
# after these others are not found
_LAST = ("/remove", "/restore", "/delete", "/withdraw", "/close", "/close-others", "/sign-out", "/undo")


def written() -> dict[tuple[str, str], set[str]]:
    """Return the table: the roles of each method and path."""
    lines = (line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#"))
    return {(line[0], line[1]): set(line[2:]) for line in lines}


def measured(
    app: FastAPI, people: dict[Role, Visitor], stranger: Callable[[], Visitor], places: dict[str, str]
) -> Iterator[tuple[tuple[str, str], set[str]]]:
    """Call every route as everybody, with an empty form, and yield who was let in.

    ``places`` fill a path's places, those of ``/partner`` by their names with ``partner:`` before.
    """
    found = [(method, route.path) for route in routes(app) for method in route.methods]
    for method, path in sorted(found, key=lambda each: (each[0], each[1].endswith(_LAST), each[1])):
        if path.startswith(BY_PROOF):
            yield (method, path), {ANYBODY}
            continue
        filled = _filled(path, places)
        if _lets_in(stranger(), method, filled):
            yield (method, path), {ANYBODY}
        else:
            yield (method, path), {str(role) for role, who in people.items() if _lets_in(who, method, filled)}


def _filled(path: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        area, _, name = place.rpartition(":")
        if not area or path.startswith(f"/{area}"):
            path = path.replace(name, value)
    assert "{" not in path, f"tell the table's test what {path} takes"
    return path


def _lets_in(visitor: Visitor, method: str, path: str) -> bool:
    """Say whether the answer is the page's own; for a manager, what is not theirs does not exist."""
    data = {"csrf": visitor.csrf} if method == "POST" else None
    answer: Any = visitor.client.request(method, path, data=data, follow_redirects=False)
    assert answer.status_code < 500, f"{method} {path}: {answer.status_code}"
    to_the_door = answer.headers.get("location", "").startswith("/sign-in") and path != "/sign-out"
    stranger = visitor.user is None
    refused = (401, 403, 404) if stranger or visitor.user.role == Role.PARTNER else (401, 403)
    return answer.status_code not in refused and not to_the_door and not (stranger and path == "/sign-out")
