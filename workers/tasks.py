"""Tasks: each calls one verb. Safe to run twice, and safe not to run: the timetable rings again."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from celery import signals

from mailer import queue
from mailer.accounts import sessions
from mailer.audience.changes import duplicates, wholesale
from mailer.audience.uploads import steps
from mailer.delivery import inviting, lanes
from mailer.delivery import sweep as sweeping
from mailer.feedback import answers, policy
from mailer.feedback import watch as watching
from mailer.feedback.webhooks import hooks
from mailer.retention import sweep as retention
from workers.app import app, context, leave
from workers.timetable import LOOK_UP, SWEEP, TIDY, WATCH


@app.task(name=queue.WORK)  # type: ignore[untyped-decorator]  # Celery has no types
def work(**_newer: object) -> None:
    """Send what is due for about two seconds, chosen fairly. Run twice, it sends once: leases tell."""
    if context().sender.work(seconds=2.0):
        queue.ring_now(queue.WORK)


@app.task(name=SWEEP)  # type: ignore[untyped-decorator]
def sweep(**_newer: object) -> None:
    """Take back what dead workers held, ring while anything is due, launch what is scheduled."""
    now = datetime.now(UTC)
    try:
        with context().database.write() as session:
            sweeping.sweep(session, now=now)
    finally:  # whatever is wrong with one campaign's rows, it holds up no other's launch
        sweeping.launch_due(context().database, settings=context().settings, now=now)


@app.task(name=queue.APPLY)  # type: ignore[untyped-decorator]
def apply(**_newer: object) -> None:
    """Decide about what came back, for about two seconds; whoever comes meanwhile finds it taken."""
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        with context().database.write() as session:
            decided = policy.apply_pending(session, now=datetime.now(UTC))
        if not decided:
            return
    queue.ring_now(queue.APPLY)


@app.task(name=queue.CHANGE)  # type: ignore[untyped-decorator]
def change(**_newer: object) -> None:
    """Go on with bulk changes for about two seconds; whoever comes meanwhile finds them taken."""
    if wholesale.work(context().database, clock=lambda: datetime.now(UTC)):
        queue.ring_now(queue.CHANGE)


@app.task(name=queue.IMPORT)  # type: ignore[untyped-decorator]
def import_people(**_newer: object) -> None:
    """Go on with a file of people that waits; leases tell who does."""
    if steps.work(context().database, keys=context().settings.keys, clock=lambda: datetime.now(UTC)):
        queue.ring_now(queue.IMPORT)


@app.task(name=queue.INVITE)  # type: ignore[untyped-decorator]
def invite(**_newer: object) -> None:
    """Ask the next people of a file; the rows pace it, however often the bell rings."""
    inviting.invite(context().database, settings=context().settings, clock=lambda: datetime.now(UTC))


@app.task(name=WATCH)  # type: ignore[untyped-decorator]
def watch(**_newer: object) -> None:
    """See whether a provider has a bad day, or refuses us."""
    with context().database.write() as session:
        watching.watch(session, now=datetime.now(UTC))


@app.task(name=queue.PASS_ON)  # type: ignore[untyped-decorator]
def pass_on(**_newer: object) -> None:
    """Pass readers' answers on to the desks."""
    answers.pass_on(context().database, settings=context().settings, now=datetime.now(UTC))


@app.task(name=TIDY)  # type: ignore[untyped-decorator]
def tidy(**_newer: object) -> None:
    """Forget what has run out: sessions, sign-in links, all that is kept for a while. Look for duplicates."""
    now = datetime.now(UTC)
    with context().database.write() as session:
        sessions.forget_expired(session, now=now)
        steps.forget(session, now=now)
        hooks.forget_tokens(session, now=now)
    with context().database.write() as session:
        duplicates.find(session, now=now)
    retention.run(context().database, settings=context().settings, now=now)


@app.task(name=LOOK_UP)  # type: ignore[untyped-decorator]
def look_up(**_newer: object) -> None:
    """Ask the DNS who answers for mail domains: new ones, and those not asked about for a month."""
    from mailer.delivery import mx  # a tenth of a second that no other task has to wait for

    lanes.look_up(context().database, mx.Hosts(), datetime.now(UTC))


@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def goodbye(**_newer: Any) -> None:
    """Close connections when a prefork child ends."""
    leave()
