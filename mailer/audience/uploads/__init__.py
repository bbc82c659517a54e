"""Uploads: a file of people on its way in through a page: kept for a day, looked at, tried, then imported.

Rows are the truth: a page says what is to happen next, ``steps.work`` does it in a worker, and whoever finds
a step that was begun and not finished goes on with it. What becomes of people is ``audience.imports``.
"""
