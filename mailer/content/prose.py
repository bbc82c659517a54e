"""Prose: the Markdown of bodies, as HTML with inline styles, as plain text, or cut to a teaser.

CommonMark with tables, and emphasis that works beside Chinese punctuation. Raw HTML is shown as typed,
never obeyed, and everything passes the sanitiser last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from urllib.parse import unquote

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from mdit_py_cjk_friendly import cjk_friendly, is_cjk

Hrefs = Callable[[str], str]  # what the letter carries for an author's address
_RULE = "1px solid #d9dedb"
_BLOCK = "margin:0 0 16px"
# Inline, because Gmail's app for other providers' mailboxes drops every style sheet.
_STYLES: Mapping[str, str] = {
    "p": _BLOCK,
    "h4": "margin:24px 0 8px;font-size:17px",
    "ul": f"{_BLOCK};padding:0 0 0 24px",
    "ol": f"{_BLOCK};padding:0 0 0 24px",
    "li": "margin:0 0 6px",
    "blockquote": f"{_BLOCK};padding:0 0 0 16px;border-left:{_RULE}",
    "pre": f"{_BLOCK};white-space:pre-wrap",
    "hr": f"margin:24px 0;border:0;border-top:{_RULE}",
    "table": f"{_BLOCK};border-collapse:collapse;width:100%",
    "th": f"padding:6px 8px;border-bottom:{_RULE};text-align:left",
    "td": f"padding:6px 8px;border-bottom:{_RULE}",
    "img": "max-width:100%;height:auto",
}
_TAGS = {*_STYLES, "a", "br", "code", "em", "strong", "s", "thead", "tbody", "tr"}
_ATTRIBUTES = {"*": {"style"}, "a": {"href"}, "img": {"src", "alt", "width"}, "ol": {"start"}}
_PROPERTIES = {part.split(":")[0] for style in _STYLES.values() for part in style.split(";")} | {"color"}
_SENTENCE_END = re.compile(r"[。！？…][”’」』）]*|[.!?][\"'”’)]*(?=\s)")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")


def html(markdown: str, *, href: Hrefs, src: Hrefs, link_colour: str) -> str:
    """Return clean HTML. ``href`` turns an author's address into the letter's, ``src`` a picture's name.

    Headings, whatever their level, become h4: the letter's own headings stand above them.
    """
    parser = _parser()
    env: dict[str, object] = {}
    tokens = parser.parse(markdown, env)
    for token in tokens:
        for part in (token, *(token.children or ())):
            _dress(part, href, src, link_colour)
    return _sanitised(parser.renderer.render(tokens, parser.options, env))


def _dress(token: Token, href: Hrefs, src: Hrefs, link_colour: str) -> None:
    """Give a token its style and the letter's addresses. Not in nh3's filter: that swallows exceptions."""
    if token.type.startswith("heading"):
        token.tag = "h4"
    if token.type == "link_open":
        token.attrs["href"] = href(str(token.attrs["href"]))
    if token.type == "image":
        token.attrs["src"] = src(unquote(str(token.attrs["src"])))  # markdown-it has quoted a name's signs
    style = f"color:{link_colour}" if token.tag == "a" else _STYLES.get(token.tag, "")
    if style and token.nesting >= 0:
        token.attrSet("style", style)


def _sanitised(rough: str) -> str:
    return nh3.clean(
        rough,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        filter_style_properties=_PROPERTIES,
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel=None,
    ).strip()


def plain(markdown: str, *, href: Hrefs) -> str:
    """Return readable text that keeps every word and link; blocks are parted by an empty line."""
    return _Plain(href).blocks(SyntaxTreeNode(_parser().parse(markdown)))


class _Plain:
    """Walks the tree of a body; one method per kind of node that is not simply its children."""

    def __init__(self, href: Hrefs) -> None:
        self._href = href

    def blocks(self, node: SyntaxTreeNode, between: str = "\n\n") -> str:
        return between.join(filter(None, map(self.block, node.children)))

    def block(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "inline":
                return self.inline(node)
            case "bullet_list" | "ordered_list":
                return self._list(node)
            case "blockquote":
                return _indent(self.blocks(node), "> ", "> ")
            case "tr":
                return " | ".join(map(self.blocks, node.children))
            case "table" | "thead" | "tbody":
                return self.blocks(node, "\n")
            case "fence" | "code_block":
                return node.content.rstrip("\n")
            case "hr":
                return "* * *"
            case _:
                return self.blocks(node)

    def _list(self, node: SyntaxTreeNode) -> str:
        start = int(node.attrs.get("start", 1))
        ordered = node.type == "ordered_list"
        items = (
            _indent(self.blocks(item, "\n"), f"{number}. " if ordered else "- ")
            for number, item in enumerate(node.children, start)
        )
        return "\n".join(items)

    def inline(self, node: SyntaxTreeNode) -> str:
        pieces = [self._span(child) for child in node.children]
        return "".join(
            _softbreak(pieces, place) if child.type == "softbreak" else pieces[place]
            for place, child in enumerate(node.children)
        )

    def _span(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "text" | "code_inline":
                return node.content
            case "hardbreak":
                return "\n"
            case "softbreak":
                return ""
            case "image":
                return f"[{node.content}]" if node.content else ""
            case "link":
                return self._link(node)
            case _:
                return self.inline(node)

    def _link(self, node: SyntaxTreeNode) -> str:
        label, url = self.inline(node), str(node.attrs["href"])
        shown = self._href(url)
        return shown if label.strip() in (url, url.removeprefix("mailto:")) else f"{label} <{shown}>"


def _softbreak(pieces: list[str], place: int) -> str:
    """A line end inside a paragraph is a space, but nothing between two Chinese characters."""
    before, after = "".join(pieces[:place])[-1:], "".join(pieces[place + 1 :])[:1]
    return "" if is_cjk(before) and is_cjk(after) else " "


def _indent(text: str, first: str, rest: str = "") -> str:
    return first + text.replace("\n", "\n" + (rest or " " * len(first)))


def teaser(markdown: str, length: int) -> str:
    """Return the beginning as Markdown, about ``length`` characters: whole blocks, or the first one cut.

    A body no longer than that is returned as it is. The cut falls at a sentence's end where there is one.
    """
    lines = markdown.splitlines()
    kept = 0
    for end in _block_ends(markdown):
        if len("\n".join(lines[:end])) > length:
            break
        kept = end
    if kept:
        return "\n".join(lines[:kept]).rstrip()
    words = plain(markdown, href=lambda url: url)
    return _MARKUP.sub(r"\\\1", _cut(" ".join(words.split()), length))


def _block_ends(markdown: str) -> Iterator[int]:
    for token in _parser().parse(markdown):
        if token.level == 0 and token.nesting >= 0 and token.map:
            yield token.map[1]


def _cut(text: str, length: int) -> str:
    """Cut at the last sentence end within ``length``, else at a space, else anywhere, with an ellipsis."""
    if len(text) <= length:
        return text
    ends = [end.end() for end in _SENTENCE_END.finditer(text, 0, length)]
    if ends:
        return text[: ends[-1]]
    space = text.rfind(" ", length // 2, length)
    return text[: space if space > 0 else length].rstrip() + "…"


@cache
def _parser() -> MarkdownIt:
    """Return the one parser; parsing does not change it."""
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True}).enable(["table", "strikethrough"])
    return parser.use(cjk_friendly)
