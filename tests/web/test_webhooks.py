"""What providers tell over HTTPS: proved, heard once, put against the right letter."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from mailer.accounts.audit import SYSTEM
from mailer.audience.store import Subscription, SubscriptionState, Suppression
from mailer.delivery.store import Event, EventInbox
from mailer.feedback import policy, store
from mailer.feedback.store import ReturnedMail
from mailer.feedback.webhooks import hooks, mailgun
from mailer.feedback.webhooks import store as rows
from mailer.feedback.webhooks.certificates import Unreachable
from mailer.feedback.webhooks.store import WebhookToken
from mailer.web.app import create_app
from mailer.web.webhooks import _REFUSALS_PER_HOST
from tests import webhooks
from tests.make import KEYS, NOON
from tests.webhooks import EVENTBRIDGE, PEM, PUBLIC, SIGN, SIGNED, SNS, SNS_CN, TOPIC, TOPIC_CN

ALL = sorted(SIGN)


@dataclass
class Far:
    """Hosts of providers. What they do not hold cannot be fetched."""

    holds: dict[str, bytes] = field(
        default_factory=lambda: {
            SNS + PEM: webhooks.certificate(),
            SNS_CN + PEM: webhooks.certificate(),
            EVENTBRIDGE: webhooks.certificate(),
        }
    )
    asked: list[str] = field(default_factory=list)

    def __call__(self, url):
        self.asked.append(url)
        if url not in self.holds:
            raise Unreachable
        return self.holds[url]


@pytest.fixture
def far():
    return Far()


@pytest.fixture
def client(settings, sqlite_database, far):
    app = create_app(settings, sqlite_database, clock=lambda: NOON, fetch=far)
    with TestClient(app, raise_server_exceptions=False) as opened:
        assert settings.public_url == PUBLIC
        yield opened


@pytest.fixture
def secret_of(sqlite_database):
    """Set a provider's webhook up; the secret is made, or given as the provider shows it."""

    def set_up(provider, secret=None):
        with sqlite_database.write() as session:
            given = webhooks.GIVEN.get(provider, "") if secret is None else secret
            return hooks.add(session, provider=provider, secret=given, keys=KEYS, now=NOON, actor=SYSTEM)[1]

    return set_up


@pytest.fixture
def tell(client, secret_of):
    """Set up and post one sample; the answer's status."""
    known = {}

    def told(provider, kind, delivery=None, at=NOON):
        if provider not in known:
            known[provider] = secret_of(provider)
        signed = SIGN[provider](known[provider], webhooks.payload(provider, kind, delivery), at)
        return post(client, signed)

    return told


@pytest.fixture
def delivery(make):
    return make.delivery("ann@example.org", provider="")


def post(client, signed):
    return client.post(signed.path, content=signed.body, headers=signed.headers).status_code


def events(database):
    with database.read() as session:
        return list(session.scalars(select(Event).order_by(Event.id)))


def count(database, table):
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table))


def outcomes(database):
    with database.read() as session:
        return {(row.provider, row.outcome): row.number for row in rows.counted(session, NOON.date())}


# --- one vocabulary for all -----------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ALL)
def test_a_hard_bounce_kills_the_address_it_names(tell, sqlite_database, delivery, provider):
    """550 5.1.1, in whichever JSON: diagnosed by its words, and policy silences the address at once."""
    assert tell(provider, "bounce_hard", delivery) == 200
    [event] = events(sqlite_database)
    assert (event.campaign_id, event.n) == (delivery.campaign_id, delivery.n)
    assert (event.kind, event.source, event.at) == ("bounce", provider, event.at)
    assert (event.category, event.status, event.permanent, event.dead) == ("bad_mailbox", "5.1.1", True, True)
    assert "no such user here" in event.detail
    assert NOON - timedelta(seconds=60) < event.at <= NOON
    with sqlite_database.write() as session:
        assert policy.apply_pending(session, now=NOON) == 1
    assert count(sqlite_database, Suppression) == 1
    assert outcomes(sqlite_database) == {(provider, "heard"): 1}


