"""An organisation's own sign-in: only who its provider vouches for gets in, to an account that is there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from joserfc.jwk import RSAKey

from mailer.accounts import users
from mailer.accounts.audit import SYSTEM
from mailer.accounts.store import AuditEntry, Role, Totp, User
from tests.make import NOON
from tests.oidchost import CLIENT, SECRET, OidcHost, shared_secret

FAILED = "Signing in through your organisation did not work"


@pytest.fixture
def provider(app, settings):
    """A provider that the house is set up for."""
    with OidcHost(now=NOON.timestamp()) as provider:
        use(app, settings, provider)
        yield provider


def use(app, settings, provider, **changes):
    chosen = {
        "oidc_issuer": provider.issuer, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET,
        "oidc_name": "Ministry login", "base_url": "http://testserver",
    }  # fmt: skip
    object.__setattr__(app.state.house, "settings", settings.model_copy(update={**chosen, **changes}))


@pytest.fixture
def ann(make):
    return make.user(Role.EDITOR, "ann@example.org")


def set_out(visitor, next="/"):
    """Press the button; return where the provider is asked."""
    answer = visitor.client.get(f"/sign-in/provider?next={next}", follow_redirects=False)
    assert answer.status_code == 303
    return answer.headers["location"]


def come_back(visitor, provider, next="/"):
    return visitor.client.get(provider.agree(set_out(visitor, next)))


def test_a_person_known_here_comes_in_through_their_organisation(provider, ann, visit, sqlite_database):
    """And to the page they wanted; the log says by which door."""
    visitor = visit()
    door = visitor.get("/sign-in?next=/desk/campaigns")
    assert "Sign in with Ministry login" in door.text
    page = come_back(visitor, provider, "/desk/campaigns")
    assert page.url.path == "/desk/campaigns"
    assert provider.asked[0]["scope"] == "openid email"
    with sqlite_database.read() as session:
        assert [entry.action for entry in session.query(AuditEntry)] == ["user.sign_in_by_provider"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_common_signatures_are_understood(app, settings, ann, visit, algorithm):
    """What providers sign with."""
    with OidcHost(algorithm=algorithm, now=NOON.timestamp()) as provider:
        use(app, settings, provider)
        assert come_back(visit(), provider).url.path == "/desk"


def test_the_address_may_stand_in_the_user_info(provider, ann, visit):
    """Core §5.4 leaves it to the provider; it must speak of the same person."""
    provider.in_token = False
    assert come_back(visit(), provider).url.path == "/desk"
    provider.claims = {"sub": "8"}
    assert FAILED in come_back(visit(), provider).text


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another attempt's"},
        {"nonce": ""},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another-client"]},
        {"aud": [CLIENT, "another-client"], "azp": "another-client"},
        {"azp": "another-client"},
        {"iss": "https://evil.example"},
        {"exp": NOON.timestamp() - 180},
        {"exp": "soon"},
        {"iat": NOON.timestamp() + 180},
    ],
)
def test_a_token_that_answers_something_else_is_refused(provider, ann, visit, claims):
    """Core §3.1.3.7: another attempt, another client, another issuer, another time."""
    provider.claims = claims
    visitor = visit()
    page = come_back(visitor, provider)
    assert page.status_code == 401
    assert FAILED in page.text
    assert visitor.get("/desk/issues").url.path == "/sign-in"


@pytest.mark.parametrize(
    ("key", "header"),
    [
        (RSAKey.generate_key(2048), {}),
        (shared_secret(), {"alg": "HS256"}),
    ],
)
def test_a_token_that_the_provider_did_not_sign_is_refused(provider, ann, visit, key, header):
    """Nor one signed with the client's secret, which is no key of the provider's."""
    provider.key = key
    provider.header |= header
    assert FAILED in come_back(visit(), provider).text


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_is_not_verified_opens_nothing(provider, ann, visit, verified):
    """Else who may name any address there is anybody here."""
    provider.person["email_verified"] = verified
    page = come_back(visit(), provider)
    assert page.status_code == 401
    assert "does not confirm your address" in page.text


def test_nobody_unknown_gets_an_account_by_it(provider, make, visit, sqlite_database):
    """Nor does a closed one open."""
    gone = make.user(Role.EDITOR, "gone@example.org")
    with sqlite_database.write() as session:
        users.disable(session, user_id=gone.id, now=NOON, actor=SYSTEM)
    for email in ("ann@example.org", "gone@example.org"):
        provider.person["email"] = email
        page = come_back(visit(), provider)
        assert page.status_code == 401
        assert "ask an administrator to add one" in page.text
    with sqlite_database.read() as session:
        assert session.query(User).count() == 1


def test_an_answer_is_taken_once_and_from_the_browser_that_set_out(provider, ann, visit):
    """A replayed address opens nothing, even with the attempt's own cookie; nor does a stolen one."""
    visitor, thief = visit(), visit()
    back = provider.agree(set_out(visitor))
    kept = visitor.client.cookies["mailer-provider"]
    assert FAILED in thief.client.get(back).text
    assert visitor.client.get(back).url.path == "/desk"
    replay = visit()
    replay.client.cookies.set("mailer-provider", kept)
    assert FAILED in replay.client.get(back).text
    assert FAILED in visitor.client.get(back).text


