"""Test letters are real letters to a colleague, and count nowhere."""

from __future__ import annotations

import pytest

from mailer.address import BadAddress
from mailer.delivery import trial
from mailer.delivery.letters import NOBODY
from mailer.delivery.relay import RelayUnavailable
from mailer.delivery.trial import Refused
from mailer.signing import Purpose
from tests import servers
from tests.delivery.desk import Desk, now
from tests.smtphost import SmtpHost


def send(desk: Desk, campaign: int, to: str = "colleague@example.org", **changes: object) -> None:
    chosen = desk.settings.model_copy(update=changes)
    with desk.database.read() as session:
        trial.send(session, campaign_id=campaign, to=to, settings=chosen, now=now())


@pytest.mark.parametrize("frozen", [False, True])
def test_a_colleague_gets_the_letter_and_the_ledger_nothing(desk: Desk, host: SmtpHost, frozen: bool) -> None:
    """Before and after freezing; its tokens are nobody's."""
    campaign = desk.approved() if frozen else desk.draft()
    send(desk, campaign)
    (letter,) = host.letters
    assert letter.recipient == "colleague@example.org"
    token = letter.sender.removeprefix("b-").split("@")[0]
    assert desk.settings.keys.read(Purpose.RETURN_PATH, token, now=now()) == (campaign, NOBODY)
    assert desk.ledger(campaign) == {}
    assert desk.attempts(campaign) == []


def test_a_refusal_is_told_in_the_relays_words(desk: Desk, host: SmtpHost) -> None:
    """The person at the desk can act on them."""
    host.answers_rcpt("550 5.7.1 Relaying denied")
    with pytest.raises(Refused, match="Relaying denied"):
        send(desk, desk.draft())


def test_the_next_relay_is_tried_and_none_is_told(desk: Desk, host: SmtpHost) -> None:
    """Down, then up; then only down."""
    down = f"smtp://127.0.0.1:{servers.free_port()}"
    campaign = desk.draft()
    send(desk, campaign, smtp_url=f"{down} {host.url}")
    assert len(host.letters) == 1
    with pytest.raises(RelayUnavailable):
        send(desk, campaign, smtp_url=down)


def test_what_is_no_address_is_refused_before_any_relay_is_asked(desk: Desk, host: SmtpHost) -> None:
    """One sentence; nothing connects."""
    with pytest.raises(BadAddress):
        send(desk, desk.draft(), to="colleague")
    assert host.connections == 0