@pytest.mark.parametrize("provider", ALL)
def test_a_full_mailbox_is_not_a_dead_one(tell, sqlite_database, delivery, provider):
    """552 5.2.2 is counted and silences nobody."""
    assert tell(provider, "bounce_soft", delivery) == 200
    [event] = events(sqlite_database)
    assert (event.kind, event.category, event.dead) == ("bounce", "mailbox_full", False)
    with sqlite_database.write() as session:
        policy.apply_pending(session, now=NOON)
    assert count(sqlite_database, Suppression) == 0


@pytest.mark.parametrize("provider", ALL)
def test_a_providers_own_list_kills_nobody(tell, sqlite_database, delivery, provider):
    """Law 4. Some dress it up as 5.1.1: SES does, and DirectMail."""
    assert tell(provider, "suppressed", delivery) == 200
    [event] = events(sqlite_database)
    assert (event.kind, event.category, event.dead, event.status) == ("bounce", "unknown", False, None)
    with sqlite_database.write() as session:
        policy.apply_pending(session, now=NOON)
    assert count(sqlite_database, Suppression) == 0


@pytest.mark.parametrize("provider", webhooks.with_kind(ALL, "delay"))
def test_a_delay_is_never_permanent(tell, sqlite_database, delivery, provider):
    """The provider is still trying; nothing waits for policy."""
    assert tell(provider, "delay", delivery) == 200
    [event] = events(sqlite_database)
    assert (event.kind, event.permanent, event.dead) == ("delay", False, False)
    assert count(sqlite_database, EventInbox) == 0


@pytest.mark.parametrize("provider", ALL)
def test_a_complaint_silences_for_this_publication(tell, sqlite_database, delivery, provider):
    """At once, and not everywhere."""
    assert tell(provider, "complaint", delivery) == 200
    [event] = events(sqlite_database)
    assert (event.kind, event.category, event.source) == ("complaint", "complaint", provider)
    with sqlite_database.write() as session:
        policy.apply_pending(session, now=NOON)
        [suppression] = session.scalars(select(Suppression))
        assert suppression.publication_id is not None


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize("kind", ["open", "click"])
def test_opens_and_clicks_are_a_persons(tell, sqlite_database, delivery, provider, kind):
    """Where the provider counts them; their posts are not kept: they say nothing that the event does not."""
    assert tell(provider, kind, delivery) == 200
    [event] = events(sqlite_database)
    assert (event.kind, event.detail) == (kind, "")
    assert count(sqlite_database, ReturnedMail) == 0


@pytest.mark.parametrize("provider", webhooks.with_kind(ALL, "open_by_machine"))
def test_an_open_by_a_machine_is_no_persons(tell, sqlite_database, delivery, provider):
    """Where the provider says so, it is believed."""
    assert tell(provider, "open_by_machine", delivery) == 200
    [event] = events(sqlite_database)
    assert event.detail.startswith("machine: ")


@pytest.mark.parametrize("provider", webhooks.with_kind(ALL, "leave"))
def test_leaving_at_the_provider_is_leaving(tell, sqlite_database, delivery, provider):
    """And told again after the reader has come back, it is not leaving again."""
    assert tell(provider, "leave", delivery) == 200
    with sqlite_database.write() as session:
        subscription = session.scalars(select(Subscription)).one()
        assert subscription.state == SubscriptionState.LEFT
        subscription.state = SubscriptionState.CONFIRMED
    assert tell(provider, "leave", delivery) == 200
    with sqlite_database.read() as session:
        assert session.scalars(select(Subscription.state)).one() == SubscriptionState.CONFIRMED
    assert [event.kind for event in events(sqlite_database)] == ["leave"]


