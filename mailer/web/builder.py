"""The rule builder's draft: a tree of groups and rows as a form holds it, finished or not. Pure.

A rule becomes a draft and a draft the rule's text, so the text form stays the one language: whatever is
wrong with a row is what the language says of its text. In a form every node has a path, ``""`` for the
whole and ``0.2`` for the third part of its first part: ``join.0`` is a group's, ``field.0.2``, ``ask.0.2``
and ``value.0.2`` are a row's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Literal

from starlette.datastructures import FormData

from mailer.audience import rules
from mailer.audience.rules import AllOf, AnyOf, Compare, Everyone, Not, Operator, Rule, Value
from mailer.errors import Invalid

EVERYONE = "everyone"  # the field of a row that asks nothing
_MOST = 100  # nodes; more than a page can show
_NOT = "not_"


class TooManyConditions(Invalid):
    """The rule has more than 100 conditions: save parts of it as segments of their own."""


Join = Literal["all", "any", "none", "not_all"]


@dataclass(frozen=True)
class Row:
    """One condition. ``ask``: an operator's name, after ``not_`` where the opposite is asked.

    ``was``: of which kind the values were when the form was shown; "": they come from a rule.
    """

    field: str
    ask: str
    values: tuple[str, ...] = ()
    was: str = dataclass_field(default="", compare=False)

    @property
    def operator(self) -> Operator:
        """What is asked, or its opposite."""
        return Operator[self.ask.removeprefix(_NOT).upper()]

    def __str__(self) -> str:
        if self.field == EVERYONE:
            return EVERYONE
        before = "not " if self.ask.startswith(_NOT) else ""
        match self.operator:
            case Operator.IS:
                return f"{self.field} {'!=' if before else '='} {self._first}"
            case Operator.IN:
                return f"{self.field} {before}in ({', '.join(map(rules.shown, self.values))})"
            case Operator.LAST:
                return f"{self.field} {before}in last {self._first} days"
            case Operator.EMPTY:
                return f"{self.field} is {before}empty"
            case Operator.EVER:
                return f"{before}{self.field} ever"
            case operator:
                return f"{before}{self.field} {operator} {self._first}"

    @property
    def _first(self) -> str:
        return rules.shown(self.values[0] if self.values else "")


@dataclass(frozen=True)
class Group:
    """Conditions of which all, any, none, or not all must hold; without any it is everyone."""

    join: Join
    parts: tuple[Row | Group, ...] = ()

    def __str__(self) -> str:
        between = " and " if self.join in ("all", "not_all") else " or "
        alone = len(self.parts) == 1
        inner = between.join(str(part) if alone else _within(part) for part in self.parts) or EVERYONE
        return f"not ({inner})" if self.join in ("none", "not_all") else inner


def _within(part: Row | Group) -> str:
    plain = isinstance(part, Group) and part.join in ("all", "any") and len(part.parts) > 1
    return f"({part})" if plain else str(part)


# From a rule


def of(rule: Rule) -> Group:
    """Return the draft of a rule; its text is the rule again."""
    if isinstance(rule, Everyone):
        return Group("all")
    found = part(rule)
    return found if isinstance(found, Group) else Group("all", (found,))


def part(rule: Rule) -> Row | Group:
    """Return the draft of a part of a rule."""
    match rule:
        case Compare():
            return _row(rule, "")
        case Not(Compare() as inner):
            return _row(inner, _NOT)
        case Everyone():
            return Row(EVERYONE, "")
        case AllOf(parts):
            return Group("all", tuple(map(part, parts)))
        case AnyOf(parts):
            return Group("any", tuple(map(part, parts)))
        case Not(AllOf(parts)):
            return Group("not_all", tuple(map(part, parts)))
        case Not(AnyOf(parts)):
            return Group("none", tuple(map(part, parts)))
        case Not(inner):
            return Group("none", (part(inner),))


def _row(rule: Compare, before: str) -> Row:
    return Row(rule.field, before + rule.operator.name.lower(), tuple(map(_as_text, rule.values)))


def _as_text(value: Value) -> str:
    return value if isinstance(value, str) else rules.shown(value)


# From a form


def read(form: FormData) -> Group:
    """Return the draft that a form holds.

    :raises TooManyConditions: more than a page shows
    """
    paths = {name.partition(".")[2]: name.partition(".")[0] for name in form if name.split(".")[0] in _KINDS}
    if len(paths) > _MOST:
        raise TooManyConditions
    return _group(form, paths, "")


_KINDS = ("join", "field")


def _group(form: FormData, paths: dict[str, str], path: str) -> Group:
    parts = [
        _group(form, paths, each) if paths[each] == "join" else _read_row(form, each)
        for each in _below(paths, path)
    ]
    join = str(form.get(f"join.{path}" if path else "join", "all"))
    return Group(_JOINS.get(join, "all"), tuple(parts))


_JOINS: dict[str, Join] = {"all": "all", "any": "any", "none": "none", "not_all": "not_all"}


def _below(paths: dict[str, str], path: str) -> list[str]:
    """Return the paths one step below, in order."""
    start = f"{path}." if path else ""
    rests = {each: each.removeprefix(start) for each in paths if each.startswith(start) and each != path}
    return sorted(
        (each for each, rest in rests.items() if rest.isdecimal()), key=lambda each: int(rests[each])
    )


def _read_row(form: FormData, path: str) -> Row:
    values = [str(value).strip() for value in form.getlist(f"value.{path}")]
    field, ask, was = (str(form.get(f"{name}.{path}", "")) for name in ("field", "ask", "was"))
    return Row(field, ask, tuple(filter(None, values)), was)


# Changing it

Node = Row | Group


def at(group: Group, path: str, change: Callable[[Node], Node | None]) -> Group:
    """Return the draft with the node at ``path`` changed; None takes it out. No such node: as it was."""
    if not path:
        changed = change(group)
        return changed if isinstance(changed, Group) else group
    first, _, rest = path.partition(".")
    place = int(first) if first.isdecimal() else len(group.parts)
    return replace(group, parts=tuple(_changed(group.parts, place, rest, change)))


def _changed(
    parts: tuple[Node, ...], place: int, rest: str, change: Callable[[Node], Node | None]
) -> Iterator[Node]:
    for number, part in enumerate(parts):
        if number != place:
            yield part
        elif not rest:
            changed = change(part)
            if changed is not None:
                yield changed
        else:
            yield at(part, rest, change) if isinstance(part, Group) else part


def mapped(group: Group, change: Callable[[Row], Row]) -> Group:
    """Return the draft with every row changed."""
    return replace(
        group,
        parts=tuple(
            mapped(part, change) if isinstance(part, Group) else change(part) for part in group.parts
        ),
    )


def grown(node: Node, part: Node) -> Node:
    """Return a group with one more part; a row stays as it is."""
    return replace(node, parts=(*node.parts, part)) if isinstance(node, Group) else node
