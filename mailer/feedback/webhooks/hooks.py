"""Webhooks of providers: made, listed, removed. Their secrets are sealed (``mailer.sealing``)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy.orm import Session

from mailer.accounts import audit
from mailer.accounts.audit import Actor
from mailer.errors import Invalid, NotFound
from mailer.feedback.webhooks import store
from mailer.feedback.webhooks.proof import USER
from mailer.feedback.webhooks.provider import Provider, Secret
from mailer.feedback.webhooks.providers import PROVIDERS
from mailer.feedback.webhooks.store import Webhook
from mailer.sealing import seal, unseal
from mailer.signing import Keyring

TOKENS_LAST = timedelta(days=2)  # longer than posts of any provider are believed (``require_recent``)


class NoProvider(NotFound):
    """This provider's webhooks are not known: `mailer webhook add --help` lists those that are."""


class NoWebhook(NotFound):
    """There is no such webhook: `mailer webhook list` shows those that exist."""


class BadSecret(Invalid):
    """What was given is not what the provider's webhooks are signed with."""

    def __init__(self, provider: Provider) -> None:
        if provider.secret is Secret.GIVEN:
            super().__init__("This cannot be the secret. {asks}", asks=provider.asks)
        else:
            super().__init__("This provider shows no secret: leave it out, one is made.")


def provider_named(name: str) -> Provider:
    """Return a provider.

    :raises NoProvider:
    """
    found = PROVIDERS.get(name)
    if found is None:
        raise NoProvider
    return found


def add(
    session: Session, *, provider: str, secret: str, keys: Keyring, now: datetime, actor: Actor
) -> tuple[Webhook, str]:
    """Believe a provider's posts from now on; return the webhook and its secret, which is not shown again.

    ``secret`` is what the provider shows; "" for those that show none: one is made.

    :raises NoProvider:
    :raises BadSecret: it cannot be one, is missing, or this provider shows none
    """
    found, secret = provider_named(provider), secret.strip()
    if (found.secret is Secret.GIVEN) != bool(secret) or (secret and not found.fits(secret)):
        raise BadSecret(found)
    secret = secret or secrets.token_urlsafe(24)
    row = Webhook(
        provider=provider,
        secret=seal(keys, secret.encode(), purpose=_purpose(provider)),
        made_at=now,
        made_by=actor.name,
    )
    session.add(row)
    session.flush()
    _note(session, "add", row, now, actor)
    return row, secret


def remove(session: Session, *, webhook_id: int, now: datetime, actor: Actor) -> Webhook:
    """Believe what this secret signs no more, and forget it.

    :raises NoWebhook:
    """
    row = session.get(Webhook, webhook_id)
    if row is None:
        raise NoWebhook
    session.delete(row)
    _note(session, "remove", row, now, actor)
    return row


def listing(session: Session) -> Sequence[Webhook]:
    """Return all webhooks, by provider and age."""
    return store.webhooks(session)


def forget_tokens(session: Session, *, now: datetime) -> None:
    """Forget the tokens of posts that would be stale by now."""
    store.forget_tokens(session, now - TOKENS_LAST)


def secrets_of(session: Session, provider: str, keys: Keyring) -> list[str]:
    """Return the secrets by which a provider may prove itself.

    :raises Unsealable: MAILER_SECRET holds none of the keys that sealed one
    """
    purpose = _purpose(provider)
    return [unseal(keys, row.secret, purpose=purpose).decode() for row in store.webhooks(session, provider)]


def address(provider: Provider, public_url: str, secret: str = "") -> str:
    """Return what to enter at the provider; without ``secret`` only where it leads."""
    url = f"{public_url}/webhooks/{provider.name}"
    if not secret or provider.secret in (Secret.GIVEN, Secret.TOKEN):
        return url
    if provider.secret is Secret.PATH:
        return f"{url}/{secret}"
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{USER}:{secret}@{parts.netloc}"))


def _purpose(provider: str) -> str:
    return f"webhook {provider}"


def _note(session: Session, verb: str, row: Webhook, now: datetime, actor: Actor) -> None:
    subject, facts = f"webhook {row.id}", {"provider": row.provider}
    audit.record(session, now=now, actor=actor, action=f"webhook.{verb}", subject=subject, after=facts)