@pytest.mark.parametrize(
    ("provider", "kind", "expected"),
    [
        ("postmark", "auto_reply", "auto_reply"),
        ("postmark", "filtered", "bounce"),
        ("resend", "suppressed_bounce", "bounce"),
        ("ses", "bounce_without_words", "bounce"),
    ],
)
def test_what_says_nothing_about_the_mailbox_kills_nobody(
    tell, sqlite_database, delivery, provider, kind, expected
):
    """A filter's verdict, an absence, "permanent" without a word."""
    assert tell(provider, kind, delivery) == 200
    [event] = events(sqlite_database)
    assert (event.kind, event.dead) == (expected, False)


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        *((provider, "delivered") for provider in ALL),
        ("postmark", "list_changed_by_a_bounce"),
        ("ses", "not_spam"),
    ],
)
def test_what_is_nothing_to_us_writes_no_event(tell, sqlite_database, delivery, provider, kind):
    """A delivery that is confirmed, a list that the provider keeps: counted, not kept."""
    assert tell(provider, kind, delivery) == 200
    assert events(sqlite_database) == []
    assert count(sqlite_database, ReturnedMail) == 0
    assert outcomes(sqlite_database) == {(provider, "passed"): 1}


def test_a_try_is_answered_and_is_nothing(tell, sqlite_database):
    """SparkPost posts an empty item before it takes an address."""
    assert tell("sparkpost", "try") == 200
    assert outcomes(sqlite_database) == {}


@pytest.mark.parametrize("provider", ALL)
def test_a_word_that_no_table_has_is_kept_and_counted(tell, sqlite_database, delivery, provider):
    """200: telling it again would not help. A person finds it whole."""
    assert tell(provider, "unknown", delivery) == 200
    assert events(sqlite_database) == []
    assert outcomes(sqlite_database) == {(provider, "unknown"): 1}
    with sqlite_database.read() as session:
        [mail] = session.scalars(select(ReturnedMail))
        assert (mail.kind, mail.envelope_to, mail.n) == ("webhook", provider, delivery.n)
        assert b"evitat" in store.mail_content(session, mail.id)


# --- told once, and about the right letter --------------------------------------------------------------


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize("kind", ["bounce_hard", "complaint", "open"])
def test_the_same_news_told_again_changes_nothing(tell, sqlite_database, delivery, provider, kind):
    """The provider missed our answer and comes again, signed afresh."""
    for minutes in (0, 2, 4):
        assert tell(provider, kind, delivery, at=NOON - timedelta(minutes=minutes)) == 200
    assert len(events(sqlite_database)) == 1
    assert count(sqlite_database, ReturnedMail) <= 1
    assert outcomes(sqlite_database) == {(provider, "heard"): 1, (provider, "repeated"): 2}


def test_news_in_another_batch_is_the_same_news(client, secret_of, sqlite_database, make):
    """A provider that tries again puts its batches together anew."""
    secret = secret_of("sendgrid")
    campaign = make.campaign()
    letters = [make.delivery(campaign=campaign) for _ in range(3)]
    items = []
    for letter in letters:
        [item] = webhooks.payload("sendgrid", "bounce_soft", letter)
        items.append(item | {"sg_event_id": f"event {letter.n}", "email": "reader@example.org"})
    assert post(client, SIGN["sendgrid"](secret, items[:2], NOON)) == 200
    assert post(client, SIGN["sendgrid"](secret, [*items, items[2]], NOON)) == 200
    assert sorted(event.n for event in events(sqlite_database)) == [1, 2, 3]
    assert outcomes(sqlite_database) == {("sendgrid", "heard"): 3, ("sendgrid", "repeated"): 3}


def test_the_raw_news_is_kept_beside_its_event(tell, sqlite_database, delivery):
    """With the retention of returned mail, and its letter's name on it."""
    tell("postmark", "bounce_hard", delivery)
    [event] = events(sqlite_database)
    with sqlite_database.read() as session:
        kept = json.loads(store.mail_content(session, event.mail_id))
    assert kept == webhooks.payload("postmark", "bounce_hard", delivery)


