"""Signing in: in which way, and with access tokens from a real HTTPS server on loopback."""

from __future__ import annotations

import dataclasses
import json
import logging
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote

import pytest
from sqlalchemy import select, text

from mailer.database import Database
from mailer.delivery import oauth, trial
from mailer.delivery.oauth import Pocket, Tokens
from mailer.delivery.opening import Opening
from mailer.delivery.refresh_tokens import Shelf
from mailer.delivery.relay import Relay, RelayUnavailable
from mailer.delivery.relays import Relays
from mailer.delivery.reply import Features, Reply
from mailer.delivery.smtp import Envelope, Kind, Outcome
from mailer.delivery.store import RefreshToken
from mailer.delivery.transport import NoNotes
from mailer.signing import Keyring
from tests import servers
from tests.delivery.desk import Desk, now
from tests.make import KEYS
from tests.smtphost import SmtpHost, self_signed

LETTER = Envelope(1, "b@lists.test", "reader@example.org", b"Subject: News\r\n\r\nGood news.\r\n", clean=True)
SECRETS = ("r3fresh", "s3cret", "acc3ss")


@dataclass
class TokenHost:
    """Gives access tokens ``acc3ss-1``, ``acc3ss-2`` …, or answers as it is told, over HTTPS."""

    certificate: Path
    asked: list[dict[str, str]] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)  # before tokens, one to each question
    good: str = ""  # the refresh token that works, and gives a new one with each answer; "": any, and none
    lasts: object = 3600
    delay: float = 0.0

    def __enter__(self) -> TokenHost:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                status, body = host.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.send_response(status)
                self.send_header("Location", host.url + "elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}/"

    def answer(self, question: bytes) -> tuple[int, bytes]:
        self.asked.append({name: text for name, [text] in parse_qs(question.decode()).items()})
        time.sleep(self.delay)
        if self.answers:
            return self.answers.pop(0)
        token: dict[str, object] = {"access_token": f"acc3ss-{len(self.asked)}", "expires_in": self.lasts}
        if self.good:
            if self.asked[-1]["refresh_token"] != self.good:
                return 400, b'{"error": "invalid_grant"}'
            token["refresh_token"] = self.good = f"r3fresh-{len(self.asked)}"
        return 200, json.dumps(token).encode()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("oauth"))


@pytest.fixture
def tokens(certificate: Path) -> Iterator[TokenHost]:
    with TokenHost(certificate) as host:
        yield host


def url(host: TokenHost, port: int, **options: str) -> str:
    options = {"token_url": host.url, "client_id": "c1", "ca": str(host.certificate)} | options
    query = "&".join(f"{name}={quote(text, safe='')}" for name, text in options.items() if text)
    return f"smtp://desk%40example.org:r3fresh@127.0.0.1:{port}?auth=xoauth2&{query}"


def relay(host: TokenHost, **options: str) -> Relay:
    return Relay.from_url(url(host, 25, **options))


def keeper(of: Relay) -> Tokens:
    """A relay's tokens, kept nowhere."""
    return Tokens(of, Pocket())


def send(*urls: str) -> Outcome:
    with Relays(urls) as relays:
        [outcome] = relays.send([LETTER], notes=NoNotes())
        return outcome


# --- tokens ---------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_once_and_kept(tokens: TokenHost) -> None:
    """With the refresh token, RFC 6749 §6, and only what is set."""
    mine = keeper(relay(tokens, scope="mail offline"))
    assert [mine.get() for _ in range(3)] == ["acc3ss-1"] * 3
    assert tokens.asked == [
        {
            "grant_type": "refresh_token",
            "refresh_token": "r3fresh",
            "client_id": "c1",
            "scope": "mail offline",
        }
    ]


def test_a_client_asks_in_its_own_name(tokens: TokenHost) -> None:
    """RFC 6749 §4.4: the password is the client's secret."""
    assert keeper(relay(tokens, grant="client_credentials")).get() == "acc3ss-1"
    assert tokens.asked == [
        {"grant_type": "client_credentials", "client_secret": "r3fresh", "client_id": "c1"}
    ]


def test_a_client_may_have_a_secret_beside_the_refresh_token(tokens: TokenHost) -> None:
    """As Google asks for it."""
    keeper(relay(tokens, client_secret="s3cret+/&")).get()
    assert tokens.asked[0]["client_secret"] == "s3cret+/&"


