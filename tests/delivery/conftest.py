"""A desk that launches campaigns and sends them to a real SMTP server, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailer.database import Database
from mailer.settings import Settings
from tests.delivery.desk import Desk
from tests.make import Make
from tests.smtphost import SmtpHost


@pytest.fixture
def host() -> Iterator[SmtpHost]:
    """The relay that takes the letters."""
    with SmtpHost() as host:
        yield host


@pytest.fixture
def desk(database: Database, settings: Settings, make: Make, host: SmtpHost) -> Iterator[Desk]:
    """A desk whose letters go to ``host``."""
    desk = Desk(database, settings.model_copy(update={"smtp_url": host.url}), make)
    yield desk
    desk.close()
