"""What processor time assembling one letter takes, from frozen blueprints as workers do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from statistics import median
from typing import Any, TypeVar

from mailer.accounts.audit import Actor
from mailer.bench import issue
from mailer.bench.ground import Ground
from mailer.bench.issue import LANGUAGE, Script
from mailer.bench.readers import Readers
from mailer.content import letter as content
from mailer.content import slots
from mailer.content.letter import Blueprint
from mailer.delivery import campaigns, slices, store
from mailer.delivery.letters import Compositor
from mailer.delivery.slices import Addressee
from mailer.settings import Settings
from mailer.signing import Purpose

TEXT = 21 * 1024  # octets
ARTICLES: dict[Script, int] = {
    "latin": 52,
    "chinese": 46,
}  # short ones: of them that text makes 64 KB of HTML
READERS = 2_000  # each with names of their own, so that no letter is another's
SLICE = 100  # letters made at once, as a worker does
_SHELL = Actor(None, "shell")

Item = TypeVar("Item")
Values = dict[str, str]


def run(given: Settings) -> dict[str, Any]:
    """Measure Latin and Chinese letters; return the figures by script."""
    scripts: tuple[Script, ...] = ("latin", "chinese")
    return {script: _measured(given, script) for script in scripts}


def _measured(given: Settings, script: Script) -> dict[str, Any]:
    alone = given.model_copy(update={"database_url": "", "redis_url": ""})
    with Ground(alone, relay="smtp://127.0.0.1:9") as ground:
        campaign_id = _launched(ground, script)
        with ground.database.read() as session:
            now = datetime.now(UTC)
            publication_id = campaigns.get(session, campaign_id).publication_id
            people = slices.addressees(
                session,
                campaign_id=campaign_id,
                numbers=range(1, READERS + 1),
                publication_id=publication_id,
                now=now,
            )
            frozen = store.frozen_editions(session, campaign_id)[LANGUAGE[script]]
            blueprint = Blueprint.from_json(frozen.blueprint.decode())
            values = [_values(person, ground.settings, campaign_id, now) for person in people]
            compositor = Compositor(ground.settings)  # settles how memory is kept, as it does in a worker

            def fill(some: Sequence[Values]) -> None:
                for each in some:
                    blueprint.letter(each)

            def compose(some: Sequence[Addressee]) -> None:
                compositor.slice(session, campaign_id, some, now)

            return {
                "letter_us": _us(fill, values),
                "composed_us": _us(compose, people),
                "html_bytes": frozen.html_bytes,
                "text_bytes": frozen.text_bytes,
                "wire_bytes": len(blueprint.letter(values[0])),
                "slots": sum(len(segment.slots) for segment in blueprint.segments),
            }


def _launched(ground: Ground, script: Script) -> int:
    """Launch a campaign that no worker sends."""
    with ground.database.write() as session:
        now = datetime.now(UTC)
        campaign = issue.publish(
            session,
            script=script,
            octets=TEXT,
            weigh=issue.in_text,
            settings=ground.settings,
            now=now,
            articles=ARTICLES[script],
        )
        Readers(campaign.publication_id, READERS, script, ground.settings.keys, now).write(session)
        campaigns.ask(session, campaign_id=campaign.id, settings=ground.settings, now=now, actor=_SHELL)
        campaigns.approve(session, campaign_id=campaign.id, now=now, actor=_SHELL)
        campaigns.launch(session, campaign_id=campaign.id, settings=ground.settings, now=now, actor=_SHELL)
        return campaign.id


def _values(person: Addressee, settings: Settings, campaign_id: int, now: datetime) -> Values:
    """Return what fills a blueprint's slots for a reader."""
    base, domain, keys = settings.public_url, settings.bounce_domain, settings.keys
    link = keys.sign(Purpose.LINK, campaign_id, person.n)
    leave = keys.sign(Purpose.LEAVE, campaign_id, person.n)
    return {
        slots.SALUTATION: person.salutation,
        slots.TOKEN: link,
        slots.VIEW: f"{base}/view/{link}",
        slots.PREFERENCES: f"{base}/preferences/{link}",
        slots.UNSUBSCRIBE: f"{base}/leave/{leave}",
        slots.OTHER: base,
        content.TO_NAME: "",
        content.TO_ADDRESS: person.address or "",
        content.DATE: format_datetime(now),
        content.MESSAGE_ID: f"<m-{keys.sign(Purpose.MESSAGE_ID, campaign_id, person.n)}@{domain}>",
        content.UNSUBSCRIBE_MAIL: f"leave-{leave}@{domain}",
    }


def _us(make: Callable[[Sequence[Item]], object], items: Sequence[Item]) -> float:
    """Return the processor time of one of ``items`` in microseconds: the median over slices of them."""
    slices = [items[start : start + SLICE] for start in range(0, len(items), SLICE)]
    make(slices[0])  # what is prepared once
    took: list[float] = []
    for some in slices:
        before = time.thread_time_ns()
        make(some)
        took.append((time.thread_time_ns() - before) / len(some) / 1000)
    return round(median(took), 1)
