"""The ground of the tests: settings of their own, both databases, a broker, a browser, builders.

``database`` runs a test on SQLite and on PostgreSQL. Where a server or the browser cannot be had, the tests
that need it skip and say why; with ``CI=true`` that is a failure instead.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from mailer import migrations
from mailer.database import Database
from mailer.settings import Settings
from tests import servers
from tests.make import SECRET, Make

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

_BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
_MARKED_BY = {"postgres_server": "postgres", "redis_server": "redis", "browser": "browser"}


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run: nothing of the caller's own settings, no socket but loopback, one folder to share."""
    for name in [name for name in os.environ if name.startswith("MAILER_")]:
        del os.environ[name]
    sys.addaudithook(_loopback_only)
    if not hasattr(config, "workerinput"):  # set in xdist's workers
        servers.open_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run: the first process stops what any of them started."""
    if not hasattr(config, "workerinput"):
        servers.close_run()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they need, so that ``-m "not postgres"`` can leave them out."""
    for item in items:
        for fixture, mark in _MARKED_BY.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


def _loopback_only(event: str, args: tuple[Any, ...]) -> None:
    """Audit hook: a test that would leave this machine fails at the call."""
    if event in ("socket.connect", "socket.bind", "socket.sendto"):
        address = args[1]
        if isinstance(address, tuple) and not _is_loopback(str(address[0])):
            raise PermissionError(f"tests speak to loopback only, not to {address[0]}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without(missing: servers.Missing) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"needed in CI: {missing}")
    pytest.skip(str(missing))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an embedded installation in a folder of its own; the listener takes any free port."""
    return Settings(data=tmp_path / "data", secret=SECRET, listener_port=0)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{file}")
    migrations.upgrade(database)
    database.close()
    return file


@pytest.fixture
def sqlite_database(settings: Settings, _sqlite_template: Path) -> Iterator[Database]:
    """The SQLite database of ``settings``: current schema, no rows."""
    settings.data.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_sqlite_template, settings.data / "mailer.db")
    database = Database(settings.database)
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The URL of the run's PostgreSQL server, as psycopg takes it."""
    try:
        return servers.postgres()
    except servers.Missing as missing:
        _without(missing)


@pytest.fixture(scope="session")
def _postgres_url(postgres_server: str) -> str:
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    url = servers.create_database(postgres_server, name)
    database = Database(url)
    migrations.upgrade(database)
    database.close()
    return url


@pytest.fixture
def postgres_url(_postgres_url: str) -> str:
    """The URL of a PostgreSQL database with the current schema and no rows."""
    servers.empty_tables(_postgres_url)
    return _postgres_url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    """A PostgreSQL database: current schema, no rows."""
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture(params=_BOTH)
def database(request: pytest.FixtureRequest) -> Database:
    """A database with the current schema and no rows: the test runs on SQLite and on PostgreSQL."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture(params=_BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table: on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    name = f"empty_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    yield servers.create_database(server, name)
    servers.drop_database(server, name)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of this process's Redis-compatible server."""
    try:
        with servers.redis() as url:
            yield url
    except servers.Missing as missing:
        _without(missing)


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of an empty Redis-compatible server."""
    from redis import Redis

    with Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def production(settings: Settings, postgres_url: str, redis_url: str) -> Settings:
    """Settings as in production: PostgreSQL and a broker outside the process."""
    return settings.model_copy(update={"database_url": postgres_url, "redis_url": redis_url})


@pytest.fixture
def make(database: Database) -> Make:
    """Builders of rows in ``database``; a test on one database alone makes ``Make(sqlite_database)``."""
    return Make(database)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Of a module, not of the run: while it lives, this thread can run no other loop."""
    try:
        executable = servers.chromium()
    except servers.Missing as missing:
        _without(missing)
    from playwright.sync_api import sync_playwright  # starting it costs every run a third of a second

    # no sandbox: as root Chromium refuses one, in a container it has none, and all it loads is our own
    args = ["--no-sandbox", "--no-proxy-server", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=args)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a browser profile of its own. A request that would leave this machine fails the test."""
    strays: list[str] = []

    def only_here(route: Route) -> None:
        host = route.request.url.split("/")[2].rsplit(":", 1)[0].strip("[]")
        if _is_loopback(host):
            route.continue_()
        else:
            strays.append(route.request.url)
            route.abort()

    context = browser.new_context()
    context.route(lambda url: url.startswith("http"), only_here)
    yield context.new_page()
    context.close()
    assert not strays, f"the page asked for {strays}"
