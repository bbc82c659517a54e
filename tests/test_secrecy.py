"""What is kept from others: files of the data folder, passwords in settings, rows in errors (law 9)."""

from __future__ import annotations

import os
import stat
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from mailer import migrations
from mailer.accounts.store import User
from mailer.database import Database
from mailer.feedback.outbox import Outbox
from mailer.settings import Settings
from tests.make import NOON


def test_others_on_the_machine_cannot_read_the_data_folder(tmp_path: Path) -> None:
    """It holds addresses, letters and the secret; a folder made beforehand may be open, its files are not."""
    data = tmp_path / "data"
    settings = Settings(data=data, database_url="")
    before = os.umask(0o022)
    try:
        database = Database(settings.database)
        migrations.upgrade(database)
        Outbox(data).close()
        assert settings.keys
        database.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    open_to_others = [file.name for file in data.iterdir() if file.stat().st_mode & 0o077]
    assert open_to_others == []


def test_two_processes_that_start_at_once_share_one_secret(tmp_path: Path) -> None:
    """Else one of them would sign letters whose links nobody can open."""
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: Settings(data=tmp_path, secret="").keys.keys, range(8)))
    assert all(each == keys[0] for each in keys)
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_settings_show_no_password() -> None:
    """Settings end up in tracebacks and bug reports."""
    settings = Settings(
        smtp_url="smtp://u:hunter2@relay.example",
        redis_url="redis://:hunter2@broker.example",
        database_url="postgresql+psycopg://u:hunter2@db.example/mailer",
        secret="1:hunter2hunter2hunter2",
    )
    assert "hunter2" not in repr(settings) + str(settings)


def test_a_database_error_names_no_row(database: Database) -> None:
    """Errors are logged: neither the statement's values nor PostgreSQL's DETAIL may come along."""
    row = {"email": "ann.lee@example.org", "role": "viewer", "name": "", "language": "en", "created_at": NOON}
    with pytest.raises(IntegrityError) as caught, database.write() as session:
        session.execute(insert(User), [row, row])
    told = "".join(traceback.format_exception(caught.value))
    assert "ann.lee" not in told
    assert "users" in told