@pytest.mark.parametrize("provider", ALL)
def test_an_address_alone_names_no_letter(tell, sqlite_database, delivery, provider):
    """Without an identifier that we signed it is kept, counted, and changes nothing."""
    assert tell(provider, "bounce_hard") == 200
    assert events(sqlite_database) == []
    assert outcomes(sqlite_database) == {(provider, "stray"): 1}
    assert count(sqlite_database, ReturnedMail) == 1


def test_a_letter_that_is_in_no_ledger_has_no_news(tell, sqlite_database, delivery):
    """The token is ours, its letter was a test's or is gone."""
    delivery.n = 999
    assert tell("brevo", "bounce_hard", delivery) == 200
    assert events(sqlite_database) == []


def test_a_bounce_of_another_mailbox_does_not_kill_the_one_we_wrote_to(
    client, secret_of, sqlite_database, make
):
    """The reader forwards to a mailbox that is gone, and may read us all the same."""
    delivery = make.delivery("bob@example.net")
    secret = secret_of("sparkpost")
    told = webhooks.payload("sparkpost", "bounce_hard", delivery)  # names ann@example.org
    assert post(client, SIGN["sparkpost"](secret, told, NOON)) == 200
    [event] = events(sqlite_database)
    assert (event.category, event.dead) == ("bad_mailbox", False)


def test_a_click_that_led_to_us_is_counted_by_us(client, secret_of, sqlite_database, delivery):
    """The provider's redirect leads to our own counted link."""
    secret = secret_of("mailjet")
    [told] = webhooks.payload("mailjet", "click", delivery)
    assert post(client, SIGN["mailjet"](secret, [told | {"url": f"{PUBLIC}/c/token/0"}], NOON)) == 200
    assert events(sqlite_database) == []


def test_the_letters_return_path_names_it_too(tell, sqlite_database, delivery):
    """SES without the original headers tells the envelope's sender."""
    assert tell("ses", "bounce_hard_notification", delivery) == 200
    assert [event.dead for event in events(sqlite_database)] == [True]


def test_an_instant_nobody_can_believe_is_now(client, secret_of, sqlite_database, delivery):
    """A clock of 1970, or of next year."""
    secret = secret_of("mailjet")
    for moment in (0, 4e9, -1e30, "soon"):
        [told] = webhooks.payload("mailjet", "bounce_soft", delivery)
        told |= {"time": moment, "error": "quota exceeded", "MessageID": str(moment), "Message_GUID": ""}
        assert post(client, SIGN["mailjet"](secret, [told], NOON)) == 200
    assert {event.at for event in events(sqlite_database)} == {NOON}


# --- proved ---------------------------------------------------------------------------------------------


def refused(client, database, provider, signed, outcome="refused"):
    status = post(client, signed)
    assert events(database) == []
    assert count(database, ReturnedMail) == 0
    assert outcomes(database) == {(provider, outcome): 1}
    return status


@pytest.mark.parametrize("provider", [name for name in SIGNED if name != "mailgun"])
def test_a_changed_body_is_refused(client, secret_of, sqlite_database, delivery, provider):
    """One word in the news. (Mailgun signs only its token.)"""
    signed = SIGN[provider](secret_of(provider), webhooks.payload(provider, "bounce_hard", delivery), NOON)
    signed.body = signed.body.replace(b"example.org", b"example.net")
    assert refused(client, sqlite_database, provider, signed) == 403


@pytest.mark.parametrize("provider", ALL)
def test_another_secret_is_refused(client, secret_of, sqlite_database, delivery, provider, monkeypatch):
    """Whoever signs with a key of their own, or guesses, changes nothing."""
    secret_of(provider)
    other = "arn:aws:sns:eu-central-1:999999999999:mine" if provider == "ses" else "guessed"
    keys = {
        "rsa_key": webhooks.rsa.generate_private_key(65537, 2048),
        "ec_key": webhooks.ec.generate_private_key(webhooks.ec.SECP256R1()),
    }
    for name, key in keys.items():
        monkeypatch.setattr(webhooks, name, lambda key=key: key)
    signed = SIGN[provider](other, webhooks.payload(provider, "bounce_hard", delivery), NOON)
    if provider == "resend":
        signed.headers["svix-signature"] = "v1," + b64encode(b"x" * 32).decode()
    assert refused(client, sqlite_database, provider, signed) == 403


