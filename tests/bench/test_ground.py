"""The bench's ground: its own, as production runs, and gone afterwards."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from redis import Redis
from sqlalchemy import text

from mailer.bench import ground
from mailer.bench.ground import Ground
from mailer.database import Database
from mailer.settings import Settings

COMPOSE = Path(__file__).parent.parent.parent / "docker-compose.yml"
RELAY = "smtp://127.0.0.1:9?starttls=off"


def schemas(url: str) -> set[str]:
    """The schemas of benches in a PostgreSQL database."""
    database = Database(url)
    with database.read() as session:
        found = set(
            session.scalars(text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'mailer_bench_%'"))
        )
    database.close()
    return found


def test_workers_are_those_of_production() -> None:
    """What is measured and broken is started by the very commands of docker-compose.yml."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    worker = shlex.split(services["worker"]["command"])
    place = worker.index("--concurrency")
    assert (*worker[:place], *worker[place + 2 :]) == ground.WORKER
    assert tuple(shlex.split(services["beat"]["command"])) == ground.BEAT


def test_nothing_of_the_installation_is_touched(production: Settings) -> None:
    """Schema, broker's database and folder are the bench's own while it runs, and gone afterwards."""
    with Redis.from_url(production.redis_url) as redis:
        redis.set("theirs", 1)
        with Ground(production, relay=RELAY) as made:
            [schema] = schemas(production.database)
            assert schema in made.settings.database
            assert made.settings.redis_url != production.redis_url
            folder = made.folder
        assert redis.keys() == [b"theirs"]
        databases = redis.info("keyspace")
    assert (schemas(production.database), set(databases), folder.exists()) == (set(), {"db0"}, False)


def test_a_bench_that_is_stopped_leaves_nothing(production: Settings) -> None:
    """Ctrl-C in the middle: workers are stopped, then schema and folder go."""

    def stopped() -> None:
        with Ground(production, relay=RELAY, concurrency=1) as made:
            [machine] = made.start_workers()
            seen.append((made.folder, machine.pids()))
            raise KeyboardInterrupt

    seen: list[tuple[Path, list[int]]] = []
    with pytest.raises(KeyboardInterrupt):
        stopped()
    [(folder, pids)] = seen
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert (folder.exists(), schemas(production.database)) == (False, set())


def test_embedded_on_sqlite(settings: Settings) -> None:
    """Without any server the embedded worker runs in a process of its own, and its cost can be read."""
    with Ground(settings, relay=RELAY) as made:
        assert made.start_beat() is None
        made.start_workers()
        cpu = made.cpu()
        assert (cpu.workers > 0, cpu.postgres, made.peak_rss_mb() > 10) == (True, None, True)
    assert not (settings.data / "mailer.db").exists()
