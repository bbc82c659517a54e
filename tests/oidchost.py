"""A small OpenID Connect provider on loopback: discovery, keys, authorization, tokens, user info.

It believes its client as a real one does (redirect address, secret, PKCE, each code once) and says of the
person at its page what the test tells it to; ``claims`` change the ID token, ``key`` what signs it.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

CLIENT, SECRET = "mailer", "a secret: with signs & spaces"


class OidcHost:
    """Use as ``with OidcHost() as provider``; ``provider.issuer`` is where it is."""

    def __init__(self, *, algorithm: str = "RS256", now: float | None = None) -> None:
        self.algorithm = algorithm
        made = ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(2048)
        self.key: Any = made
        self.public = made.as_dict(private=False) | {"use": "sig", "kid": "one"}
        self.person: dict[str, Any] = {"sub": "7", "email": "ann@example.org", "email_verified": True}
        self.claims: dict[str, Any] = {}
        self.in_token = True  # else what it knows of the person stands in the user info
        self.header: dict[str, Any] = {"alg": algorithm, "kid": "one"}
        self.now = now
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def agree(self, location: str) -> str:
        """Do what a browser and a person at the provider's page do; return where it sends the browser."""
        parts = urlsplit(location)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert location.startswith(f"{self.issuer}/authorize?")
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["code_challenge_method"] == "S256"
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(host._get(self.path, self.headers.get("Authorization", "")))

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(host._token(parse_qs(form), self.headers.get("Authorization", "")))

            def _answer(self, found: tuple[int, object]) -> None:
                body = json.dumps(found[1]).encode()
                self.send_response(found[0])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def _get(self, path: str, authorization: str) -> tuple[int, object]:
        match path:
            case "/.well-known/openid-configuration":
                places = {
                    name: f"{self.issuer}/{name.split('_')[0]}"
                    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
                }
                places["authorization_endpoint"] = f"{self.issuer}/authorize"
                return 200, {"issuer": self.issuer, **places}
            case "/jwks":
                return 200, {"keys": [self.public]}
            case "/userinfo" if authorization == "Bearer access":
                return 200, self.person
        return 404, {}

    def _token(self, form: dict[str, list[str]], authorization: str) -> tuple[int, object]:
        asked = self._codes.pop(form["code"][0], None)
        known = b64decode(authorization.removeprefix("Basic ")).decode()
        client, _, secret = known.partition(":")
        challenge = urlsafe_b64encode(sha256(form["code_verifier"][0].encode()).digest()).decode().rstrip("=")
        if (
            asked is None
            or (unquote_plus(client), unquote_plus(secret)) != (CLIENT, SECRET)
            or form["redirect_uri"][0] != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
        ):
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "access", "token_type": "Bearer", "id_token": self._id_token(asked)}

    def _id_token(self, asked: dict[str, str]) -> str:
        at = int(self.now if self.now is not None else time.time())
        person = self.person if self.in_token else {"sub": self.person["sub"]}
        claims = {
            "iss": self.issuer, "aud": CLIENT, "iat": at, "exp": at + 300, "nonce": asked["nonce"], **person,
            **self.claims,
        }  # fmt: skip
        return jwt.encode(self.header, claims, self.key, algorithms=[self.header["alg"], "HS256"])


def shared_secret() -> OctKey:
    """Return the client secret as a key: what a confused or evil signer would use with HS256."""
    return OctKey.import_key(SECRET)
