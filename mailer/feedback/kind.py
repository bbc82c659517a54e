"""What a returned mail can be."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a returned mail is. The vocabulary is closed: scripts depend on it."""

    BOUNCE = "bounce"
    DELAY = "delay"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    CHALLENGE = "challenge"  # "click here to prove that you are a person"
    DELIVERED = "delivered"
    ORDINARY = "ordinary"
