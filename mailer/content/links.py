"""Links: which addresses a letter may hold, and the table of those whose clicks are counted.

A click token never says where it leads: the letter carries ``{base}/c/{token}/{n}`` with one token per
reader, and n is the place in the edition's stored table, so nobody can make us redirect elsewhere.
"""

from __future__ import annotations

import re

from mailer.content import slots
from mailer.errors import Invalid

_COUNTED = re.compile(r"https?://[^\s/?#]", re.IGNORECASE)
_DIRECT = re.compile(r"(mailto:|tel:|#)[^\s]", re.IGNORECASE)
_BARE_DOMAIN = re.compile(r"(?:[\w-]+\.)+[^\W\d_]{2,}(?:[/?#:]\S*)?$")


class BadLink(Invalid):
    """A link cannot be used."""

    def __init__(self, url: str) -> None:
        super().__init__(
            "The link “{url}” cannot be used: begin it with https://, http:// or mailto:.", url=url
        )


def destination(url: str) -> str:
    """Return the address a reader's program can open; ``www.example.org`` gains its https://.

    :raises BadLink: javascript:, data:, relative paths and other things no letter should hold
    """
    url = slots.clean(url).strip()
    if _COUNTED.match(url) or _DIRECT.match(url):
        return re.sub(r"\s", "%20", url)
    if _BARE_DOMAIN.match(url):
        return f"https://{url}"
    raise BadLink(url)


def is_safe(url: str) -> bool:
    """Say whether ``destination`` would accept the address."""
    try:
        destination(url)
    except BadLink:
        return False
    return True


class Links:
    """The table of an edition's links, filled while HTML and text are made: each address once.

    ``base`` is the web app's address without trailing slash; None: links stay direct (web version, preview).
    """

    def __init__(self, base: str | None) -> None:
        self._base = base
        self._place: dict[str, int] = {}

    @property
    def urls(self) -> tuple[str, ...]:
        """Every counted address; its place is the n of ``/c/{token}/{n}``."""
        return tuple(self._place)

    def href(self, url: str) -> str:
        """Return what the letter carries for ``url``; mailto:, tel: and anchors are never counted.

        :raises BadLink: the address cannot be used
        """
        url = destination(url)
        if not _COUNTED.match(url):
            return url
        place = self._place.setdefault(url, len(self._place))
        return url if self._base is None else f"{self._base}/c/{slots.mark(slots.TOKEN)}/{place}"
