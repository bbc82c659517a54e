"""The database: one engine, transactions that ring doorbells after they commit, types both databases share.

SQLite (embedded) runs in WAL mode and writes under BEGIN IMMEDIATE: the default BEGIN loses updates or
fails late when two threads write. PostgreSQL is the production database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from time import monotonic
from typing import Any, Self

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Dialect,
    Engine,
    FunctionElement,
    Insert,
    Integer,
    MetaData,
    Select,
    Text,
    TypeDecorator,
    Update,
    bindparam,
    create_engine,
    event,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.operators import OperatorType

from mailer.errors import MailerError

_PRAGMAS = (  # of every SQLite connection
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "busy_timeout=30000",  # milliseconds
    "cache_size=-32000",  # KB: with SQLite's own 2 MB a row of a large table costs a tenth more
)
_NAMES = {  # constraints have names, so that migrations can drop them
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Unreachable(MailerError):
    """The database cannot be reached: check MAILER_DATABASE_URL and that the server is running."""


class TooSlow(Exception):
    """The database has not answered within the time it was given."""


class Base(DeclarativeBase):
    """The root of all tables; every stage declares its own in its ``store.py``."""

    metadata = MetaData(naming_convention=_NAMES)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC instant on both databases (SQLite would hand back naive local time)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: a time without a zone is a bug, not a value."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r}: times are aware UTC inside")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class db_time(FunctionElement[datetime]):  # noqa: N801 - named as SQL functions are
    """The database's own time as SQL, for a statement that asks more than that; else see ``clock``."""

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


BigId = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by itself only for INTEGER
Json = JSON().with_variant(JSONB(), "postgresql")


class Database:
    """One database. ``read()`` and ``write()`` are the two kinds of transaction."""

    def __init__(self, url: str, *, pool_size: int = 40) -> None:
        """Connect lazily. ``pool_size`` matches the web's 40 threads."""
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "sqlite":
                if parsed.database:
                    private_folder(Path(parsed.database).parent)
                self.engine = _sqlite(url)
            else:
                self.engine = create_engine(
                    url,
                    pool_size=pool_size,
                    pool_pre_ping=True,
                    hide_parameters=True,
                    connect_args={"connect_timeout": 10},
                )
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
            raise Unreachable(
                "MAILER_DATABASE_URL is not a database address: write it like"
                " postgresql+psycopg://user:password@host/name, or leave it empty for SQLite."
            ) from error
        except OSError as error:
            raise Unreachable(
                "The data folder cannot be made ({why}): choose another with MAILER_DATA.", why=error.strerror
            ) from error
        if self.engine.dialect.name not in ("sqlite", "postgresql"):
            raise Unreachable("mailer works on SQLite and PostgreSQL only: correct MAILER_DATABASE_URL.")
        event.listen(self.engine, "handle_error", _without_values)
        self._writer = self.engine.execution_options(mailer_begin="IMMEDIATE")

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that is rolled back at its end."""
        with _one_sentence(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at its end, then does what ``after_commit`` was asked for."""
        with _one_sentence(), _transaction(self._writer) as session:
            yield session

    @contextmanager
    def steady(self) -> Iterator[Steady]:
        """Hold one connection for many short transactions: asking the pool for each costs as much as one."""
        with _one_sentence(), self._writer.connect() as connection:
            _set(connection, _FEW_ROWS_BY_KEY)
            try:
                yield Steady(connection)
            except BaseException:
                connection.invalidate()  # nobody else gets it as it is set
                raise
            _set(connection, _AS_BEFORE)

    @contextmanager
    def reshape(self) -> Iterator[Session]:
        """A transaction that may rebuild tables: SQLite looks at foreign keys at its end, not at every step.

        It changes a table by filling a new one and dropping the old, to which rows of others still point.
        """
        with _one_sentence(), self._writer.connect() as connection:
            driver: Any = connection.connection.driver_connection
            if self.dialect != "sqlite":
                with _transaction(connection) as session:
                    yield session
                return
            driver.execute("PRAGMA foreign_keys=OFF")  # heard only between transactions
            try:
                with _transaction(connection) as session:
                    yield session
                    if astray := session.execute(text("PRAGMA foreign_key_check")).first():
                        raise AssertionError(
                            f"rows of {astray[0]} point to rows of {astray[2]} that are gone"
                        )
            finally:
                driver.execute("PRAGMA foreign_keys=ON")

    def check(self) -> None:
        """:raises Unreachable: no answer"""
        with self.read() as session:
            session.execute(select(1))

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