@pytest.mark.parametrize("provider", ALL)
def test_a_bare_post_is_refused(client, secret_of, sqlite_database, provider):
    """No header, no secret, no sense."""
    secret_of(provider)
    bodies = [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"a":' * 3000, b"%PDF"]
    for body in bodies:
        assert post(client, webhooks.Post(f"/webhooks/{provider}", body)) in (401, 403)
    assert outcomes(sqlite_database) == {(provider, "refused"): len(bodies)}
    assert count(sqlite_database, ReturnedMail) == 0


@pytest.mark.parametrize("provider", SIGNED)
def test_an_old_post_is_not_played_again(client, secret_of, sqlite_database, delivery, provider):
    """The signature is right, its instant is not; nor is one of the future."""
    secret = secret_of(provider)
    told = webhooks.payload(provider, "bounce_hard", delivery)
    for at in (NOON - timedelta(days=2), NOON + timedelta(days=2)):
        assert post(client, SIGN[provider](secret, told, at)) == 403
    assert events(sqlite_database) == []
    assert outcomes(sqlite_database) == {(provider, "stale"): 2}


def test_a_captured_mailgun_signature_proves_no_other_news(client, secret_of, sqlite_database, make):
    """It covers a token only, so a token is good for one post; that one may come again."""
    secret, ann, bob = secret_of("mailgun"), make.delivery(), make.delivery()
    signed = SIGN["mailgun"](secret, webhooks.payload("mailgun", "bounce_hard", ann), NOON)
    assert [post(client, signed), post(client, signed)] == [200, 200]
    forged = webhooks.payload("mailgun", "complaint", bob)
    forged |= {"signature": json.loads(signed.body)["signature"]}
    assert post(client, webhooks.Post("/webhooks/mailgun", json.dumps(forged).encode())) == 403
    assert [event.n for event in events(sqlite_database)] == [ann.n]
    assert outcomes(sqlite_database)["mailgun", "refused"] == 1


def test_tokens_are_forgotten_once_they_are_stale_anyway(tell, sqlite_database, delivery):
    """Longer than any post is believed, and no longer."""
    tell("mailgun", "bounce_hard", delivery)
    for later, left in ((hooks.TOKENS_LAST, 1), (hooks.TOKENS_LAST + timedelta(seconds=1), 0)):
        with sqlite_database.write() as session:
            hooks.forget_tokens(session, now=NOON + later)
        assert count(sqlite_database, WebhookToken) == left
    assert hooks.TOKENS_LAST > 2 * mailgun._WINDOW


def test_a_secret_is_replaced_without_losing_news(client, secret_of, sqlite_database, make):
    """While both are set up, both are believed; what is removed is not."""
    old, new = secret_of("brevo"), secret_of("brevo")
    for secret in (old, new):
        told = webhooks.payload("brevo", "bounce_soft", make.delivery())
        assert post(client, SIGN["brevo"](secret, told, NOON)) == 200
    with sqlite_database.write() as session:
        hooks.remove(session, webhook_id=hooks.listing(session)[0].id, now=NOON, actor=SYSTEM)
    assert post(client, SIGN["brevo"](old, told, NOON)) == 403


@pytest.mark.parametrize("provider", ["brevo", "sparkpost"])
def test_a_bearer_token_will_do(client, secret_of, sqlite_database, delivery, provider):
    """Where the provider can send one."""
    secret = secret_of(provider)
    signed = SIGN[provider](secret, webhooks.payload(provider, "bounce_hard", delivery), NOON)
    signed.headers["authorization"] = f"Bearer {secret}"
    assert post(client, signed) == 200
    signed.headers["authorization"] = "Bearer guessed"
    assert post(client, signed) == 403


def test_credentials_are_asked_for(client, secret_of):
    """Some clients send them only then (RFC 7617)."""
    secret_of("postmark")
    answer = client.post("/webhooks/postmark", content=b"{}")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="mailer"')


@pytest.mark.parametrize("path", ["/webhooks/postmark", "/webhooks/nobody", "/webhooks/tencent/guessed"])
def test_what_is_not_set_up_does_not_exist(client, sqlite_database, path):
    """Nothing is counted, nothing kept."""
    assert client.post(path, content=b"{}").status_code == 404
    assert outcomes(sqlite_database) == {}
    assert client.get(path).status_code == 405


def test_a_flood_of_refusals_is_not_written_down(client, secret_of, sqlite_database, delivery):
    """A row each would keep others from writing. What is right is heard all the same."""
    secret = secret_of("tencent")
    for _ in range(_REFUSALS_PER_HOST.amount + 5):
        assert client.post("/webhooks/tencent/guessed", content=b"{}").status_code == 403
    assert outcomes(sqlite_database) == {("tencent", "refused"): _REFUSALS_PER_HOST.amount}
    assert post(client, SIGN["tencent"](secret, webhooks.payload("tencent", "delay", delivery), NOON)) == 200


def test_a_post_may_not_be_larger_than_any_batch(client, secret_of):
    """It is not even read."""
    secret_of("sparkpost")
    assert client.post("/webhooks/sparkpost", content=b" " * (13 * 1024 * 1024)).status_code == 413


# --- SNS and EventBridge: whose certificate -------------------------------------------------------------


@pytest.mark.parametrize(("topic", "host"), [(TOPIC, SNS), (TOPIC_CN, SNS_CN)])
@pytest.mark.parametrize("version", ["1", "2"])
def test_sns_is_believed_in_both_versions_and_in_china(
    client, secret_of, sqlite_database, delivery, far, topic, host, version
):
    """Its certificate is fetched once."""
    secret_of("ses", topic)
    for kind in ("bounce_hard", "complaint"):
        event = webhooks.payload("ses", kind, delivery)
        message = webhooks.sns(webhooks.notification(event, NOON, topic, host), version=version)
        assert post(client, webhooks.Post("/webhooks/ses", json.dumps(message).encode())) == 200
    assert len(events(sqlite_database)) == 2
    assert far.asked == [host + PEM]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example" + PEM,
        "http://sns.eu-central-1.amazonaws.com" + PEM,
        "https://sns.us-east-1.amazonaws.com" + PEM,  # another region than the topic's
        "https://sns.eu-central-1.amazonaws.com.evil.example" + PEM,
        "https://evil.example\\@sns.eu-central-1.amazonaws.com" + PEM,
        "https://user@sns.eu-central-1.amazonaws.com" + PEM,
        "https://sns.eu-central-1.amazonaws.com:8443" + PEM,
        "https://sns.eu-central-1.amazonaws.com/mine.pem",
        "https://sns.eu-central-1.amazonaws.com/..%2f" + PEM,
        "https://sns.eu-central-1.amazonaws.com" + PEM + "?again=1",  # each would be fetched and remembered
        "https://sns.eu-central-1.amazonaws.com.cn" + PEM,
        "https://[::1" + PEM,
        "file:///etc/passwd",
        "",
    ],
)
def test_no_other_host_is_asked_for_a_certificate(client, secret_of, sqlite_database, delivery, far, url):
    """Whoever posts names the address: it is compared before anything is fetched."""
    secret_of("ses")
    message = webhooks.notification(webhooks.payload("ses", "bounce_hard", delivery), NOON)
    signed = webhooks.sns(message | {"SigningCertURL": url})
    refused(client, sqlite_database, "ses", webhooks.Post("/webhooks/ses", json.dumps(signed).encode()))
    assert far.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/key.pem",
        "https://evil.example/#-eventbridge.oss-accelerate.aliyuncs.com/key.pem",
        "https://x.y-eventbridge.oss-accelerate.aliyuncs.com/key.pem",
        "http://cn-hangzhou-eventbridge.oss-accelerate.aliyuncs.com/key.pem",
        "https://cn-hangzhou-eventbridge.oss-accelerate.aliyuncs.com:8443/key.pem",
        # a bucket that anybody may register, and a file that is no certificate of theirs
        "https://cn-mailer-eventbridge.oss-accelerate.aliyuncs.com/x509_public_certificate_2021012501.pem",
        "https://cn-hangzhou-eventbridge.oss-accelerate.aliyuncs.com/uploads/key.pem",
    ],
)
def test_no_other_host_is_asked_for_eventbridges_key(
    client, secret_of, sqlite_database, delivery, far, monkeypatch, url
):
    """Nor here."""
    monkeypatch.setattr(webhooks, "EVENTBRIDGE", url)
    secret = secret_of("directmail")
    signed = SIGN["directmail"](secret, webhooks.payload("directmail", "bounce_hard", delivery), NOON)
    refused(client, sqlite_database, "directmail", signed)
    assert far.asked == []


