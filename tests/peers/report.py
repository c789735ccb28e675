"""The lines that the tests wait for: one JSON object each, on standard output."""

import json
import time


def line(**details):
    """Tells that something happened."""
    print(json.dumps(details), flush=True)


def ready(**details):
    """Tells that the peer listens."""
    line(ready=True, **details)


def exchange(number, started, **outcome):
    """Tells how exchange `number` went; `started` is from time.monotonic()."""
    line(exchange=number, **outcome, ms=round((time.monotonic() - started) * 1000, 1))
