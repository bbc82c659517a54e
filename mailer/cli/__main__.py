"""``python -m mailer.cli``: the same as ``mailer``."""

from mailer.cli import main

main()