def test_who_signs_for_another_topic_has_nothing_fetched(client, secret_of, sqlite_database, delivery, far):
    """Anybody can have SNS sign: the topic is looked at first."""
    secret_of("ses")
    other = "arn:aws:sns:eu-central-1:999999999999:mine"
    signed = SIGN["ses"](other, webhooks.payload("ses", "bounce_hard", delivery), NOON)
    refused(client, sqlite_database, "ses", signed)
    assert far.asked == []


@pytest.mark.parametrize("held", [b"", b"-----BEGIN CERTIFICATE-----\n", None])
def test_what_is_no_valid_certificate_proves_nothing(client, secret_of, sqlite_database, delivery, far, held):
    """Garbage, or one that has ended."""
    secret_of("ses")
    far.holds[SNS + PEM] = webhooks.certificate(NOON - timedelta(days=1)) if held is None else held
    signed = SIGN["ses"](TOPIC, webhooks.payload("ses", "bounce_hard", delivery), NOON)
    refused(client, sqlite_database, "ses", signed)


def test_a_certificate_that_cannot_be_fetched_is_no_refusal(
    client, secret_of, sqlite_database, delivery, far
):
    """The network is down: 503, and what SNS tells again is heard."""
    secret_of("ses")
    kept = far.holds.pop(SNS + PEM)
    signed = SIGN["ses"](TOPIC, webhooks.payload("ses", "bounce_hard", delivery), NOON)
    assert post(client, signed) == 503
    assert outcomes(sqlite_database) == {("ses", "failed"): 1}
    far.holds[SNS + PEM] = kept
    assert post(client, signed) == 200
    assert len(events(sqlite_database)) == 1


