"""Send prepared messages when they are due, and stop cleanly when told to."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64] | NDArray[np.float64]

CHUNK = 8_192
TICK_SECONDS = 0.01


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the former handlers come back at the end."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def due_chunks(
    due: Array | None, total: int, stop: threading.Event, *, begin: float | None = None
) -> Iterator[tuple[int, int]]:
    """Ranges [low, high) of messages whose time has come, at most `CHUNK` each.

    Parameters
    ----------
    due : numpy.ndarray, shape (total,), or None
        Seconds after `begin` at which each message is due, ascending; None: all at once.
    total : int
        Number of messages.
    stop : threading.Event
        Ends the iteration when set.
    begin : float, optional
        `time.monotonic()` from which `due` counts; now by default.
    """
    begin, low = time.monotonic() if begin is None else begin, 0
    while low < total and not stop.is_set():
        ready = total if due is None else int(np.searchsorted(due, time.monotonic() - begin, side="right"))
        if ready <= low:
            stop.wait(TICK_SECONDS)
            continue
        high = min(ready, low + CHUNK)
        yield low, high
        low = high


def due_times(event_ms: Array, *, rate: float, speed: float) -> Array | None:
    """Seconds at which messages are due: by a fixed rate, by event time compressed by `speed`, or None at once."""
    if rate > 0:
        return np.arange(len(event_ms)) / rate
    if speed > 0 and len(event_ms):
        return (event_ms - event_ms[0]) / 1000 / speed
    return None


class Progress:
    """A line on stderr every few seconds.

    Parameters
    ----------
    total : int
        Number of messages to come, 0 where it is not known.
    quiet : bool
    """

    def __init__(self, total: int, quiet: bool) -> None:
        self._total, self._quiet = total, quiet
        self._begin = self._spoken = time.monotonic()
        self.sent = 0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._begin

    @property
    def rate(self) -> float:
        """Messages a second since the start."""
        return self.sent / max(self.seconds, 1e-9)

    def add(self, number: int, where: Callable[[], str]) -> None:
        """Count messages; say so from time to time."""
        self.sent += number
        if not self._quiet and time.monotonic() - self._spoken >= 2.0:
            self._spoken = time.monotonic()
            of = f" of {self._total:,}" if self._total else ""
            sys.stderr.write(f"sent {self.sent:,}{of} transactions, {self.rate:,.0f}/s, event time {where()}\n")
            sys.stderr.flush()