# Who holds a connection asks the same few rows by key again and again: planning each time costs as much as
# the answer. A plan made for any values must fit few, or it reads whole tables.
_FOR_FEW = {
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
}
_FEW_ROWS_BY_KEY = "; ".join(f"SET {name} = {value}" for name, value in _FOR_FEW.items())
_AS_BEFORE = "; ".join(f"RESET {name}" for name in _FOR_FEW)


def _set(connection: Connection, settings: str) -> None:
    """Change settings of a connection to PostgreSQL."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(settings)
        connection.commit()


class Steady:
    """One connection of a database, for one thread. After an error it is of no more use."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction as ``Database.write`` makes them."""
        with _one_sentence(), _transaction(self._connection) as session:
            yield session


@contextmanager
def _transaction(bind: Engine | Connection) -> Iterator[Session]:
    with Session(bind, expire_on_commit=False) as session:
        with session.begin():
            yield session
        for job in session.info.pop("after_commit", ()):
            job()


def private_folder(folder: Path) -> None:
    """Make a folder that only this account may look into: it will hold people's addresses."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def private_file(path: Path) -> None:
    """Make a file that only this account may read; what stands there already stays as it is.

    :raises OSError: the file cannot be made
    """
    path.touch(mode=0o600, exist_ok=True)


def after_commit(session: Session, job: Callable[[], object]) -> None:
    """Have ``job`` done once the outermost transaction of ``Database.write`` is safe; never if it fails."""
    session.info.setdefault("after_commit", []).append(job)


@contextmanager
def hurried(session: Session, seconds: float, *, few: bool = False) -> Iterator[None]:
    """Ask questions that must be answered within ``seconds``, all together on SQLite, each on PostgreSQL.

    For reading only; the transaction goes on, whatever comes of them. ``few``: they are about few rows found
    by key, for which no whole table is to be read.

    :raises TooSlow: there is no answer yet
    """
    try:
        if session.get_bind().dialect.name == "sqlite":
            with _stopped_after(session, seconds):
                yield
        else:
            with session.begin_nested() as inner:
                session.execute(_HURRY, {"milliseconds": str(int(seconds * 1000))})
                if few:
                    session.execute(_FOR_A_FEW)
                yield
                inner.rollback()  # and what was set is as before
    except OperationalError as error:
        if _is_stopped(error.orig):
            raise TooSlow from error
        raise


def for_a_page(session: Session) -> None:
    """Have what the transaction still asks planned for who waits for a page: a few rows, by indexes.

    On PostgreSQL, until its end: to compile a plan, or start processes for it, takes longer than the answer.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_FOR_A_PAGE)


_FOR_A_PAGE = text(
    "SELECT set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true),"
    " set_config('plan_cache_mode', 'force_custom_plan', true)"
)  # what is asked often would be planned once: for a partner of thousands as for one of three

# counts hash a million numbers in memory; compiling a plan takes longer than most answers
_HURRY = text(
    "SELECT set_config('statement_timeout', :milliseconds, true), set_config('work_mem', '64MB', true),"
    " set_config('jit', 'off', true)"
)


_FOR_A_FEW = text(
    "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),"
    " set_config('max_parallel_workers_per_gather', '0', true), set_config('work_mem', '64kB', true),"
    " set_config('hash_mem_multiplier', '1', true)"
)  # in so little memory nobody hashes a hundred thousand rows to find a few of them


@contextmanager
def _stopped_after(session: Session, seconds: float) -> Iterator[None]:
    driver: Any = session.connection().connection.driver_connection
    end = monotonic() + seconds
    driver.set_progress_handler(lambda: monotonic() > end, 10_000)  # steps of its machine: well under 1 ms
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def _is_stopped(error: object) -> bool:
    return getattr(error, "sqlstate", "") == "57014" or str(error) == "interrupted"


