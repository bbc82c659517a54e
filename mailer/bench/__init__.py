"""The bench: the real send path, measured and broken on a ground of its own, never on live tables.

``ground`` is the throw-away database, broker and workers; ``round_`` what is sent over it; ``plain`` and
``source`` what it is compared with; ``sink`` takes the letters. Reading returned mail needs no ground:
``classify`` holds it against ``labels`` and ``bars``, ``hostile`` tries to hurt it, ``stopwatch`` times it.
"""
