"""The opening of a connection, without sockets: greeting, EHLO, STARTTLS, AUTH. Pure.

RFC 5321 §3.1 and §3.2, STARTTLS (RFC 3207), AUTH (RFC 4954) with PLAIN (RFC 4616), LOGIN, and
XOAUTH2 as Google and Microsoft describe it (https://developers.google.com/workspace/gmail/imap/xoauth2-protocol).
"""

from __future__ import annotations

import base64
from collections.abc import Generator

from mailer.delivery.relay import Auth, Relay, RelayUnavailable, StartTls, is_loopback
from mailer.delivery.reply import Features, Reply
from mailer.sentence import Sentence


def _command(text: str) -> bytes:
    return f"{text}\r\n".encode()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class Opening:
    """From the greeting to the last word of AUTH, one command at a time.

    Generators that yield a command and are sent its reply, and return the relay's features.
    ``greet`` returns None when the socket is to be secured now; ``go_on`` continues from there.
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._secure = relay.tls
        self.helo = relay.helo

    def greet(self) -> Generator[bytes, Reply, Features | None]:
        """Hear the greeting, say EHLO, and ask for TLS or sign in.

        :raises RelayUnavailable: the relay refuses, or lacks what is required
        """
        greeting = yield b""
        if greeting.code != 220:
            raise self._refused(
                Sentence("does not greet us"), greeting, Sentence("try again later or ask its operator")
            )
        features = yield from self._hello()
        if self._relay.starttls is StartTls.OFF or self._secure or not self._may_secure(features):
            yield from self._sign_in(features)
            return features
        reply = yield _command("STARTTLS")
        if reply.code != 220:
            raise self._refused(Sentence("refuses STARTTLS"), reply, Sentence("ask its operator"))
        return None

    def go_on(self) -> Generator[bytes, Reply, Features]:
        """Begin anew inside TLS: what was said before does not count (RFC 3207 §4.2)."""
        self._secure = True
        features = yield from self._hello()
        yield from self._sign_in(features)
        return features

    def _may_secure(self, features: Features) -> bool:
        if self._relay.starttls is StartTls.REQUIRED and not features.starttls:
            raise RelayUnavailable(
                "The relay {relay} does not offer STARTTLS: use smtps:// or another port,"
                " or add ?starttls=if-offered to its URL if letters may travel in the clear.",
                relay=self._relay.name,
            )
        return features.starttls

    def _hello(self) -> Generator[bytes, Reply, Features]:
        reply = yield _command(f"EHLO {self.helo}")
        if reply.code == 250:
            return Features.of(reply)
        if reply.code != 421:
            reply = yield _command(f"HELO {self.helo}")  # RFC 5321 §3.2: an old server
        if reply.code != 250:
            raise self._refused(
                Sentence("refuses our greeting"), reply, Sentence("check the option helo in its URL")
            )
        return Features()

    def _sign_in(self, features: Features) -> Generator[bytes, Reply, None]:
        relay = self._relay
        if not relay.user:
            return
        if not self._secure and not is_loopback(relay.host):
            raise RelayUnavailable(
                "The relay {relay} is not reached by TLS, so the password was not sent:"
                " use smtps:// or a port with STARTTLS.",
                relay=relay.name,
            )
        how = self._way_in(features)
        reply = yield from {Auth.PLAIN: self._plain, Auth.LOGIN: self._login, Auth.XOAUTH2: self._token}[
            how
        ]()
        if reply.code // 100 == 4:  # RFC 4954 §6: 454, and Microsoft's 4.7.x when too many sign in
            raise self._refused(
                Sentence("lets nobody sign in now"), reply, Sentence("it is asked again soon")
            )
        if reply.code != 235:
            raise self._refused(Sentence("does not accept our user and password"), reply, self._advice(how))

    def _way_in(self, features: Features) -> Auth:
        """Return how to sign in: as the URL says, else the best that is offered."""
        relay = self._relay
        wanted = (Auth.PLAIN, Auth.LOGIN) if relay.auth is Auth.BEST else (relay.auth,)
        for how in wanted:
            if how.name in features.auth:
                return how
        if relay.auth is Auth.BEST:
            raise RelayUnavailable(
                "The relay {relay} offers neither AUTH PLAIN nor LOGIN here:"
                " use smtps://, ?starttls=required or another port.",
                relay=relay.name,
            )
        raise RelayUnavailable(
            "The relay {relay} does not offer AUTH {how} but {offered}: choose another auth= in its URL.",
            relay=relay.name,
            how=relay.auth.name,
            offered=", ".join(sorted(features.auth)) or Sentence("nothing"),
        )

    def _advice(self, how: Auth) -> Sentence:
        if how is not Auth.XOAUTH2:
            return Sentence("correct them in its URL")
        if self._relay.token_url:
            return Sentence("look whether that account may send by SMTP and the scope in its URL is right")
        return Sentence("access tokens end soon: add token_url and client_id to its URL")

    def _plain(self) -> Generator[bytes, Reply, Reply]:
        words = f"\0{self._relay.user}\0{self._relay.password}"
        return (yield _command(f"AUTH PLAIN {_base64(words)}"))

    def _login(self) -> Generator[bytes, Reply, Reply]:
        reply = yield _command("AUTH LOGIN")
        for word in (self._relay.user, self._relay.password):
            if reply.code != 334:
                break
            reply = yield _command(_base64(word))
        return reply

    def _token(self) -> Generator[bytes, Reply, Reply]:
        words = f"user={self._relay.user}\1auth=Bearer {self._relay.password}\1\1"
        reply = yield _command(f"AUTH XOAUTH2 {_base64(words)}")
        if reply.code == 334:  # why not, in JSON; the refusal itself follows an empty line
            reply = yield _command("")
        return reply

    def _refused(self, what: Sentence, reply: Reply, advice: Sentence) -> RelayUnavailable:
        return RelayUnavailable(
            "The relay {relay} {what} ({reply}): {advice}.",
            code=reply.code,
            relay=self._relay.name,
            what=what,
            reply=reply.shown,
            advice=advice,
        )