def clock(session: Session) -> datetime:
    """Return the database's own time: the one clock by which leases are judged."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)  # SQLite has no clock but this machine's
    now: datetime = session.execute(_CLOCK).scalar_one()
    return now.astimezone(UTC)


_CLOCK = select(func.clock_timestamp())


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


def copy(session: Session, statement: str, rows: str) -> None:
    """Write rows, in the text format of COPY … FROM STDIN, the quickest way PostgreSQL has."""
    with driver_of(session, statement) as driver, driver.cursor() as cursor, cursor.copy(statement) as stream:
        stream.write(rows)


class Prepared:
    """A statement that is asked for every few letters: compiled once, and given straight to the driver.

    SQLAlchemy takes longer to hand a statement over than the database to carry it out.
    """

    def __init__(self, statement: Select[Any] | Insert | Update) -> None:
        """``statement`` has all its values as ``bindparam``, none of them expanding."""
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, session: Session, **values: object) -> list[tuple[Any, ...]]:
        """Execute it and return its rows."""
        compiled = self._in(session.get_bind().dialect)
        with driver_of(session, compiled.sql) as driver:
            return compiled.read(driver.execute(compiled.sql, compiled.parameters(values)).fetchall())

    def run(self, session: Session, **values: object) -> None:
        """Execute a statement that has no rows."""
        compiled = self._in(session.get_bind().dialect)
        with driver_of(session, compiled.sql) as driver:
            driver.execute(compiled.sql, compiled.parameters(values))

    def run_each(self, session: Session, each: Iterable[Mapping[str, object]], **common: object) -> None:
        """Execute a statement that has no rows once for each of ``each``, plain values that differ."""
        compiled = self._in(session.get_bind().dialect)
        with driver_of(session, compiled.sql) as driver:
            driver.cursor().executemany(compiled.sql, compiled.many(each, common))

    def _in(self, dialect: Dialect) -> _Compiled:
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = _Compiled(self._statement, dialect)
        return self._compiled[dialect.name]


class _Compiled:
    """A statement in one dialect, and how values pass to the driver and back."""

    def __init__(self, statement: Select[Any] | Insert | Update, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)  # of SQL, whatever else may be compiled
        self.sql = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup  # None: by name
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        self._fixed = {name: _plain(bind.value) for name, bind in binds.items() if not bind.required}
        writers = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in binds.items()
        }
        self._writers = [(name, write) for name, write in writers.items() if write]
        columns = compiled.statement.selected_columns if compiled.statement.is_select else ()
        readers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._readers = [(place, read) for place, read in enumerate(readers) if read]

    def parameters(self, values: dict[str, object]) -> Any:
        """Return values as the driver takes them."""
        return self._ordered(self._written(self._fixed | values))

    def many(self, each: Iterable[Mapping[str, object]], common: dict[str, object]) -> list[Any]:
        """Return values as the driver takes them, those in ``common`` written once for all."""
        common = self._written(self._fixed | common)
        return [self._ordered({**common, **values}) for values in each]

    def _written(self, told: dict[str, object]) -> dict[str, object]:
        for name, write in self._writers:
            if name in told:
                told[name] = write(told[name])
        return told

    def _ordered(self, told: dict[str, object]) -> Any:
        return told if self._order is None else [told[name] for name in self._order]

    def read(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return rows as the columns' types read them."""
        if not self._readers:
            return rows
        read = [list(row) for row in rows]
        for row in read:
            for place, reader in self._readers:
                row[place] = reader(row[place])
        return [tuple(row) for row in read]


def _plain(value: object) -> object:
    """Return an enumeration's value: drivers take long to find out what to do with the member."""
    return value.value if isinstance(value, Enum) else value


@contextmanager
def driver_of(session: Session, statement: str) -> Iterator[Any]:
    """Give the driver's own connection within the session's transaction; its errors are SQLAlchemy's."""
    connection = session.connection()
    driver: Any = connection.connection.driver_connection
    errors: Any = connection.dialect.dbapi
    try:
        yield driver
    except errors.Error as error:
        lost = connection.dialect.is_disconnect(error, driver, None)
        if lost:
            connection.invalidate(error)
        told = DBAPIError.instance(
            statement, None, _first_line(error), errors.Error,
            hide_parameters=True, connection_invalidated=lost, dialect=connection.dialect,
        )  # fmt: skip
        raise told from error


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        if "file is not a database" in str(error.orig):
            raise Unreachable(
                "The database file is damaged, or no database: put a backup in its place, or choose another"
                " MAILER_DATA."
            ) from error
        if error.connection_invalidated or _never_connected(error):
            raise Unreachable from error
        raise


def _never_connected(error: DatabaseError) -> bool:
    text = str(error.orig)
    return isinstance(error, OperationalError) and (
        error.statement is None or "unable to open database file" in text
    )


def _without_values(context: ExceptionContext) -> None:
    """Cut an error to its first line: PostgreSQL's DETAIL quotes rows, and rows hold addresses (law 9)."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            _first_line(error)


def _first_line(error: BaseException) -> BaseException:
    if error.args:
        error.args = (str(error.args[0]).partition("\n")[0], *error.args[1:])
    return error


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": 30, "check_same_thread": False}
    )

    @event.listens_for(engine, "do_connect")
    def keep_private(_dialect: Dialect, _record: object, _args: object, _options: object) -> None:
        if engine.url.database not in (None, "", ":memory:"):
            with suppress(OSError):  # SQLite itself says better what is wrong
                private_file(Path(str(engine.url.database)))

    @event.listens_for(engine, "connect")
    def settle(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin by itself; see ``begin`` below
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get("mailer_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine
