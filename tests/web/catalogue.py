"""What pages and verbs say, and what the catalogues translate.

``mailer.po`` holds the pages' own words, ``errors.po`` the sentences of verbs (``mailer.sentence``): what
errors, doubts and problems say; the English one holds only what a page says otherwise than a shell.
``python -m tests.web.catalogue`` brings new messages into the catalogues, untranslated, and drops old ones.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

import mailer
from mailer.errors import MailerError
from mailer.settings import templates
from mailer.web import words
from mailer.web.i18n import NAMES

ROOT = Path(__file__).parent.parent.parent
# nothing in the head changes by itself: a diff shows messages only
_HEAD = r"""# {title}
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\n"
"Language: {language}\n"
"Plural-Forms: {plural}\n"

"""
_PLURAL = {"zh": "nplurals=1; plural=0;", "en": "nplurals=2; plural=(n != 1);"}
_TITLES = {
    "mailer": "The words of mailer's pages.",
    "errors": "Sentences of errors, doubts and problems, as pages say them.",
}
# what runs before there is a page, or only in a shell
_UNSEEN = ("cli", "demo", "migrations", "server", "settings", "queue", "feedback.listener")
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


def errors() -> list[type[MailerError]]:
    """Return every error a page can show."""
    for module in pkgutil.walk_packages(mailer.__path__, "mailer."):
        if not _is_unseen(module.name):
            importlib.import_module(module.name)
    found, more = set(), [MailerError]
    while more:
        found.add(more[0])
        more += more.pop(0).__subclasses__()
    return [error for error in found if not _is_unseen(error.__module__)]


def told() -> Iterator[tuple[str, ast.expr]]:
    """Yield the place and the first argument of every call that makes a sentence or an error."""
    makers = {"Sentence"} | {error.__name__ for error in errors()}
    for file in sorted((ROOT / "mailer").rglob("*.py")):
        module = file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        if _is_unseen(module):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and _makes(node.func, makers):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node.args[0]


def sentences() -> Catalog:
    """Return every template that verbs give to a sentence or an error, and every error's docstring."""
    found = Catalog()
    for _place, template in told():
        if isinstance(template, ast.Constant) and isinstance(template.value, str):
            found.add(template.value)
    for error in errors():
        if error.__doc__ and "__init__" not in vars(error):
            found.add(error.__doc__.strip())
    for message in words.LIBRARIES:
        found.add(message)
    return found


def _is_unseen(module: str) -> bool:
    return module.startswith(tuple(f"mailer.{name}" for name in _UNSEEN)) or module.endswith("__main__")


def _makes(called: ast.expr, makers: set[str]) -> bool:
    match called:
        case ast.Name(id=name):
            return name in makers
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
            return True  # of an error that words its own sentence
        case ast.Attribute(attr=name):
            return name in makers
    return False


def translated(language: str, domain: str = "mailer") -> Catalog:
    """Return a committed catalogue."""
    with path_of(language, domain).open("rb") as file:
        return read_po(file, locale=language)


def path_of(language: str, domain: str = "mailer") -> Path:
    """Return where a language's catalogue is."""
    return templates() / "locale" / language / "LC_MESSAGES" / f"{domain}.po"


def update() -> Iterator[str]:
    """Bring the catalogues up to date; yield what each says it still lacks."""
    for domain, messages in (("mailer", said()), ("errors", sentences())):
        for language in NAMES:
            old, new = translated(language, domain), Catalog(locale=language, charset="utf-8")
            for message in messages:
                known = old.get(message.id)
                if message.id and (known or domain == "mailer" or language != "en"):
                    new.add(message.id, known.string if known else None)
            save(language, new, domain)
            missing = sum(not _is_whole(message.string) for message in new if message.id)
            yield f"{domain} {language}: {len(new)} messages, {missing} without a translation"


def save(language: str, catalogue: Catalog, domain: str = "mailer") -> None:
    """Write a catalogue, sorted, without what differs from one machine to the next."""
    with path_of(language, domain).open("wb") as file:
        head = _HEAD.format(title=_TITLES[domain], language=language, plural=_PLURAL[language])
        file.write(head.encode())
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
