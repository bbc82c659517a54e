"""Accounts: who may do what, and who did what.

Decides: users, roles, passwords, sign-in links, sessions, the audit log. Does not decide which rows a
partner manager sees: ``audience`` filters those in one place.
"""
