"""The lines that the tests wait for: one JSON object each, on standard output."""

import json
import time


def ready(**details):
    """Tells that the peer listens."""
    print(json.dumps({"ready": True, **details}), flush=True)


def exchange(number, started, **outcome):
    """Tells how exchange `number` went; `started` is from time.monotonic()."""
    ms = round((time.monotonic() - started) * 1000, 1)
    print(json.dumps({"exchange": number, **outcome, "ms": ms}), flush=True)