@pytest.mark.parametrize(
    ("lasts", "asked"), [(3600, 1), ("3600", 1), (None, 1), ("soon", 1), (-5, 1), (60, 2), (10, 2)]
)
def test_a_token_is_not_used_in_its_last_minute(tokens: TokenHost, lasts: object, asked: int) -> None:
    """Whatever is told of how long it lasts."""
    tokens.lasts = lasts
    mine = keeper(relay(tokens))
    assert [mine.get(), mine.get()] == ["acc3ss-1", f"acc3ss-{asked}"]


def test_a_new_refresh_token_takes_the_place_of_the_old(tokens: TokenHost) -> None:
    """RFC 6749 §6: the client must then forget the old one."""
    tokens.answers = [(200, b'{"access_token": "acc3ss", "refresh_token": "r3fresh-2"}')]
    mine = keeper(relay(tokens))
    mine.forget(mine.get())
    mine.get()
    assert [question["refresh_token"] for question in tokens.asked] == ["r3fresh", "r3fresh-2"]


def test_only_a_token_that_was_refused_is_forgotten(tokens: TokenHost) -> None:
    """Another thread may have fetched a new one meanwhile."""
    mine = keeper(relay(tokens))
    mine.get()
    mine.forget("acc3ss-0")
    assert mine.get() == "acc3ss-1"
    mine.forget("acc3ss-1")
    assert mine.get() == "acc3ss-2"


def test_threads_share_one_question(tokens: TokenHost) -> None:
    """One asks, the others wait; each relay has one keeper of tokens in a process."""
    tokens.delay = 0.1
    with ThreadPoolExecutor(8) as pool:
        got = set(pool.map(lambda _: oauth.tokens_of(relay(tokens), oauth.POCKET).get(), range(8)))
    assert (got, len(tokens.asked)) == ({"acc3ss-1"}, 1)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            400,
            b'{"error": "invalid_grant", "error_description": "r3fresh is dead"}',
            "put the new refresh token",
        ),
        (401, b'{"error": "invalid_client"}', r"\(401 invalid_client\): correct client_id and client_secret"),
        (400, b'{"error": "r3fresh"}', r"refuses us \(400\): it is asked again soon"),
        (503, b"<html>", r"refuses us \(503\)"),
        (302, b"", r"refuses us \(302\)"),
        (200, b"<html>", "gives no access token: check token_url"),
        (200, b"[]", "gives no access token"),
        (200, b'{"access_token": ""}', "gives no access token"),
        (200, b'{"access_token": "a\\u0001b"}', "gives no access token"),
    ],
)
def test_what_is_wrong_is_told_without_a_secret(
    tokens: TokenHost, caplog: pytest.LogCaptureFixture, status: int, body: bytes, says: str
) -> None:
    """And the next call asks again."""
    caplog.set_level(logging.DEBUG)
    tokens.answers = [(status, body)]
    mine = keeper(relay(tokens, client_secret="s3cret"))
    with pytest.raises(RelayUnavailable, match=says) as caught:
        mine.get()
    assert not [secret for secret in SECRETS if secret in str(caught.value) + caplog.text]
    assert mine.get() == "acc3ss-2"


def test_a_token_address_that_cannot_be_trusted_gets_no_secret(tokens: TokenHost) -> None:
    """The certificate is verified, whatever is said of the relay's own."""
    with pytest.raises(RelayUnavailable, match=r"cannot be reached \(self-signed certificate\)"):
        keeper(relay(tokens, ca="", tls_verify="no")).get()
    assert not tokens.asked


def test_a_token_address_out_of_reach_is_told(tokens: TokenHost) -> None:
    """The relay rests and the next takes the letters."""
    gone = f"https://127.0.0.1:{servers.free_port()}/"
    with pytest.raises(RelayUnavailable, match=r"cannot be reached \(Connection refused\)"):
        keeper(relay(tokens, token_url=gone)).get()
    with SmtpHost() as second:
        assert send(url(tokens, 25, token_url=gone), second.url).kind is Kind.ACCEPTED


# --- tokens that are given anew -------------------------------------------------------------------------


