"""Mailboxes of others that are read for what came back: IMAP and POP3, any number of them.

Decides how a mailbox is reached, what in it is new, and what is done to a mail once it is stored: moved,
marked, deleted or left. What a mail means is not decided here: each goes to ``feedback.record.hear``.

A mail is touched only after the transaction that stored it has committed. One that is nobody's business of
ours, ordinary and without a token, stays as it is: people may share the mailbox. One mailbox is read by one
process at a time, by a lease in its row; read twice, a mail changes nothing.

RFC 3501 (IMAP), 2177 (IDLE), 2971 (ID), 6851 (MOVE), 4315 (UIDPLUS), 1939 (POP3), 2595 (STLS), 8314 (TLS).
"""
