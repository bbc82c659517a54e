"""Changes to many rows at once: shown first, kept row by row, taken back where nothing moved since.

Bulk changes, merged people, merged and closed partners all write through ``journal``.
"""
