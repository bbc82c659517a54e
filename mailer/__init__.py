"""mailer: a coalition's newsletter, from the written issue to the report of what arrived.

``ls mailer/`` reads like the journey of an issue: content is written and compiled, an audience is
chosen, issues are approved, delivery sends them, feedback and tracking hear what comes back, reports
add it up. Imports run one way along that journey; ``tests/test_house.py`` checks it.
"""

__version__ = "0.1.0"
