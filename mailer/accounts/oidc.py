"""OpenID Connect: an organisation's own sign-in, as one more door (Core 1.0, authorization code).

The client of one provider: PKCE (RFC 7636, S256), state, nonce, and the checks of Core §3.1.3.7 on the ID
token. What it yields is an address that the provider says is verified; whether an account has it is asked
elsewhere, and none is made. joserfc, which checks signatures, comes with the extra ``oidc``.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import urllib.error
import urllib.request
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import quote_plus, urlencode, urlsplit

from mailer.errors import MailerError

TIMEOUT = 8.0  # seconds, for each of three questions: somebody waits
LONGEST = 256 * 1024  # octets of an answer; key sets are the longest and have a few thousand
LEEWAY = timedelta(minutes=2)  # between the provider's clock and ours
LASTS = timedelta(minutes=10)  # from our door to the provider's and back
SCOPE = "openid email"
# asymmetric only: with HS256 whoever knows the client secret could sign, and "none" signs nothing
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]
_log = logging.getLogger(__name__)


class ProviderFailed(MailerError):
    """Signing in through your organisation did not work: try again, or ask for a sign-in link."""

    http_status = 401


class ProviderSilent(MailerError):
    """Your organisation's sign-in cannot be reached just now: try again, or ask for a sign-in link."""

    http_status = 503


class AddressUnverified(MailerError):
    """Your organisation's sign-in does not confirm your address: ask for a sign-in link."""

    http_status = 401


class NotInstalled(MailerError):
    """The library for OpenID Connect is missing: install mailer with its extra `oidc`."""

    http_status = 503


@dataclass(frozen=True)
class Client:
    """What we are at the provider; ``redirect_uri`` must be entered there as it stands."""

    issuer: str
    id: str
    secret: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True)
class Endpoints:
    """Where a provider answers; ``userinfo`` may be ""."""

    authorization: str
    token: str
    jwks: str
    userinfo: str