def confirmation(url, topic=TOPIC):
    return {
        "Type": "SubscriptionConfirmation", "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37", "TopicArn": topic, "Message": "You have chosen to subscribe.",
        "SubscribeURL": url, "Timestamp": "2026-11-20T11:59:30.000Z", "SigningCertURL": SNS + PEM,
    }  # fmt: skip


def test_a_subscription_to_our_topic_is_confirmed(client, secret_of, sqlite_database, far):
    """By fetching what SNS, having proved itself, asks to be fetched from itself."""
    secret_of("ses")
    url = f"{SNS}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
    far.holds[url] = b"<ConfirmSubscriptionResponse/>"
    message = webhooks.sns(confirmation(url))
    assert post(client, webhooks.Post("/webhooks/ses", json.dumps(message).encode())) == 200
    assert far.asked == [SNS + PEM, url]
    assert count(sqlite_database, ReturnedMail) == 0


@pytest.mark.parametrize("url", ["https://evil.example/?Action=ConfirmSubscription", "http://127.0.0.1/", ""])
def test_a_confirmation_leads_nowhere_else(client, secret_of, sqlite_database, far, url):
    """Even with SNS's own signature."""
    secret_of("ses")
    message = webhooks.sns(confirmation(url))
    assert post(client, webhooks.Post("/webhooks/ses", json.dumps(message).encode())) == 200
    assert far.asked == [SNS + PEM]


