"""Logging that a broker outage does not drown."""

from __future__ import annotations

import logging
import time


class FewRepeats(logging.Filter):
    """Lets each message of the Kafka clients through once in `interval_s`; they repeat it with every retry."""

    def __init__(self, interval_s: float = 10.0) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass what is ours, and what was not said lately."""
        if not record.name.startswith(("aiokafka", "kafka", "faust", "mode")):
            return True
        key = (record.name, str(record.msg))
        now = time.monotonic()
        if now - self._told.get(key, -self._interval_s) < self._interval_s:
            return False
        self._told[key] = now
        return True
