"""Feedback: what comes back, put against the letter it speaks of, and what follows from it.

Decides what a returned mail is (``message``), which delivery it belongs to, and what the policy makes of it:
an event, a suppression, or a line on a person's list. It does not decide what a mail system's words mean
(``mailer.diagnosis`` does), nor when a letter is tried again (delivery).

RFC 3464 and 6533 (delivery status notifications), RFC 3463 (their status codes), RFC 5965 (complaints),
RFC 3834 (automatic answers), RFC 8058 (leaving by one click).
"""
