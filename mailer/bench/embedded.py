"""The embedded worker alone, as ``mailer serve`` runs it: ``python -m mailer.bench.embedded``."""

from __future__ import annotations

import logging
import signal
import threading

from mailer import settings
from workers.embedded import Embedded


def main() -> None:
    """Work until SIGTERM."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: over.set())
    logging.basicConfig(level=logging.WARNING)
    worker = Embedded(settings.load())
    worker.start()
    print("embedded worker is ready", flush=True)
    over.wait()
    worker.stop()


if __name__ == "__main__":
    main()
