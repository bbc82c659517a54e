"""Files that travel with every letter."""

from __future__ import annotations

from email import message_from_bytes

import pytest

from mailer.accounts.audit import Actor
from mailer.database import Database
from mailer.delivery import campaigns
from mailer.delivery.campaigns import NotApproved
from mailer.issues import attachments, freeze
from mailer.issues.attachments import BadAttachment
from mailer.settings import Settings
from tests.make import NOON, Make

SHELL = Actor(None, "shell")


def _attach(
    database: Database, issue_id: int, name: str = "报告.pdf", content: bytes = b"%PDF-1.7 x"
) -> None:
    with database.write() as session:
        attachments.add(session, issue_id=issue_id, file_name=name, content=content, now=NOON, actor=SHELL)


def test_an_attachment_is_in_the_letter_under_its_own_name(
    database: Database, make: Make, settings: Settings
) -> None:
    """A Chinese file name survives (RFC 2231)."""
    issue = make.issue()
    _attach(database, issue.id)
    with database.read() as session:
        blueprint, _ = freeze.blueprint_of(session, issue.id, "zh", settings=settings)
    values = dict.fromkeys(blueprint.names, "x@example.org")
    parts = list(message_from_bytes(blueprint.letter(values)).walk())
    assert parts[-1].get_filename() == "报告.pdf"
    assert parts[-1].get_payload(decode=True) == b"%PDF-1.7 x"


def test_attaching_a_file_voids_the_approval(database: Database, make: Make, settings: Settings) -> None:
    """What was frozen does not carry it."""
    issue = make.issue()
    make.subscriber(address="ann@example.org")
    with database.write() as session:
        campaign = campaigns.create(session, issue_id=issue.id, audience="everyone", now=NOON, actor=SHELL)
        campaigns.ask(session, campaign_id=campaign.id, settings=settings, now=NOON, actor=SHELL)
        campaigns.approve(session, campaign_id=campaign.id, now=NOON, actor=SHELL)
    _attach(database, issue.id)
    with pytest.raises(NotApproved), database.write() as session:
        campaigns.launch(session, campaign_id=campaign.id, settings=settings, now=NOON, actor=SHELL)


@pytest.mark.parametrize(
    ("name", "content"), [("a.pdf", b""), ("tool.exe", b"MZ"), ("big.pdf", b"x" * 2_000_001)]
)
def test_what_no_mail_system_takes_is_refused_with_advice(
    database: Database, make: Make, name: str, content: bytes
) -> None:
    """Empty, executable, too large."""
    issue = make.issue()
    with pytest.raises(BadAttachment):
        _attach(database, issue.id, name, content)
