"""Time that passes only when told, one event loop per member of the group, and threads that are none."""

from __future__ import annotations

import asyncio
import selectors
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

QUANTUM = 0.05


@dataclass
class Clock:
    """Seconds that everybody agrees on."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class ToldLoop(asyncio.SelectorEventLoop):
    """An event loop on a told clock, run until nothing is left to do at this moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls = 0
        super().__init__(selectors.SelectSelector())

    def time(self) -> float:
        return self._clock.now

    def call_soon(self, *args: Any, **kwargs: Any) -> asyncio.Handle:
        self._calls += 1
        return super().call_soon(*args, **kwargs)

    def run_ready(self) -> None:
        """Turn until a turn asks for no other; timers that are due now fire."""
        quiet = 0
        while quiet < 2:
            before = self._calls
            super().call_soon(self.stop)
            self.run_forever()
            quiet = quiet + 1 if self._calls == before else 0

    def end(self) -> None:
        """Cancel what is left and close."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        self.run_ready()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()
        self.close()


class AtOnce(Executor):
    """Runs work where it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


@contextmanager
def told_time(clock: Clock, **classes: type) -> Iterator[None]:
    """Put the clock in the place of `time`, and the classes in that of their namesakes, in all of the product."""
    told = SimpleNamespace(monotonic=clock, time=clock, perf_counter=clock)
    undo: list[tuple[Any, str, Any]] = []
    for module in [m for name, m in list(sys.modules.items()) if name.startswith("stream.") and m is not None]:
        if getattr(module, "time", None) is time:
            undo.append((module, "time", time))
            module.time = told  # type: ignore[attr-defined]
        for name, replacement in classes.items():
            if hasattr(module, name):
                undo.append((module, name, getattr(module, name)))
                setattr(module, name, replacement)
    try:
        yield
    finally:
        for module, name, original in undo:
            setattr(module, name, original)