@dataclass(frozen=True)
class Attempt:
    """What a browser must bring back, and where it wanted to go. Kept sealed in its cookie."""

    state: str
    nonce: str
    verifier: str
    path: str
    until: float  # seconds since 1970

    @classmethod
    def begin(cls, path: str, now: datetime) -> Self:
        """Return an attempt that nobody can guess."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, path, (now + LASTS).timestamp())

    @classmethod
    def restored(cls, text: bytes, now: datetime) -> Self:
        """Return the attempt that ``text`` was made of.

        :raises ProviderFailed: it has run out
        """
        found = cls(**json.loads(text))
        if found.until <= now.timestamp():
            raise _failed("the attempt has run out")
        return found

    def text(self) -> bytes:
        """Return what ``restored`` reads."""
        return json.dumps(asdict(self)).encode()


def discover(issuer: str) -> Endpoints:
    """Ask a provider where it answers (OpenID Connect Discovery 1.0 §4).

    :raises ProviderSilent: no answer, or none that can be read
    :raises ProviderFailed: it says that it is somebody else
    """
    found = _object(issuer.rstrip("/") + "/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise _failed("the discovery document names another issuer")
    try:
        return Endpoints(
            str(found["authorization_endpoint"]),
            str(found["token_endpoint"]),
            str(found["jwks_uri"]),
            str(found.get("userinfo_endpoint", "")),
        )
    except KeyError as error:
        raise ProviderSilent from error


def leave_for(client: Client, endpoints: Endpoints, attempt: Attempt) -> str:
    """Return the provider's page where somebody says who they are (Core §3.1.2.1)."""
    challenge = urlsafe_b64encode(sha256(attempt.verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "response_type": "code", "client_id": client.id, "redirect_uri": client.redirect_uri,
        "scope": SCOPE, "state": attempt.state, "nonce": attempt.nonce,
        "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    mark = "&" if urlsplit(endpoints.authorization).query else "?"
    return f"{endpoints.authorization}{mark}{urlencode(query)}"


def come_back(client: Client, attempt: Attempt, answer: Mapping[str, str], now: datetime) -> str:
    """Return the verified address of who came back from the provider with ``answer``, its query.

    :raises ProviderFailed: the answer or the token is not one to this attempt
    :raises AddressUnverified: the provider does not say that the address is theirs
    :raises ProviderSilent: the provider cannot be reached
    :raises NotInstalled: nothing here can check its signature
    """
    if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
        raise _failed("the state is another")
    if answer.get("iss", client.issuer) != client.issuer:  # RFC 9207
        raise _failed("another issuer answers")
    if "code" not in answer:
        raise _failed(f"the provider says {answer.get('error', '')[:80]!r}")
    endpoints = discover(client.issuer)
    tokens = _redeem(client, endpoints, answer["code"], attempt.verifier)
    claims = _claims(str(tokens.get("id_token", "")), _object(endpoints.jwks))
    _check(claims, client, attempt.nonce, now)
    if "email" not in claims and endpoints.userinfo:
        claims = _user_info(endpoints, str(tokens.get("access_token", "")), claims)
    return _address(claims)


def _redeem(client: Client, endpoints: Endpoints, code: str, verifier: str) -> dict[str, Any]:
    """Exchange the code (RFC 6749 §4.1.3; the secret as §2.3.1 wants it)."""
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": client.redirect_uri,
        "code_verifier": verifier, "client_id": client.id,
    }  # fmt: skip
    known = b64encode(f"{quote_plus(client.id)}:{quote_plus(client.secret)}".encode()).decode()
    headers = {"Authorization": f"Basic {known}"} if client.secret else {}
    return _object(endpoints.token, urlencode(form).encode(), headers)


def _claims(id_token: str, key_set: dict[str, Any]) -> dict[str, Any]:
    try:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet
    except ImportError as error:
        raise NotInstalled from error
    try:
        keys = KeySet.import_key_set(key_set)  # type: ignore[arg-type]  # whatever it is, it is checked
        claims: dict[str, Any] = jwt.decode(id_token, keys, algorithms=ALGORITHMS).claims
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise _failed(f"the token cannot be read: {type(error).__name__}") from error
    return claims


def _check(claims: Mapping[str, Any], client: Client, nonce: str, now: datetime) -> None:
    """Core §3.1.3.7, in its order."""
    told = claims.get("aud")
    audience = told if isinstance(told, list) else [told]
    if claims.get("iss") != client.issuer:
        raise _failed("the token is another issuer's")
    if client.id not in audience:
        raise _failed("the token is for another client")
    if claims.get("azp", client.id) != client.id or (len(audience) > 1 and "azp" not in claims):
        raise _failed("the token was given to another client")
    if not _seconds(claims, "exp") > (now - LEEWAY).timestamp():
        raise _failed("the token has run out")
    if not _seconds(claims, "iat") < (now + LEEWAY).timestamp():
        raise _failed("the token comes from the future")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _failed("the token answers another attempt")


def _user_info(endpoints: Endpoints, access_token: str, claims: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for the address where the token says none (Core §5.3); it must be the same person's."""
    found = _object(endpoints.userinfo, None, {"Authorization": f"Bearer {access_token}"})
    if found.get("sub") != claims.get("sub"):
        raise _failed("the user info is another person's")
    return found


def _address(claims: Mapping[str, Any]) -> str:
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") is not True:
        raise AddressUnverified
    return email


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _failed(f"the token has no {name}")
    return float(value)


class _Stay(urllib.request.HTTPRedirectHandler):
    """An address that leads elsewhere is not the one the provider gave."""

    def redirect_request(self, *_: object) -> None:
        """Do not follow."""


def _object(url: str, form: bytes | None = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object that stands at ``url``; ``form`` is posted."""
    if not _believable(url):
        raise ProviderSilent
    request = urllib.request.Request(  # noqa: S310  _believable has looked at the scheme
        url, form, {"Accept": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT) as answer:
            found = json.loads(answer.read(LONGEST))
    except urllib.error.HTTPError as error:
        if form is not None and error.code == 400:  # RFC 6749 §5.2: it is about the code
            raise _failed("the provider does not take the code") from error
        raise ProviderSilent from error
    except (OSError, HTTPException, ValueError) as error:
        raise ProviderSilent from error
    if not isinstance(found, dict):
        raise ProviderSilent
    return found


def _believable(url: str) -> bool:
    """Say whether what stands there is the provider's own word: HTTPS, or this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _failed(why: str) -> ProviderFailed:
    _log.warning("OpenID Connect: %s", why)
    return ProviderFailed()
