"""How aiokafka's fetched bytes become records here: past header names that are no UTF-8, and without a wrapper each.

Kafka stores header names that are no UTF-8, and aiokafka 0.14.0 cannot read past them: without this a single such
record stops every worker that comes to it, for good. And it wraps each record into a frozen dataclass of eleven fields,
which costs more than decoding the transaction in it; the compiled record underneath has all that we read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_HEAD, _LENGTH_AT, _MAGIC_AT = 12, 8, 16  # of a batch: offset and length, then leader epoch and magic


class LenientBuffer(bytearray):
    """Bytes whose parts become text with a mark in place of what is no UTF-8."""

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return LenientBuffer(part) if isinstance(key, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        """As `bytes.decode`, never refusing."""
        return super().decode(encoding, "replace")


class LenientBatch:
    """A batch that is read the fast way first, and again the slow and patient way when that fails."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch, self._data = batch, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            patient: Any = _DefaultRecordBatchPy(self._data)
            patient._maybe_uncompress()
            patient._buffer = LenientBuffer(patient._buffer)
            return iter(list(patient))


class LenientRecords:
    """What one fetch brought for a partition; in place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._records = MemoryRecords(data)

    def size_in_bytes(self) -> int:
        """Bytes fetched."""
        return self._records.size_in_bytes()

    def has_next(self) -> bool:
        """Whether a whole batch is left."""
        return self._records.has_next()

    def next_batch(self) -> Any:
        """The next batch, or None."""
        batch, start = self._records.next_batch(), self._at
        if batch is None:
            return None
        self._at = start + _HEAD + struct.unpack_from(">i", self._data, start + _LENGTH_AT)[0]
        if self._data[start + _MAGIC_AT] < 2:  # the old formats have no headers
            return batch
        return LenientBatch(batch, memoryview(self._data)[start : self._at])


class PlainRecords(fetcher.PartitionRecords):
    """Hands out aiokafka's compiled records (offset, timestamp, key, value, headers) as they are."""

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


def install() -> None:
    """Let every aiokafka consumer of this process read leniently and plainly."""
    fetcher.MemoryRecords = LenientRecords
    fetcher.PartitionRecords = PlainRecords
