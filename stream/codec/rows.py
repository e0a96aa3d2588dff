"""The good rows of a chunk as transactions, decoded when somebody asks for one: most never become an alert."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import overload

import numpy as np

from stream.events import I64, Record, Transaction


class Rows(Sequence[Transaction]):
    """A sequence of n transactions.

    Parameters
    ----------
    records
        All records of the chunk.
    positions
        Positions of the good ones in it (n,).
    known
        Transactions that were decoded already, by position in the records.
    read
        Decodes a message that is known to be good.
    """

    def __init__(
        self,
        records: Sequence[Record],
        positions: I64,
        known: Mapping[int, Transaction],
        read: Callable[[bytes | None], Transaction],
    ) -> None:
        self._records, self._known, self._read = records, known, read
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, i: int) -> Transaction: ...

    @overload
    def __getitem__(self, i: slice) -> list[Transaction]: ...

    def __getitem__(self, i: int | slice) -> Transaction | list[Transaction]:
        if isinstance(i, slice):
            return [self[at] for at in range(*i.indices(len(self)))]
        at = int(self.positions[i])
        row = self._known.get(at)
        return self._read(self._records[at].value) if row is None else row

    def record(self, i: int) -> Record:
        """The record of row i."""
        return self._records[int(self.positions[i])]

    def append_times(self) -> I64:
        """The log's append time of each record, ms, -1 where it has none (n,)."""
        stamps = [record.timestamp for record in self._records]
        if None in stamps:
            stamps = [-1 if stamp is None else stamp for stamp in stamps]
        times = np.array(stamps, np.int64)
        return times if len(times) == len(self.positions) else times[self.positions]

    def kept(self, keep: I64 | slice) -> Rows:
        """The rows at positions `keep` alone."""
        return Rows(self._records, self.positions[keep], self._known, self._read)
