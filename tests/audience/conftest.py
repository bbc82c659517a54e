"""What tests of imports begin with."""

from __future__ import annotations

import pytest

from mailer.accounts.audit import SYSTEM
from mailer.audience.imports import Job
from mailer.audience.intake import Consent
from mailer.audience.sheets.sheet import read
from mailer.audience.store import ConsentKind
from tests.make import KEYS


@pytest.fixture
def job(make):
    """A file of people on its way in, from its text."""
    publication = make.publication()

    def job(text, *, partner=None, name="people.csv"):
        return Job(
            sheet=read(text.encode(), name), publication_id=publication.id, keys=KEYS, actor=SYSTEM,
            consent=Consent(ConsentKind.IMPORTED, "Agreed."), partner_id=partner.id if partner else None,
        )  # fmt: skip

    return job
