"""A post office for tests of pages that mail links: the application, a real SMTP server, a clock to turn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from starlette.testclient import TestClient

from mailer.database import Database
from mailer.feedback.outbox import Outbox
from mailer.settings import Settings
from mailer.web.app import create_app
from tests.make import NOON
from tests.smtphost import SmtpHost
from tests.web.conftest import hidden


@dataclass
class Post:
    """A browser at the application, and the mails it sent."""

    host: SmtpHost
    settings: Settings
    database: Database
    now: datetime = NOON
    client: TestClient = field(init=False)

    def browser(self, ip: str = "192.0.2.7", outbox: Outbox | None = None) -> TestClient:
        """Another browser, at an address of its own."""
        app = create_app(self.settings, self.database, outbox, clock=lambda: self.now)
        return TestClient(app, client=(ip, 50000), headers={"accept-language": "en"})

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    @property
    def mails(self) -> list[tuple[str, str, str]]:
        """Recipient, subject and text of every mail, oldest first."""
        found = []
        for letter in self.host.letters:
            message = cast(EmailMessage, message_from_bytes(letter.body, policy=policy.default))
            found.append((letter.recipient, str(message["Subject"]), message.get_content()))
        return found

    def link(self, page: str, mail: int = -1) -> str:
        """The path of a page that a mail links to."""
        found = re.search(rf"/{page}/[a-z2-7]+", self.mails[mail][2])
        assert found, f"no link to {page} in {self.mails[mail][2]}"
        return found[0]

    def fill_in(
        self, address: str = "ann@example.org", *, wait: float = 5, path: str = "/join/observer", **more: Any
    ) -> Any:
        """Open the form, take some seconds, and send it."""
        page = self.client.get(path)
        self.later(seconds=wait)
        answers = {"address": address, "language": "en", "agreed": "1", "ticket": hidden(page.text, "ticket")}
        return self.client.post(path, data={**answers, **more})


@contextmanager
def office(settings: Settings, database: Database) -> Iterator[Post]:
    """An application at NOON whose mails go to a real server."""
    with SmtpHost() as host:
        post = Post(host, settings.model_copy(update={"smtp_url": host.url}), database)
        with post.browser() as post.client:
            yield post
