"""Relays as operators write them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.delivery.pace import Limit
from mailer.delivery.relay import Auth, BadRelay, Relay, StartTls, TokenGrant


@pytest.mark.parametrize(
    ("url", "port", "tls", "starttls"),
    [
        ("smtp://mail.example.org", 25, False, StartTls.REQUIRED),
        ("smtp://ann:pw@mail.example.org", 587, False, StartTls.REQUIRED),
        ("smtp://mail.example.org:2525?starttls=off", 2525, False, StartTls.OFF),
        ("smtp://mail.example.org?starttls=if-offered", 25, False, StartTls.IF_OFFERED),
        ("smtp://127.0.0.1:2525", 2525, False, StartTls.OFF),
        ("smtp://[::1]:2525", 2525, False, StartTls.OFF),
        ("smtp://localhost", 25, False, StartTls.OFF),
        ("smtps://mail.example.org", 465, True, StartTls.OFF),
    ],
)
def test_letters_leave_the_machine_in_tls_unless_told_otherwise(
    url: str, port: int, tls: bool, starttls: StartTls
) -> None:
    """Ports and TLS have defaults fit for relays elsewhere and on this machine."""
    relay = Relay.from_url(url)
    assert (relay.port, relay.tls, relay.starttls) == (port, tls, starttls)


def test_every_option_is_read() -> None:
    """All of them at once."""
    relay = Relay.from_url(
        "smtps://mail.example.org:4650/?tls_verify=no&ca=/etc/ca.pem&connections=7&helo=desk.example.org"
        "&chunking=no&connect_timeout=1.5&timeout=20&final_timeout=30"
        "&letters=100&per_second=0.5&per_hour=900&total=12&warmup=2026-12-01"
    )
    assert relay == Relay(
        "mail.example.org", 4650, tls=True, tls_verify=False, ca="/etc/ca.pem", connections=7,
        helo="desk.example.org", chunking=False, connect_timeout=1.5, timeout=20, final_timeout=30,
        letters=100, per_second=0.5, per_hour=900, total=12, warmup=date(2026, 12, 1),
    )  # fmt: skip


def test_an_access_token_may_be_asked_for() -> None:
    """With a refresh token, or in the client's own name."""
    url = "smtp://desk%40example.org:r1@mail.example.org?auth=xoauth2&token_url=https://id.example.org/token"
    relay = Relay.from_url(f"{url}&client_id=c1&client_secret=s1&scope=mail%20offline")
    assert (relay.auth, relay.user, relay.password) == (Auth.XOAUTH2, "desk@example.org", "r1")
    assert (relay.token_url, relay.client_id) == ("https://id.example.org/token", "c1")
    assert (relay.client_secret, relay.scope, relay.grant) == ("s1", "mail offline", TokenGrant.REFRESH_TOKEN)
    assert "s1" not in repr(relay)
    relay = Relay.from_url(f"{url}&client_id=c1&grant=client_credentials")
    assert relay.grant is TokenGrant.CLIENT_CREDENTIALS


def test_limits_hold_for_all_workers_and_grow_with_a_warm_up() -> None:
    """The stricter of both; nothing is limited that is not said to be."""
    assert Relay.from_url("smtp://127.0.0.1").limit == Limit()
    relay = Relay.from_url("smtp://127.0.0.1?per_second=2&per_hour=900&total=12&letters=5&warmup=2026-12-01")
    assert relay.limit == Limit(2, 900, 12, 5)
    assert relay.limit_on(None) == relay.limit_on(date(2026, 12, 1)) == Limit(50 / 86_400, 900, 12, 5)
    assert relay.limit_on(date(2026, 12, 2)) == Limit(100 / 86_400, 900, 12, 5)
    assert relay.limit_on(date(2027, 12, 1)) == relay.limit


