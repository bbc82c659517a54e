"""A letter is a whole message whose every way back leads to its own delivery (law 3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime

import pytest

from mailer.audience.store import Subscriber
from mailer.delivery import letters
from mailer.errors import NotFound
from mailer.signing import BadToken, Purpose
from tests.delivery.desk import Desk
from tests.smtphost import Received, SmtpHost


def parsed(letter: Received) -> EmailMessage:
    message = message_from_bytes(letter.body, policy=default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.fixture
def sent(desk: Desk, host: SmtpHost) -> tuple[int, dict[str, Received]]:
    """A campaign to an English and a Chinese reader, and what the relay took."""
    desk.make.subscriber("ann@example.org", salutation_en="Dear Dr Lee,")
    desk.make.subscriber("li@example.org", language="zh", salutation_zh="尊敬的李敏部长：")
    campaign = desk.launched()
    desk.work()
    return campaign, {letter.recipient: letter for letter in host.letters}


def number(desk: Desk, campaign: int, address: str) -> int:
    with desk.database.read() as session:
        rows = desk.ledger(campaign).values()
        return next(
            row.n for row in rows if session.get_one(Subscriber, row.subscriber_id).address == address
        )


def test_every_way_back_leads_to_the_delivery(desk: Desk, sent: tuple[int, dict[str, Received]]) -> None:
    """Return path, Message-ID, leaving by POST and by mail: each token reads back under its own purpose."""
    campaign, taken = sent
    keys, domain = desk.settings.keys, desk.settings.bounce_domain
    now = datetime.now(UTC)
    for address, letter in taken.items():
        place = (campaign, number(desk, campaign, address))
        message = parsed(letter)
        back, at = letter.sender.removeprefix("b-").split("@")
        assert (keys.read(Purpose.RETURN_PATH, back, now=now), at) == (place, domain)
        id_ = message["Message-ID"].removeprefix("<m-").removesuffix(f"@{domain}>")
        assert keys.read(Purpose.MESSAGE_ID, id_) == place
        post, mailto = message["List-Unsubscribe"].split(", ")
        token = post.strip("<>").removeprefix(f"{desk.settings.public_url}/leave/")
        assert keys.read(Purpose.LEAVE, token) == place
        assert mailto == f"<mailto:leave-{token}@{domain}>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert message["List-Id"].endswith("<observer.news.example>")


def test_a_return_path_ends_and_what_is_clicked_does_not(
    desk: Desk, sent: tuple[int, dict[str, Received]]
) -> None:
    """Reports come within days, readers come within years; none passes for the other."""
    _, taken = sent
    keys, later = desk.settings.keys, datetime.now(UTC) + letters.RETURN_PATH_LIFE + timedelta(days=1)
    back = taken["ann@example.org"].sender.removeprefix("b-").split("@")[0]
    with pytest.raises(BadToken):
        keys.read(Purpose.RETURN_PATH, back, now=later)
    with pytest.raises(BadToken):
        keys.read(Purpose.LEAVE, back)


def test_a_letter_greets_its_reader_in_the_editions_language(sent: tuple[int, dict[str, Received]]) -> None:
    """In the text and in the HTML part; it is addressed to one, and says who sent it and when."""
    for address, language, greeting in (
        ("ann@example.org", "en", "Dear Dr Lee,"),
        ("li@example.org", "zh", "尊敬的李敏部长："),
    ):
        message = parsed(sent[1][address])
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        assert text is not None
        assert html is not None
        assert greeting in text.get_content()
        assert greeting in html.get_content()
        assert f'lang="{language}' in html.get_content()
        assert message["To"].addresses[0].addr_spec == address
        assert message["From"].addresses[0].addr_spec == "observer@news.example"
        assert abs(parsedate_to_datetime(message["Date"]) - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_very_letter_can_be_shown_again(desk: Desk, sent: tuple[int, dict[str, Received]]) -> None:
    """Byte for byte but for the date, even after the person's name and the issue were changed."""
    campaign, taken = sent
    n = number(desk, campaign, "ann@example.org")
    with desk.database.write() as session:
        session.get_one(Subscriber, desk.ledger(campaign)[n].subscriber_id).salutation_en = "Hello,"
    with desk.database.read() as session:
        at = parsedate_to_datetime(parsed(taken["ann@example.org"])["Date"])
        again = letters.again(session, campaign_id=campaign, n=n, settings=desk.settings, now=at)
        assert again == taken["ann@example.org"].body
        with pytest.raises(NotFound):
            letters.again(session, campaign_id=campaign, n=99, settings=desk.settings, now=at)


def test_one_compositor_serves_many_campaigns_in_turn(desk: Desk) -> None:
    """A letter of one never comes from another's bytes, however often they alternate."""
    desk.readers("ann@example.org")
    made = [desk.launched() for _ in range(letters._KEPT + 2)]
    compositor = letters.Compositor(desk.settings)
    person = letters.Addressee(1, 1, "en", "Dear Ann,", 0, "ann@example.org", "")
    with desk.database.read() as session:
        composers = {campaign: compositor.of(session, campaign) for campaign in [*made, *made]}
    for campaign, compose in composers.items():
        envelope = compose(person, datetime.now(UTC))
        token = envelope.sender.removeprefix("b-").split("@")[0]
        assert desk.settings.keys.read(Purpose.RETURN_PATH, token, now=datetime.now(UTC)) == (campaign, 1)
