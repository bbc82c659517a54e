"""MJML to HTML: the only door to the mjml library, and the guard in front of it.

The library (mrml underneath) checks nothing: an unknown component vanishes with its content, an unknown
attribute is ignored, a character such as a combining accent inside an attribute comes out as Rust's debug
notation. So the source is read here first: tags, attributes and nesting must be ones we know, and
attribute values are written as plain ASCII and numeric references where the library would spoil them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser

import mjml

from mailer.errors import MailerError

_SPACE = re.compile(r"[ \t\r\n\f]+")  # not \s: a no-break or ideographic space is a character of the text
_BETWEEN_CONDITIONALS = re.compile(r"<!\[endif\]-->\s*<!--\[if mso \| IE\]>")
_REFERENCE = re.compile(r"&#(\d+);")
_UNSAFE_IN_ATTRIBUTE = re.compile(r"[^ !#-%'-;=?-\[\]-~]")  # all but printable ASCII without " & < > \
_CLASS = {"css-class"}
_BOX = {"padding", "background-color"} | _CLASS
_TYPE = {"font-family", "font-size", "font-weight", "line-height", "color", "align"}

# component -> attributes we use. mjml 4 documentation, "Components"; those mrml ignores are left out.
_COMPONENTS: Mapping[str, set[str]] = {
    "mjml": {"lang", "dir"},
    "mj-head": set(),
    "mj-title": set(),
    "mj-preview": set(),
    "mj-attributes": set(),
    "mj-all": _TYPE | {"padding"},
    "mj-style": set(),
    "mj-raw": set(),
    "mj-body": {"background-color", "width"} | _CLASS,
    "mj-section": _BOX | {"border-top", "border-bottom", "border-radius", "text-align"},
    "mj-column": _BOX | {"width", "border", "border-radius"},
    "mj-text": _BOX - {"background-color"} | _TYPE,
    "mj-image": _BOX - {"background-color"} | {"src", "alt", "href", "width", "align", "border-radius"},
    "mj-button": _BOX | _TYPE | {"href", "inner-padding", "border-radius", "border"},
    "mj-divider": _BOX - {"background-color"} | {"border-color", "border-width", "border-style", "width"},
}
_INSIDE: Mapping[str, set[str]] = {
    "": {"mjml"},
    "mjml": {"mj-head", "mj-body"},
    "mj-head": {"mj-title", "mj-preview", "mj-attributes", "mj-style", "mj-raw"},
    "mj-attributes": {"mj-all", "mj-text", "mj-section", "mj-button"},
    "mj-body": {"mj-section", "mj-raw"},
    "mj-section": {"mj-column"},
    "mj-column": {"mj-text", "mj-image", "mj-button", "mj-divider"},
}
_HOLDS_HTML = {"mj-text", "mj-button", "mj-raw"}
_HOLDS_TEXT = _HOLDS_HTML | {"mj-title", "mj-preview", "mj-style"}
_VOID = {"br", "hr", "img", "meta"}
_HTML = _VOID | {"h1", "h2", "h3", "h4", "p", "div", "span", "a", "strong", "em", "s", "code", "pre"}
_HTML |= {"blockquote", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"}


class BadMjml(MailerError):
    """The letter's template cannot be compiled."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(
            "Line {line} of the MJML {what}: correct the letter's template.", line=line, what=what
        )


def to_html(source: str) -> str:
    """Compile MJML into a whole HTML document, made small.

    :raises BadMjml: an unknown tag, attribute or nesting, or an unclosed tag; the message names it
    """
    html = mjml.mjml2html(_checked(source), disable_comments=True, fonts={})  # fonts: else Google is called
    html = _BETWEEN_CONDITIONALS.sub("", html)
    html = _REFERENCE.sub(_written_out, html)
    return re.sub(r"[ \t]*\n\s*", "\n", html)


def _written_out(reference: re.Match[str]) -> str:
    """Undo the numeric references of ``_attribute``, except of signs that mean something in HTML."""
    sign = chr(int(reference[1]))
    return reference[0] if sign in "\"'&<>\r\n\t" else sign


def _checked(source: str) -> str:
    guard = _Guard()
    guard.feed(source)
    guard.close()
    return guard.result()


def _attribute(value: str) -> str:
    return _UNSAFE_IN_ATTRIBUTE.sub(lambda sign: f"&#{ord(sign[0])};", value)


class _Guard(HTMLParser):
    """Reads MJML, refuses what is not known, and writes it again in the form the library reads safely."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self._out: list[str] = []
        self._open: list[str] = []

    def result(self) -> str:
        if self._open:
            self._refuse(f"never closes <{self._open[-1]}>")
        return "".join(self._out)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check(tag, {name for name, _ in attrs})
        written = "".join(f' {name}="{_attribute(value or "")}"' for name, value in attrs)
        if tag in _VOID:
            self._out.append(f"<{tag}{written}/>")
            return
        self._out.append(f"<{tag}{written}>")
        self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self._refuse(f"closes <{tag}>, which is not the tag that stands open")
        self._open.pop()
        self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._open and (self._in_html or self._open[-1] in _HOLDS_TEXT):
            self._out.append(data if "pre" in self._open else _SPACE.sub(" ", data))
        elif data.strip():
            self._refuse(f"holds words outside every text: “{data.strip()[:40]}”")

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    @property
    def _in_html(self) -> bool:
        return any(tag in _HOLDS_HTML for tag in self._open)

    def _check(self, tag: str, attributes: set[str]) -> None:
        if self._in_html and tag in _HTML:
            return  # attributes of HTML are the theme's own or the sanitiser's
        parent = self._open[-1] if self._open else ""
        if tag not in _COMPONENTS:
            self._refuse(f"uses the unknown tag <{tag}>")
        if tag not in _INSIDE.get(parent, ()):
            self._refuse(f"puts <{tag}> where it cannot stand, inside <{parent or 'nothing'}>")
        if unknown := attributes - _COMPONENTS[tag]:
            self._refuse(f"gives <{tag}> the unknown attribute {sorted(unknown)[0]}")

    def _refuse(self, what: str) -> None:
        raise BadMjml(what, self.getpos()[0])
