"""Webhooks without the web: any JSON is read, failures are judged, certificates fetched, news told once."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer.accounts.audit import SYSTEM
from mailer.database import Database
from mailer.delivery.store import Event
from mailer.diagnosis import Category
from mailer.feedback.webhooks import hooks, store
from mailer.feedback.webhooks.certificates import Certificates, Unreachable, fetch
from mailer.feedback.webhooks.hear import Ears, Outcome, hear, judge
from mailer.feedback.webhooks.hooks import BadSecret, NoProvider, NoWebhook
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import UNPROVED, Post, Refused
from mailer.feedback.webhooks.provider import Provider, Secret
from mailer.feedback.webhooks.providers import PROVIDERS
from mailer.feedback.webhooks.store import Reader
from mailer.feedback.webhooks.told import BOUNCE, DELAY, WITHHELD, Meaning, Told, What, bounced
from tests import webhooks
from tests.delivery.test_oauth import TokenHost
from tests.feedback.test_record import count
from tests.make import KEYS, NOON, Make
from tests.smtphost import self_signed

EARS = Ears(KEYS, webhooks.PUBLIC, lambda agent: "")
each_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS.keys())

_WORDS = sorted(
    {
        word
        for provider in PROVIDERS
        for kind in webhooks.kinds(provider)
        for word in json.dumps(webhooks.payload(provider, kind))
        .replace(":", " ")
        .replace(",", " ")
        .split('"')
        if word.strip() and len(word) < 40
    }
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.sampled_from(_WORDS),
    st.sampled_from([10**400, -(10**25), 1e308, float("nan"), "\ud800", "9" * 300, "NaN", "1e999"]),
)  # fmt: skip
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_WORDS), inner, max_size=6)
    ),
    max_leaves=20,
)


def samples(provider: Provider) -> list[Any]:
    return [webhooks.payload(provider.name, kind) for kind in webhooks.kinds(provider.name)]


@st.composite
def mutations(draw: st.DrawFn, provider: Provider) -> Any:
    """A sample post in which any value has become any other."""
    document = json.loads(json.dumps(draw(st.sampled_from(samples(provider)))))
    for _ in range(draw(st.integers(1, 4))):
        place: Any = document
        while isinstance(place, (dict, list)) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], (dict, list)) or draw(st.booleans()):
                place[key] = draw(documents)
                break
            place = place[key]
    return document


@each_provider
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_json_is_read_without_a_fault(provider: Provider, data: st.DataObject) -> None:
    """Read, judged and checked: nothing that arrives raises anything but a refusal."""
    document = data.draw(st.one_of(documents, mutations(provider)))
    for one in provider.read(Node(document)):
        assert isinstance(one.meaning, Meaning)
        assert judge(one, Reader("ann@example.org", "")).category in Category
        assert one.at is None or one.at.tzinfo is not None
    if provider.name == "ses":  # the event lies within, as text
        message = {"Type": "Notification", "Message": json.dumps(document), "MessageId": "1"}
        for one in provider.read(Node(message)):
            assert judge(one, Reader("ann@example.org", "")).category in Category
    assert isinstance(provider.confirms(Node(document)), str)
    headers = data.draw(st.dictionaries(st.sampled_from(_HEADERS), st.text(max_size=30), max_size=8))
    post = Post(headers, json.dumps(document).encode(errors="replace"), "", "guess")
    with pytest.raises(Refused):
        provider.check(post, "secret", NOON, _no_certificate)


_HEADERS = [
    "authorization", "svix-id", "svix-timestamp", "svix-signature",
    "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp",
    "x-eventbridge-signature-url", "x-eventbridge-signature-token", "x-eventbridge-signature-v2",
]  # fmt: skip


def _no_certificate(url: str) -> Any:
    raise AssertionError(f"asked for {url}")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000]))
def test_any_bytes_are_a_document_or_none(body: bytes) -> None:
    """Deep nesting and endless numbers too."""
    found = Node.parse(body)
    assert found is None or isinstance(found, Node)


@each_provider
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_json_can_be_kept(sqlite_database: Database, provider: Provider, data: st.DataObject) -> None:
    """What no table knows goes into the database too, lone surrogates and all."""
    told = provider.read(Node(data.draw(mutations(provider))))
    with sqlite_database.write() as session:
        hear(session, provider=provider.name, told=told, ears=EARS, now=NOON)
        store.count(session, provider.name, {Outcome.HEARD: 1}, NOON)
    assert count(sqlite_database, Event) == 0


# --- judged ---------------------------------------------------------------------------------------------

ANN = Reader("ann@example.org", "")
SAYS_GONE = "550 no such user here"  # without a status


def told(meaning: Meaning, words: str = "", **given: Any) -> Told:
    return Told(meaning=meaning, item={}, words=words, **{"address": "ann@example.org", **given})


@pytest.mark.parametrize(
    ("news", "category", "permanent", "dead"),
    [
        # the receiving system's words decide
        (told(BOUNCE, "smtp; 550 5.1.1 no such user"), "bad_mailbox", True, True),
        (told(BOUNCE, "no such user here"), "bad_mailbox", True, False),  # the provider's own prose
        (told(BOUNCE, SAYS_GONE), "bad_mailbox", True, False),  # only quoted, and not spelt out
        (told(bounced(Category.BAD_MAILBOX), SAYS_GONE), "bad_mailbox", True, True),  # and agreed
        (told(bounced(Category.BAD_MAILBOX), "552 5.2.2 mailbox full"), "mailbox_full", True, False),
        (told(bounced(Category.BAD_MAILBOX), "554 5.7.1 relaying denied"), "policy", True, False),
        # the provider alone
        (told(bounced(Category.BAD_MAILBOX), permanent=True), "bad_mailbox", True, True),
        (told(bounced(Category.BAD_MAILBOX), permanent=False), "bad_mailbox", False, False),
        (told(bounced(Category.RATE), "(none)", permanent=True), "rate", True, False),
        (told(BOUNCE, permanent=True), "unknown", True, False),
        # what is soft, late or the provider's own list is never dead
        (told(BOUNCE, "550 5.1.1 no such user", permanent=False), "bad_mailbox", False, False),
        (told(DELAY, "550 5.1.1 no such user"), "bad_mailbox", False, False),
        (told(WITHHELD, "550 5.1.1 no such user", permanent=True), "unknown", True, False),
        (told(BOUNCE, "550 5.1.1 no such user", address="bob@example.net"), "bad_mailbox", True, False),
    ],
)  # fmt: skip
def test_a_failure_is_judged_by_words_first(news: Told, category: str, permanent: bool, dead: bool) -> None:
    """Law 4: a living reader must not be silenced by a provider's guess."""
    judged = judge(news, ANN)
    assert (judged.category, judged.permanent, judged.dead) == (category, permanent, dead)


