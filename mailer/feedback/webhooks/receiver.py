"""Receiving a post: proved, then heard in one transaction. What is answered tells the provider what to do.

200 means kept. 401 and 403: not proved, nothing changed, and counted. 503, or 500 for a fault of ours:
nothing changed, tell it again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from hashlib import sha256

from sqlalchemy.orm import Session

from mailer.database import Database
from mailer.errors import MailerError
from mailer.feedback.webhooks import hooks, store
from mailer.feedback.webhooks.certificates import Certificates, Fetch
from mailer.feedback.webhooks.hear import Ears, Machine, Outcome, hear
from mailer.feedback.webhooks.hooks import NoWebhook
from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import Post, Refused, Stale, require
from mailer.feedback.webhooks.provider import Provider
from mailer.feedback.webhooks.told import UNKNOWN, Told
from mailer.settings import Settings

LONGEST = 12 * 1024 * 1024  # octets of a post: SparkPost's batches are the largest, some 10 MB

_log = logging.getLogger(__name__)


class NotNow(MailerError):
    """This news cannot be taken just now: send it again later."""

    http_status = 503


class Receiver:
    """Takes the posts of all providers. For any number of threads."""

    def __init__(self, settings: Settings, database: Database, fetch: Fetch, machine: Machine) -> None:
        """Open nothing yet. ``fetch`` gets certificates; ``machine`` tells machines by their user agents."""
        self._settings = settings
        self._database = database
        self._certificates = Certificates(fetch)
        self._machine = machine

    def receive(self, name: str, post: Post, now: datetime, *, may_count: Callable[[], bool]) -> None:
        """Prove a post and hear it. ``may_count``: whether one more refusal or failure is worth a row.

        :raises NoProvider: of that name
        :raises NoWebhook: none of the provider's is set up
        :raises Refused: it does not prove itself; counted
        :raises NotNow: it cannot be proved or kept just now; counted, as every other error is
        """
        provider = hooks.provider_named(name)
        try:
            self._prove(provider, post, now)
            self._hear(provider, post, now)
        except NoWebhook:
            raise
        except Refused as refused:
            if may_count():
                self._count(name, Outcome.STALE if isinstance(refused, Stale) else Outcome.REFUSED, now)
            raise
        except Exception as error:
            with suppress(Exception):  # the first fault is the one to tell
                if may_count():
                    self._count(name, Outcome.FAILED, now)
            if isinstance(error, MailerError):
                raise NotNow from error
            raise

    def _prove(self, provider: Provider, post: Post, now: datetime) -> None:
        """By any of the provider's secrets."""
        with self._database.read() as session:
            secrets = hooks.secrets_of(session, provider.name, self._settings.keys)
        if not secrets:
            raise NoWebhook
        certificate = partial(self._certificates.key, now=now)
        refusals: list[Refused] = []
        for secret in secrets:
            try:
                return provider.check(post, secret, now, certificate)
            except Refused as refused:
                refusals.append(refused)
        raise next((each for each in refusals if isinstance(each, Stale)), refusals[0])

    def _hear(self, provider: Provider, post: Post, now: datetime) -> None:
        payload = Node.parse(post.body)
        if payload is not None and (asked := provider.confirms(payload)):
            self._certificates.fetch(asked)
            _log.warning("confirmed the subscription of webhook %s", provider.name)
        ears = Ears(self._settings.keys, self._settings.public_url, self._machine)
        told = provider.read(payload) if payload is not None else iter((_garbage(post),))
        with self._database.write() as session:
            if payload is not None:
                _spend(session, provider, payload, now)
            outcomes = hear(session, provider=provider.name, told=told, ears=ears, now=now)
            store.count(session, provider.name, outcomes, now)

    def _count(self, name: str, outcome: Outcome, now: datetime) -> None:
        with self._database.write() as session:
            store.count(session, name, {outcome: 1}, now)


def _spend(session: Session, provider: Provider, payload: Node, now: datetime) -> None:
    """Use the token of a post that is proved by it alone.

    :raises Refused: it was used for another post
    """
    if token := provider.token(payload):
        post = json.dumps(payload.raw, sort_keys=True)
        require(store.spend(session, _hash(f"{provider.name} {token}"), _hash(post), now))


def _hash(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def _garbage(post: Post) -> Told:
    """What proves itself and is no JSON is kept for a person."""
    return Told(meaning=UNKNOWN, item=post.body.decode(errors="replace"))
