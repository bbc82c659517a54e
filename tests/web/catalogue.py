"""The pages' messages: what the code and the templates say, and what the catalogues translate.

``python -m tests.web.catalogue`` brings new messages into every catalogue, untranslated, and drops old ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from mailer.settings import templates
from mailer.web.i18n import NAMES

ROOT = Path(__file__).parent.parent.parent
# nothing in the head changes by itself: a diff shows messages only
_HEAD = r"""# The words of mailer's pages.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\n"
"Language: {language}\n"
"Plural-Forms: {plural}\n"

"""
_PLURAL = {"zh": "nplurals=1; plural=0;", "en": "nplurals=2; plural=(n != 1);"}
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None, "translate": None}


def said() -> Catalog:
    """Return every message of pages and code."""
    found = Catalog()
    for folder, pattern, method in (
        (ROOT / "mailer" / "web", "**.py", "python"),
        (templates() / "pages", "**.html", "jinja2"),
    ):
        for file, line, message, _comments, _context in extract_from_dir(
            folder,
            method_map=[(pattern, method)],
            keywords=_KEYWORDS,
            options_map={pattern: {"silent": "false"}},
        ):
            found.add(message, None, [(file, line)])
    return found


def translated(language: str) -> Catalog:
    """Return a committed catalogue."""
    with path_of(language).open("rb") as file:
        return read_po(file, locale=language)


def path_of(language: str) -> Path:
    """Return where a language's catalogue is."""
    return templates() / "locale" / language / "LC_MESSAGES" / "mailer.po"


def update() -> Iterator[str]:
    """Bring the catalogues up to date; yield what each says it still lacks."""
    for language in NAMES:
        old, new = translated(language), Catalog(locale=language, charset="utf-8")
        for message in said():
            if message.id:
                known = old.get(message.id)
                new.add(message.id, known.string if known else None)
        save(language, new)
        missing = sum(not _is_whole(message.string) for message in new if message.id)
        yield f"{language}: {len(new)} messages, {missing} without a translation"


def save(language: str, catalogue: Catalog) -> None:
    """Write a catalogue, sorted, without what differs from one machine to the next."""
    with path_of(language).open("wb") as file:
        file.write(_HEAD.format(language=language, plural=_PLURAL[language]).encode())
        write_po(
            file,
            catalogue,
            sort_output=True,
            omit_header=True,
            width=110,
            include_lineno=False,
            no_location=True,
        )


def _is_whole(string: object) -> bool:
    return all(string) if isinstance(string, tuple) else bool(string)


if __name__ == "__main__":
    print(*update(), sep="\n")
