"""The state of one source partition: a table per kind of entity, small states, and how far the log was applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream.state.sweep import Sweep
from stream.state.table import CAPACITY, Table

NO_WATERMARK = -(1 << 62)


class Small(Protocol):
    """State that is small enough to be copied whole."""

    def dump(self) -> bytes:
        """Everything, as bytes; equal state gives equal bytes."""

    def load(self, data: bytes) -> None:
        """Become what was dumped."""


class Arena:
    """State of a partition, its watermark and its place in the logs.

    Parameters
    ----------
    layouts
        Row layout by name of the entity (see `Table`).
    small
        Small states by name; the partials of merchants and terminals are ``open``.
    capacity
        Rows that each table reserves.
    """

    def __init__(
        self,
        layouts: Mapping[str, np.dtype[Any]],
        small: Mapping[str, Small] | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self.tables: dict[str, Table] = {name: Table(dtype, capacity) for name, dtype in layouts.items()}
        self.small: dict[str, Small] = dict(small or {})
        self.next_offset = 0
        self.side_offset = 0
        self.clock: npt.NDArray[np.int64] = np.full(1, NO_WATERMARK, np.int64)
        self._sweep: Sweep | None = None
        self._evicting = 0

    @property
    def watermark(self) -> int:
        """Newest event time that counts, ms; far below zero before the first."""
        return int(self.clock[0])

    @watermark.setter
    def watermark(self, value: int) -> None:
        self.clock[0] = value

    @property
    def open(self) -> Any:
        """The counters of hours that are not closed yet (`stream.entities`)."""
        return self.small["open"]

    @property
    def live(self) -> int:
        """Rows of the first table: the entity that state is kept of."""
        return next(iter(self.tables.values())).live

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum(table.nbytes for table in self.tables.values())

    def begin_sweep(self) -> Sweep:
        """Begin to copy what changed since the last sweep, as it stands now.

        Raises
        ------
        RuntimeError
            The last sweep was neither finished nor aborted.
        """
        if self._sweep is not None:
            raise RuntimeError("a sweep of this arena is still running")
        small = {name: state.dump() for name, state in self.small.items()}
        self._sweep = Sweep(self, self.next_offset, self.side_offset, self.watermark, small)
        self._sweep.start()
        return self._sweep

    def swept(self, sweep: Sweep) -> None:
        """Take note that a sweep has ended."""
        if self._sweep is sweep:
            self._sweep = None

    def evict(self, before_ms: Mapping[str, int], limit: int) -> int:
        """Free up to `limit` rows of the next table that were last seen before its time; return how many."""
        names = [name for name in self.tables if name in before_ms]
        if not names:
            return 0
        self._evicting = (self._evicting + 1) % len(names)
        name = names[self._evicting]
        return self.tables[name].evict(before_ms[name], limit)