def test_eventbridges_reference_form_of_the_text_is_believed_too(
    client, secret_of, sqlite_database, delivery
):
    """Its sample code ends the signed text with one more line end than its documentation."""
    secret = secret_of("directmail")
    signed = SIGN["directmail"](secret, webhooks.payload("directmail", "bounce_hard", delivery), NOON)
    names = [name for name in signed.headers if name != "x-eventbridge-signature-v2"]
    text = "\n".join([PUBLIC + signed.path, *(f"{name}: {signed.headers[name]}" for name in names)])
    whole = text.encode() + b"\n" + signed.body + b"\n"
    signature = webhooks.rsa_key().sign(whole, webhooks.padding.PKCS1v15(), webhooks.SHA256())
    signed.headers["x-eventbridge-signature-v2"] = b64encode(signature).decode()
    assert post(client, signed) == 200


# --- our own faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ALL)
def test_a_fault_of_ours_is_answered_500_and_heard_when_told_again(
    client, secret_of, sqlite_database, delivery, provider, monkeypatch
):
    """Half a post is never heard: the transaction is undone, and counted in another."""
    signed = SIGN[provider](secret_of(provider), webhooks.payload(provider, "bounce_hard", delivery), NOON)
    from mailer.feedback.webhooks import hear

    def broken(*_args, **_given):
        raise KeyError("a fault of ours")

    with monkeypatch.context() as during:
        during.setattr(hear.events, "record_many", broken)
        assert post(client, signed) == 500
    assert count(sqlite_database, ReturnedMail) == 0
    assert outcomes(sqlite_database) == {(provider, "failed"): 1}
    assert post(client, signed) == 200
    assert len(events(sqlite_database)) == 1
    assert outcomes(sqlite_database) == {(provider, "failed"): 1, (provider, "heard"): 1}


def test_a_flood_of_failures_is_not_written_down(client, secret_of, sqlite_database, delivery, monkeypatch):
    """Sixty a minute are: each would lock the same row, while the database may be what fails."""
    signed = SIGN["brevo"](secret_of("brevo"), webhooks.payload("brevo", "bounce_hard", delivery), NOON)
    monkeypatch.setattr("mailer.feedback.webhooks.receiver.hear", lambda *_, **__: 1 / 0)
    assert {post(client, signed) for _ in range(70)} == {500}
    assert outcomes(sqlite_database) == {("brevo", "failed"): 60}


def test_a_secret_that_cannot_be_opened_is_our_fault(sqlite_database, settings, secret_of, delivery, far):
    """MAILER_SECRET was changed without keeping the old key: 503, not a refusal."""
    secret = secret_of("brevo")
    changed = settings.model_copy(update={"secret": "2:another-key-entirely"})
    app = create_app(changed, sqlite_database, clock=lambda: NOON, fetch=far)
    with TestClient(app, raise_server_exceptions=False) as opened:
        told = webhooks.payload("brevo", "bounce_hard", delivery)
        assert post(opened, SIGN["brevo"](secret, told, NOON)) == 503
    assert outcomes(sqlite_database) == {("brevo", "failed"): 1}


@pytest.mark.parametrize("provider", [name for name in ALL if name not in ("ses", "mailgun")])
def test_what_proves_itself_and_is_no_json_is_kept(client, secret_of, sqlite_database, provider, monkeypatch):
    """For a person; 200, since it would be no better told again."""
    secret = secret_of(provider)
    monkeypatch.setattr(webhooks, "_json", lambda value: value)
    assert post(client, SIGN[provider](secret, b"<xml/>", NOON)) == 200
    assert outcomes(sqlite_database) == {(provider, "unknown"): 1}
    assert count(sqlite_database, ReturnedMail) == 1
