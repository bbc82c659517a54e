"""Diagnosis: what a mail system's words mean.

Decides, from (provider, reply code, enhanced status, text, command), one closed category, whether the
failure is permanent, and whether the address itself is dead. One judgement serves a reply heard while
sending and a report that comes back days later.

It does not decide what follows: how often a letter is tried again belongs to delivery, whom to silence to
feedback's policy. It reads no mail (``feedback.message`` does) and holds no state: no I/O, no clock.

What systems say is data, asked in this order: ``own`` is what an administrator knows, ``rules_china`` and
``rules_world`` what providers document of their replies, ``first_heard``, ``about_us``, ``about_the_letter``,
``about_them`` and ``machines`` what the world's mail systems say in their languages, ``status`` the meaning
of RFC 3463 codes.
``providers`` tells whose words they are; ``rules`` and ``phrases`` ask the tables, ``matching`` finds words.

RFC 5321 (replies), RFC 3463 with its registry RFC 5248 (enhanced status), RFC 7372 and 7505 (later codes).
"""

from mailer.diagnosis.judgement import best_status, diagnose, diagnose_reply
from mailer.diagnosis.own import OwnRule, RuleRefused
from mailer.diagnosis.providers import provider_of, providers
from mailer.diagnosis.reply import Reply, command_within, read_reply
from mailer.diagnosis.verdict import Category, Diagnosis

__all__ = [
    "Category",
    "Diagnosis",
    "OwnRule",
    "Reply",
    "RuleRefused",
    "best_status",
    "command_within",
    "diagnose",
    "diagnose_reply",
    "provider_of",
    "providers",
    "read_reply",
]