@given(user=st.text(min_size=1, max_size=20), password=st.text(max_size=20))
def test_user_and_password_may_hold_any_character(user: str, password: str) -> None:
    """Percent-encoded in the URL, plain in the relay."""
    from urllib.parse import quote

    relay = Relay.from_url(f"smtp://{quote(user, safe='')}:{quote(password, safe='')}@mail.example.org")
    assert (relay.user, relay.password) == (user, password)


def test_the_password_is_never_shown() -> None:
    """Neither in repr() nor in the name that logs hold."""
    relay = Relay.from_url("smtp://ann:geheim@mail.example.org")
    assert "geheim" not in repr(relay) + str(relay) + relay.name
    assert relay.name == "mail.example.org:587"
    assert Relay.from_url("smtp://[::1]:25").name == "[::1]:25"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "smtp://user:password@"),
        ("mail.example.org:25", "smtp://user:password@"),
        ("http://mail.example.org", "smtp://user:password@"),
        ("smtp://", "smtp://user:password@"),
        ("smtp://ann:geheim@mail.example.org/path", "smtp://user:password@"),
        ("smtp://ann:geheim@mail.example.org:x", "must be a number"),
        ("smtp://ann:geheim@mail.example.org:99999", "must be a number"),
        ("smtp://ann:geheim@mail.example.org?starttls=perhaps", "starttls=perhaps: write off, if-offered"),
        ("smtp://ann:geheim@mail.example.org?connections=0", "connections=0: write 1 to 100"),
        ("smtp://ann:geheim@mail.example.org?timeout=never", "timeout=never: write seconds"),
        ("smtp://ann:geheim@mail.example.org?helo=a%0d%0ab", "write a host name"),
        ("smtp://ann:geheim@mail.example.org?letters=0", "letters=0: write letters per connection, 1 to"),
        ("smtp://ann:geheim@mail.example.org?per_second=nan", "per_second=nan: write letters per second"),
        ("smtp://ann:geheim@mail.example.org?per_hour=0.5", "per_hour=0.5: write letters per hour"),
        ("smtp://ann:geheim@mail.example.org?total=many", "total=many: write connections of all workers"),
        ("smtp://ann:geheim@mail.example.org?warmup=1.12.2026", "write the first day, like 2026-12-01"),
        ("smtp://ann:geheim@mail.example.org?auth=ntlm", "auth=ntlm: write best, plain, login or xoauth2"),
        ("smtp://mail.example.org?auth=plain", "write USER:PASSWORD@ before the host"),
        ("smtp://ann:geheim@mail.example.org?token_url=http://id.test", "write an address that begins with"),
        ("smtp://ann:geheim@mail.example.org?token_url=https://id.test/&client_id=1", "add auth=xoauth2"),
        ("smtp://ann:geheim@mail.example.org?client_secret=geheim", "add auth=xoauth2"),
        (
            "smtp://ann:geheim@mail.example.org?auth=xoauth2&token_url=https://id.test/",
            "add token_url and client_id",
        ),
        (
            "smtp://ann:geheim@mail.example.org?auth=xoauth2&client_secret=geheim",
            "add token_url and client_id",
        ),
        (
            "smtp://ann:geheim@mail.example.org?auth=xoauth2&grant=client_credentials",
            "has a grant, but no place to use it",
        ),
        ("smtp://ann:geheim@mail.example.org?speed=high", "has an option “speed”: known are starttls"),
    ],
)
def test_a_wrong_url_says_what_to_write_and_keeps_the_password(url: str, says: str) -> None:
    """One sentence, without the secret."""
    with pytest.raises(BadRelay) as caught:
        Relay.from_url(url)
    assert says in str(caught.value)
    assert "geheim" not in str(caught.value)


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: f"smtp://{text}"))
def test_any_text_is_a_relay_or_a_clear_error(url: str) -> None:
    """Never another exception."""
    try:
        assert Relay.from_url(url).host
    except BadRelay as error:
        assert str(error)  # noqa: PT017 - either way is right
