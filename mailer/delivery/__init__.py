"""Delivery: campaigns, the ledger, and letters on their way.

Decides: a campaign's states and approval, the ledger written at launch, which batch a worker takes next,
what a relay's reply means for a letter, when it is tried again. Does not decide what news from outside
means for an address: it writes events, feedback applies them.

RFC 5321 (SMTP), 2920 (pipelining), 3207 (STARTTLS), 4954 (AUTH), 6531 (SMTPUTF8), 3463 (status codes).
"""