def test_an_attempt_does_not_last(app, provider, ann, visit):
    """Ten minutes between the doors."""
    visitor = visit()
    back = provider.agree(set_out(visitor))
    object.__setattr__(app.state.house, "clock", lambda: NOON + timedelta(minutes=10))
    assert FAILED in visitor.client.get(back).text


def test_another_state_or_a_refusal_signs_nobody_in(provider, ann, visit):
    """What the provider's page says to a press on Cancel is an error and no code."""
    visitor = visit()
    provider.agree(set_out(visitor))
    assert FAILED in visitor.client.get("/sign-in/provider/back?code=x&state=guessed").text
    visitor = visit()
    state = provider.agree(set_out(visitor)).rpartition("state=")[2]
    page = visitor.client.get(f"/sign-in/provider/back?error=access_denied&state={state}")
    assert FAILED in page.text
    visitor = visit()
    back = provider.agree(set_out(visitor))
    assert FAILED in visitor.client.get(f"{back}&iss=https://evil.example").text  # RFC 9207


def test_a_code_is_worth_nothing_without_the_verifier(provider, ann, visit):
    """PKCE: another attempt's code, put into one's own answer, is not redeemed."""
    victim, attacker = visit(), visit()
    theirs = provider.agree(set_out(victim))
    code = theirs.split("code=")[1].split("&")[0]
    state = provider.agree(set_out(attacker)).rpartition("state=")[2]
    assert FAILED in attacker.client.get(f"/sign-in/provider/back?code={code}&state={state}").text


def test_codes_are_asked_for_behind_this_door_too(provider, ann, visit, sqlite_database):
    """Whatever the provider asked for: the account's own second step stays."""
    with sqlite_database.write() as session:
        session.add(Totp(user_id=ann.id, secret="x", made_at=NOON, confirmed_at=NOON))
    assert come_back(visit(), provider, "/desk/issues").url.path == "/sign-in/code"


def test_a_provider_out_of_reach_is_said_in_a_sentence(app, settings, provider, visit):
    """503, and the other doors stay; a plain-HTTP one on another machine is never asked."""
    use(app, settings, provider, oidc_issuer="http://127.0.0.1:1")
    page = visit().get("/sign-in/provider")
    assert page.status_code == 503
    assert "cannot be reached" in page.text
    use(app, settings, provider, oidc_issuer="http://login.example")
    assert visit().get("/sign-in/provider").status_code == 503


def test_a_provider_that_calls_itself_otherwise_is_not_believed(app, settings, provider, visit):
    """Discovery §4.3: the issuer must be the very one that was set."""
    use(app, settings, provider, oidc_issuer=f"{provider.issuer}/")
    assert FAILED in visit().get("/sign-in/provider").text


def test_without_a_provider_there_is_no_such_door(visit):
    """Neither button nor pages."""
    visitor = visit()
    assert "/sign-in/provider" not in visitor.get("/sign-in").text
    for path in ("/sign-in/provider", "/sign-in/provider/back"):
        assert visitor.get(path).status_code == 404