@pytest.mark.parametrize(
    ("provider", "event"),
    [
        ("ses", {"eventType": "Bounce", "bounce": {"bounceType": "Permanent", "bounceSubType": "NoEmail"}}),
        ("sparkpost", {"msys": {"message_event": {"type": "bounce", "bounce_class": "30"}}}),
    ],
)
def test_a_bounce_that_names_nobody_kills_nobody(provider: str, event: dict[str, Any]) -> None:
    """Law 4: that no address was found in a bounce does not say that there is no such mailbox."""
    message = {"Type": "Notification", "MessageId": "1", "Message": json.dumps(event)}
    [news] = PROVIDERS[provider].read(Node(message if provider == "ses" else [event]))
    judged = judge(news, ANN)
    assert (judged.category, judged.dead) == ("unknown", False)


@pytest.mark.parametrize("provider", ["ses", "mailgun"])
def test_what_proves_itself_in_its_body_is_short(provider: str) -> None:
    """A stranger's twelve megabytes would become a gigabyte of objects: they are not taken apart."""
    signed = webhooks.SIGN[provider](webhooks.GIVEN[provider], {"event-data": {}}, NOON).body

    def check(body: bytes) -> None:
        key = webhooks.rsa_key().public_key()
        PROVIDERS[provider].check(Post({}, body), webhooks.GIVEN[provider], NOON, lambda url: key)

    check(signed.ljust(UNPROVED))
    with pytest.raises(Refused):
        check(signed.ljust(UNPROVED + 1))


def test_the_readers_own_provider_is_asked_first() -> None:
    """Yandex says 550 5.7.1 "No such user!": its own table knows."""
    news = told(BOUNCE, "550 5.7.1 No such user!")
    assert judge(news, Reader("ann@example.org", "yandex")).category == "bad_mailbox"


@each_provider
def test_every_table_speaks_the_closed_vocabulary(provider: Provider) -> None:
    """Its keys are written as they are looked up: lower case."""
    module = __import__(f"mailer.feedback.webhooks.{provider.name}", fromlist=["EVENTS"])
    tables = [value for name, value in vars(module).items() if name.isupper() and isinstance(value, dict)]
    meanings = [
        (key, value) for table in tables for key, value in table.items() if isinstance(value, Meaning)
    ]
    assert len(meanings) > 8
    assert all(key == key.lower().strip() for key, _ in meanings)
    assert {What.BOUNCE, What.COMPLAINT, What.PASSED} <= {meaning.what for _, meaning in meanings}


def test_a_withheld_letter_is_always_a_bounce() -> None:
    """Whatever list it was."""
    assert (WITHHELD.what, WITHHELD.category) == (What.BOUNCE, None)


# --- on both databases ----------------------------------------------------------------------------------


def test_news_is_told_once_on_both_databases(database: Database, make: Make) -> None:
    """And counted by the day."""
    letters = [make.delivery(campaign=campaign) for campaign in [make.campaign()] for _ in range(2)]
    for at in (NOON, NOON + timedelta(hours=1), NOON + timedelta(days=1)):
        news = [
            one
            for letter in letters
            for one in PROVIDERS["brevo"].read(Node(webhooks.payload("brevo", "bounce_soft", letter)))
        ]
        with database.write() as session:
            found = hear(session, provider="brevo", told=news, ears=EARS, now=at)
            store.count(session, "brevo", found, at)
    assert count(database, Event) == 2
    with database.read() as session:
        today = [tuple(row) for row in store.counted(session, NOON.date())]
        tomorrow = [row.outcome for row in store.counted(session, (NOON + timedelta(days=1)).date())]
    assert today == [
        ("brevo", "heard", 2, NOON),
        ("brevo", "repeated", 4, NOON + timedelta(days=1)),
    ]
    assert tomorrow == ["repeated"]