def shelf(database: Database) -> Shelf:
    """A shelf as a process that has just started has it."""
    return Shelf(lambda: database, KEYS)


def test_a_new_refresh_token_outlives_the_process(tokens: TokenHost, database: Database) -> None:
    """And takes the place of the one in the URL, which is dead; the database's copies do not tell it."""
    tokens.good = "r3fresh"
    for _ in range(3):
        Tokens(relay(tokens), shelf(database)).get()
    assert [question["refresh_token"] for question in tokens.asked] == ["r3fresh", "r3fresh-1", "r3fresh-2"]
    with database.read() as session:
        [row] = session.scalars(select(RefreshToken))
    assert "r3fresh" not in row.secret + row.id


def test_another_token_in_the_url_begins_anew(tokens: TokenHost, database: Database) -> None:
    """Somebody has signed in again."""
    tokens.good = "r3fresh"
    Tokens(relay(tokens), shelf(database)).get()
    tokens.good = "r3fresh-new"
    again = dataclasses.replace(relay(tokens), password="r3fresh-new")
    assert Tokens(again, shelf(database)).get()


def test_processes_that_ask_at_once_use_no_token_twice(
    tokens: TokenHost, postgres_database: Database
) -> None:
    """A token address may take the second use for a theft, and end them all."""
    tokens.good, tokens.delay = "r3fresh", 0.05
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: Tokens(relay(tokens), shelf(postgres_database)).get(), range(4)))
    assert len(set(got)) == 4
    used = [question["refresh_token"] for question in tokens.asked]
    assert len(set(used)) == 4


