"""Audience: who reads, who looks after them, and who must not be written to.

Decides: partners, subscribers and their names, memberships, subscriptions and consent, topics, segments,
suppressions, import and export. Does not decide: what is written (issues) or when it is sent (delivery).
A partner manager's view is filtered here, in one place.
"""