def test_an_open_without_id_or_instant_is_told_once(database: Database, make: Make) -> None:
    """It is the same to the letter, whenever it comes again."""
    item = webhooks.payload("brevo", "open", make.delivery())
    del item["ts_event"]
    for at in (NOON, NOON + timedelta(hours=1)):
        with database.write() as session:
            hear(session, provider="brevo", told=PROVIDERS["brevo"].read(Node(item)), ears=EARS, now=at)
    assert count(database, Event) == 1


def test_a_thousand_events_in_one_post_are_heard(database: Database, make: Make) -> None:
    """Providers send them in batches; each event has its own name."""
    letter = make.delivery()
    [item] = webhooks.payload("sparkpost", "open", letter)
    items = []
    for number in range(1_000):
        event = item["msys"]["track_event"] | {"event_id": str(number)}
        items.append({"msys": {"track_event": event}})
    with database.write() as session:
        news = PROVIDERS["sparkpost"].read(Node(items))
        assert hear(session, provider="sparkpost", told=news, ears=EARS, now=NOON) == {Outcome.HEARD: 1_000}
    assert count(database, Event) == 1_000


# --- set up ---------------------------------------------------------------------------------------------


@each_provider
def test_a_secret_is_sealed_and_its_address_is_shown_once(database: Database, provider: Provider) -> None:
    """A copy of the database tells nobody how to sign."""
    given = webhooks.GIVEN.get(provider.name, "")
    with database.write() as session:
        row, secret = hooks.add(
            session, provider=provider.name, secret=given, keys=KEYS, now=NOON, actor=SYSTEM
        )
        assert secret not in row.secret
        assert hooks.secrets_of(session, provider.name, KEYS) == [secret]
    shown = hooks.address(provider, "https://news.example.org", secret)
    assert (secret in shown) == (provider.secret in (Secret.BASIC, Secret.PATH))
    assert hooks.address(provider, "https://news.example.org") == (
        f"https://news.example.org/webhooks/{provider.name}"
    )


@pytest.mark.parametrize(
    ("provider", "secret"),
    [
        ("ses", "arn:aws:s3:::bucket"), ("ses", ""), ("sendgrid", "abc"), ("sendgrid", ""), ("mailgun", ""),
        ("resend", "whsec_"), ("resend", "re_123"), ("postmark", "my own"), ("tencent", "my own"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_secret_is_refused(database: Database, provider: str, secret: str) -> None:
    """With a word on where the right one is found."""
    with database.write() as session, pytest.raises(BadSecret):
        hooks.add(session, provider=provider, secret=secret, keys=KEYS, now=NOON, actor=SYSTEM)


def test_what_does_not_exist_is_said(database: Database) -> None:
    """Neither to add nor to remove."""
    with database.write() as session:
        with pytest.raises(NoProvider):
            hooks.add(session, provider="pigeon", secret="", keys=KEYS, now=NOON, actor=SYSTEM)
        with pytest.raises(NoWebhook):
            hooks.remove(session, webhook_id=7, now=NOON, actor=SYSTEM)


# --- certificates, over the wire ------------------------------------------------------------------------


def test_a_certificate_is_fetched_over_https_from_one_that_is_trusted(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other status than 200 will do, no redirect is followed, no endless answer read."""
    own = self_signed(tmp_path)
    with TokenHost(own) as host:
        with pytest.raises(Unreachable):
            fetch(host.url)  # nobody vouches for it
        monkeypatch.setenv("SSL_CERT_FILE", str(own))
        host.answers += [(200, webhooks.certificate()), (302, b""), (404, b""), (200, b"x" * 200_000)]
        assert fetch(host.url) == webhooks.certificate()
        for _ in range(2):
            with pytest.raises(Unreachable):
                fetch(host.url)
        assert len(fetch(host.url)) == 64 * 1024
        assert not host.answers
    with pytest.raises(Unreachable):
        fetch(host.url)  # it is gone
    with pytest.raises(Unreachable):
        fetch(host.url.replace("https", "http"))


def test_few_certificates_are_remembered_and_none_past_its_end() -> None:
    """A memory that anybody could fill would be no memory."""
    asked: Counter[str] = Counter()

    def far(url: str) -> bytes:
        asked[url] += 1
        return webhooks.certificate(datetime(2026, 11, 20, 13, tzinfo=UTC))

    certificates = Certificates(far)
    for number in range(40):
        certificates.key(f"https://{number}", NOON)
    certificates.key("https://39", NOON)
    certificates.key("https://0", NOON)
    assert (asked["https://39"], asked["https://0"]) == (1, 2)
    with pytest.raises(Refused):
        certificates.key("https://39", NOON + timedelta(hours=2))
