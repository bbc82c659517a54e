"""A letter is a whole message whose every way back leads to its own delivery (law 3)."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime

import pytest

from mailer.address import parse
from mailer.audience.store import Subscriber
from mailer.delivery import campaigns, dkim_dns, dkim_keys, letters
from mailer.delivery.dkim import Algorithm
from mailer.errors import NotFound
from mailer.signing import BadToken, Purpose
from tests.delivery.desk import SHELL, Desk
from tests.delivery.receiver import verdicts
from tests.make import NOON
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


def person(n: int, language: str = "en", address: str | None = "ann@example.org") -> letters.Addressee:
    return letters.Addressee(n, n, language, f"Dear reader {n},", 0, address, "")


def test_one_compositor_serves_many_campaigns_in_turn(desk: Desk) -> None:
    """A letter of one never comes from another's bytes, however often they alternate."""
    desk.readers("ann@example.org")
    made = [desk.launched() for _ in range(letters._KEPT + 2)]
    compositor = letters.Compositor(desk.settings)
    with desk.database.read() as session:
        for campaign in [*made, *made]:
            [envelope] = compositor.slice(session, campaign, [person(1)], NOON)
            token = envelope.sender.removeprefix("b-").split("@")[0]
            assert desk.settings.keys.read(Purpose.RETURN_PATH, token, now=NOON) == (campaign, 1)


def test_a_slice_is_composed_in_the_order_of_its_people(desk: Desk) -> None:
    """Each has their own greeting, language, address and tokens; only an address beyond ASCII needs care."""
    desk.make.subscriber("ann@example.org")
    desk.make.subscriber("li@example.org", language="zh")
    campaign = desk.launched()
    people = [person(7), person(3, "zh"), person(5, address="grå@example.org")]
    with desk.database.read() as session:
        envelopes = letters.Compositor(desk.settings).slice(session, campaign, people, NOON)
    assert [(it.key, it.recipient, it.clean) for it in envelopes] == [
        (7, "ann@example.org", True),
        (3, "ann@example.org", True),
        (5, "grå@example.org", False),
    ]
    for envelope, reader in zip(envelopes, people, strict=True):
        text = message_from_bytes(bytes(envelope.body), policy=default).get_body(("plain",)).get_content()
        link = desk.settings.keys.sign(Purpose.LINK, campaign, reader.n)
        assert reader.salutation in text
        assert f"/view/{link}" in text


def test_nobody_without_an_address_is_written_to(desk: Desk) -> None:
    """An erased reader's letter is withdrawn before it comes to this."""
    campaign = desk.launched("ann@example.org")
    with desk.database.read() as session, pytest.raises(ValueError, match="delivery 1 has no address"):
        letters.Compositor(desk.settings).slice(session, campaign, [person(1, address=None)], NOON)


def test_letters_are_signed_for_the_senders_domain(desk: Desk) -> None:
    """What is sent, and a test letter; one shown again is no sending."""
    key = {"domain": "news.example", "selector": "n2026", "now": NOON, "actor": SHELL}
    with desk.database.write() as session:
        made = dkim_keys.make(session, algorithm=Algorithm.ED25519, keys=desk.settings.keys, **key)
        dkim_keys.activate(session, seen=None, **key)
    name = dkim_dns.record_name(made.domain, made.selector)
    records = {name: dkim_dns.record(Algorithm.ED25519, made.public)}
    campaign = desk.launched("ann@example.org")
    asked = {"settings": desk.settings, "now": NOON}
    with desk.database.read() as session:
        [sent] = letters.Compositor(desk.settings).slice(session, campaign, [person(1)], NOON)
        test = letters.trial(
            session, campaigns.get(session, campaign), recipient=parse("a@b.example"), language=None, **asked
        )
        again = letters.again(session, campaign_id=campaign, n=1, **asked)
    assert [verdicts(bytes(it), records) for it in (sent.sealed().body, test.body, again)] == [
        [True],
        [True],
        [],
    ]


def test_freed_letters_leave_their_memory_to_those_that_follow() -> None:
    """Else the kernel hands out and takes back each page of each slice, at ten times the cost of assembly."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("how much freed memory is kept is the C library's choice")
    done = subprocess.run([sys.executable, "-c", SLICES], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 5_000


SLICES = """
import resource
from mailer.delivery.letters import Compositor
from mailer.settings import Settings
compositor = Compositor(Settings())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    letters = [b"".join([b"x" * 45_000, b"y" * 45_000]) for _ in range(100)]
    del letters
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""  # 100 letters of 22 pages are 2,200 faults; made anew for every slice they would be 22,000