def test_a_token_that_could_not_be_kept_is_used_and_kept_later(
    tokens: TokenHost, sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk was full, say: the letters go all the same."""
    tokens.good, tokens.lasts = "r3fresh", 10
    mine = Tokens(relay(tokens), shelf(sqlite_database))
    mine.get()
    with sqlite_database.write() as session:
        full = "BEFORE UPDATE ON refresh_tokens BEGIN SELECT RAISE(ABORT, 'full'); END"
        session.execute(text(f"CREATE TRIGGER full {full}"))
    mine.get()
    assert "is not kept yet: IntegrityError" in caplog.text
    assert "r3fresh" not in caplog.text
    with sqlite_database.write() as session:
        session.execute(text("DROP TRIGGER full"))
    mine.get()
    assert Tokens(relay(tokens), shelf(sqlite_database)).get()
    assert [question["refresh_token"] for question in tokens.asked][1:] == [
        "r3fresh-1",
        "r3fresh-2",
        "r3fresh-3",
    ]


def test_a_kept_token_that_does_not_open_gives_way_to_the_urls(
    tokens: TokenHost, sqlite_database: Database
) -> None:
    """MAILER_SECRET was changed, and the old one left out."""
    tokens.good = "r3fresh"
    Tokens(relay(tokens), shelf(sqlite_database)).get()
    tokens.good = "r3fresh"
    other = Shelf(lambda: sqlite_database, Keyring.parse("2:" + "n" * 40))
    assert Tokens(relay(tokens), other).get()


def test_a_worker_and_a_test_letter_share_a_token(tokens: TokenHost, desk: Desk) -> None:
    """Of one process; another goes on with what was kept."""
    tokens.good = "r3fresh"
    with SmtpHost(user="desk@example.org", password="acc3ss-1", auth="XOAUTH2") as host:
        there = {
            "smtp_url": url(tokens, host.port),
            "database_url": desk.database.engine.url.render_as_string(hide_password=False),
        }
        campaign = desk.launched("one@example.org")
        with desk.database.read() as session:
            trial.send(
                session,
                campaign_id=campaign,
                to="colleague@example.org",
                settings=desk.settings.model_copy(update=there),
                now=now(),
            )
        desk.work(desk.sender(**there))
        assert desk.counts(campaign) == {"ACCEPTED": 1}
        assert len(tokens.asked) == 1
    with shelf(desk.database).alone(Relay.from_url(there["smtp_url"])) as newest:
        assert newest == tokens.good == "r3fresh-1"


# --- the relay ------------------------------------------------------------------------------------------


def test_a_relay_is_given_the_token(tokens: TokenHost) -> None:
    """XOAUTH2, with the user of the URL."""
    with SmtpHost(user="desk@example.org", password="acc3ss-1", auth="PLAIN XOAUTH2") as host:
        assert send(url(tokens, host.port)).kind is Kind.ACCEPTED
    assert host.letters[0].user == "desk@example.org"


def test_a_token_the_relay_refuses_is_renewed_once(tokens: TokenHost) -> None:
    """It may have been withdrawn before its time."""
    with SmtpHost(user="desk@example.org", password="acc3ss-2", auth="XOAUTH2") as host:
        assert send(url(tokens, host.port)).kind is Kind.ACCEPTED
        assert len(tokens.asked) == 2


def test_a_relay_that_refuses_every_token_is_not_asked_on(tokens: TokenHost) -> None:
    """The advice is about the account: the tokens are new."""
    with SmtpHost(user="desk@example.org", password="other", auth="XOAUTH2") as host:
        with pytest.raises(RelayUnavailable, match=r"535 5.7.8 .*look whether that account may send"):
            send(url(tokens, host.port))
        assert (len(tokens.asked), host.connections) == (2, 2)


def test_without_a_token_address_the_password_is_the_token() -> None:
    """For a trial by hand; it ends soon, and the message says so."""
    with SmtpHost(user="desk", password="acc3ss", auth="XOAUTH2") as host:
        assert send(host.url_with(auth="xoauth2")).kind is Kind.ACCEPTED
        with pytest.raises(RelayUnavailable, match="access tokens end soon") as caught:
            send(host.url_with(auth="xoauth2").replace("acc3ss", "acc3ss-0"))
    assert "acc3ss" not in str(caught.value)


# --- ways to sign in ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "offered", "said"),
    [
        ("best", "LOGIN PLAIN XOAUTH2", "PLAIN"),
        ("best", "LOGIN XOAUTH2", "LOGIN"),
        ("login", "PLAIN LOGIN", "LOGIN"),
        ("plain", "PLAIN LOGIN", "PLAIN"),
        ("xoauth2", "PLAIN XOAUTH2", "XOAUTH2"),
    ],
)
def test_the_way_to_sign_in_is_chosen(option: str, offered: str, said: str) -> None:
    """As the URL says, else the best that is offered; a password is never sent as a token by itself."""
    with SmtpHost(user="desk", password="geheim", auth=offered) as host:
        assert send(host.url_with(auth=option)).kind is Kind.ACCEPTED
    assert [command.split()[1] for command in host.commands if command.startswith("AUTH")] == [said]


def test_a_way_that_is_not_offered_is_not_tried() -> None:
    """The message names those that are."""
    with SmtpHost(user="desk", password="geheim", auth="PLAIN LOGIN") as host:
        with pytest.raises(RelayUnavailable, match="does not offer AUTH XOAUTH2 but LOGIN, PLAIN"):
            send(host.url_with(auth="xoauth2"))
        assert not [command for command in host.commands if command.startswith("AUTH")]


def test_a_relay_that_lets_nobody_in_for_now_is_not_said_to_mind_the_password() -> None:
    """RFC 4954 §6: 454 is temporary."""
    with SmtpHost(user="desk", password="geheim") as host:
        host.answers("AUTH", "454 4.7.0 Directory down")
        with pytest.raises(RelayUnavailable, match=r"lets nobody sign in now \(454 4.7.0 Directory down\)"):
            send(host.url)


@pytest.mark.parametrize("option", ["starttls=off", "starttls=if-offered", "starttls=off&auth=xoauth2"])
def test_no_password_goes_in_the_clear_to_another_machine(option: str) -> None:
    """Not even where letters may."""
    opening = Opening(Relay.from_url(f"smtp://desk:geheim@mail.example.org?{option}"))
    talk = opening.greet()
    next(talk)
    talk.send(Reply(220, (b"mail.example.org",)))
    with pytest.raises(RelayUnavailable, match="the password was not sent"):
        talk.send(Reply(250, (b"mail.example.org", b"AUTH PLAIN LOGIN XOAUTH2")))


def test_features_name_every_way_offered() -> None:
    """In any case, and as old servers write it."""
    offer = Features.of(Reply(250, (b"host", b"auth plain xoauth2", b"AUTH=LOGIN")))
    assert offer.auth == {"PLAIN", "XOAUTH2", "LOGIN"}
