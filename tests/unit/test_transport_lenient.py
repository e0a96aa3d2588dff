"""Header names that are no UTF-8 are read past, whatever the compression; everything else stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

import stream.transport.thread  # noqa: F401 - installs
from stream.transport.lenient import LenientRecords


def batch(first: int, names: list[str], compression: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 20)
    for i, name in enumerate(names):
        builder.append(i, 1000 + i, b"k", b"v%d" % i, [(name, b"h"), ("none", None)])
    data = bytearray(builder.build())
    data[:8] = first.to_bytes(8, "big")
    return bytes(data)


def spoiled(data: bytes) -> bytes:
    """The same batch, its name XX made unreadable, and its checksum right again."""
    bad = bytearray(data.replace(b"XX", b"\xff\xfe"))
    bad[17:21] = calc_crc32c(bytes(bad[21:])).to_bytes(4, "big")
    return bytes(bad)


def read(records: Any) -> list[tuple[int, int, bytes, list[Any]]]:
    found = []
    while records.has_next():
        made = records.next_batch()
        assert made.validate_crc()
        found += [(r.offset, r.timestamp, r.value, list(r.headers)) for r in made]
        assert made.next_offset == found[-1][0] + 1
    return found


@pytest.mark.parametrize("compression", [0, 1, 2, 3, 4])
def test_readable_batches_are_read_as_before(compression: int) -> None:
    data = batch(0, ["a", "é"], compression) + batch(2, ["c"], compression)
    assert read(LenientRecords(data)) == read(MemoryRecords(data))


def test_an_unreadable_name_costs_no_record() -> None:
    data = batch(0, ["a", "b"]) + spoiled(batch(2, ["c", "XX", "e"])) + batch(5, ["f"])
    with pytest.raises(UnicodeDecodeError):
        read(MemoryRecords(data))
    found = read(LenientRecords(data))
    assert [offset for offset, *_ in found] == [0, 1, 2, 3, 4, 5]
    assert found[3][1:] == (1001, b"v1", [("\ufffd\ufffd", b"h"), ("none", None)])
    assert found[4][3] == [("e", b"h"), ("none", None)]


def test_every_consumer_of_the_process_reads_so() -> None:
    assert fetcher.MemoryRecords is LenientRecords
