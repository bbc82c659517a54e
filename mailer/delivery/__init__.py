"""Delivery: campaigns, the ledger, and letters on their way.

Decides: a campaign's states and approval, the ledger written at launch, which batch a worker takes next and
how fast its letters may go, who signs them, which relay takes them, what a relay's reply means for a letter,
when it is tried again. Does not decide what news from outside means for an address: it writes events,
feedback applies them.

RFC 5321 (SMTP), 2920 (pipelining), 3030 (chunking), 3207 (STARTTLS), 4954 (AUTH), 6531 (SMTPUTF8), 3463
(status codes), 6749 (OAuth 2.0), 6376 and 8463 (DKIM).
"""

from mailer.delivery import behaviour as behaviour  # whoever knows delivery knows its words
