"""What is known of a provider: how it proves itself, and how its news is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mailer.feedback.webhooks.node import Node
from mailer.feedback.webhooks.proof import Check
from mailer.feedback.webhooks.told import Read
from mailer.sentence import Sentence


class Secret(StrEnum):
    """Where a webhook's secret comes from, and where it goes."""

    GIVEN = "given"  # the provider shows it
    BASIC = "basic"  # we make it: the password in the webhook's address
    TOKEN = "token"  # noqa: S105  we make it: the provider asks for it in a field of its own
    PATH = "path"  # we make it: the end of the webhook's address


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider. ``name`` stands in addresses and rows, ``title`` is how people know it.

    ``asks`` says where its people find the secret, or where the made one goes; ``fits`` whether a given one
    can be it. ``confirms`` returns the address that a post asks us to fetch before the provider sends
    anything else, "" for all other posts. ``token`` returns what is good for one post only, where the proof
    does not cover the news itself.
    """

    name: str
    title: str
    secret: Secret
    check: Check
    read: Read
    asks: Sentence
    fits: Callable[[str], bool] = bool
    confirms: Callable[[Node], str] = lambda _post: ""
    token: Callable[[Node], str] = lambda _post: ""
