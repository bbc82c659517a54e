"""Dialects: what each database says in words of its own, and SQLAlchemy has no word for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Dialect,
    FunctionElement,
    Text,
    TypeDecorator,
    bindparam,
    literal,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.operators import OperatorType

from mailer.database import UTCDateTime


class db_time(FunctionElement[datetime]):  # noqa: N801 - named as SQL functions are
    """The database's own time as SQL, for a statement that asks more; else see ``database.clock``."""

    type = UTCDateTime()
    inherit_cache = True


class days_before(FunctionElement[datetime]):  # noqa: N801 - named as SQL functions are
    """The instant so many days, a column, before another; NULL where the column is. To the millisecond."""

    type = UTCDateTime()
    inherit_cache = True

    def __init__(self, instant: datetime | ColumnElement[datetime], days: ColumnElement[Any]) -> None:
        super().__init__(literal(instant, UTCDateTime()) if isinstance(instant, datetime) else instant, days)


class _Numbers(TypeDecorator[Sequence[int]]):
    """Numbers as one parameter: text that PostgreSQL reads as an array and SQLite as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[int] | None, dialect: Dialect) -> str:
        """Write them; drivers take longer over a list than over a text."""
        return ("{%s}" if dialect.name == "postgresql" else "[%s]") % ",".join(map(str, value or ()))


class is_among(FunctionElement[bool]):  # noqa: N801 - named as SQL functions are
    """Whether a column is one of a list of numbers that stands in the parameter ``name``."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[int], name: str) -> None:
        super().__init__(column, bindparam(name, type_=_Numbers))

    def self_group(self, against: OperatorType | None = None) -> Self:
        """Stay as it is: SQLAlchemy would ask SQLite for "… = 1", and that is asked of every row."""
        return self


@compiles(db_time)
def _on_any(_element: db_time, _compiler: Any, **_more: Any) -> str:
    return "clock_timestamp()"


@compiles(db_time, "sqlite")
def _on_sqlite(_element: db_time, _compiler: Any, **_more: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"  # UTC, as UTCDateTime is stored


@compiles(days_before)
def _interval(element: days_before, compiler: Any, **more: Any) -> str:
    instant, days = (compiler.process(each, **more) for each in element.clauses)
    return f"(CAST ({instant} AS TIMESTAMP WITH TIME ZONE) - {days} * INTERVAL '1 day')"


@compiles(days_before, "sqlite")
def _modifier(element: days_before, compiler: Any, **more: Any) -> str:
    instant, days = (compiler.process(each, **more) for each in element.clauses)
    return f"strftime('%Y-%m-%d %H:%M:%f000', {instant}, '-' || {days} || ' days')"


@compiles(is_among)
def _in_array(element: is_among, compiler: Any, **more: Any) -> str:
    column, numbers = (compiler.process(each, **more) for each in element.clauses)
    return f"{column} = ANY (CAST ({numbers} AS INTEGER[]))"


@compiles(is_among, "sqlite")
def _in_json(element: is_among, compiler: Any, **more: Any) -> str:
    column, numbers = (compiler.process(each, **more) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({numbers}))"  # noqa: S608 - both are made by the compiler
