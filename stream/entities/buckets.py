"""An hour of one partition as bytes: what workers tell each other about merchants and terminals.

A bucket may be told in several parts, so that no record grows beyond a megabyte. Layout of one part, little-endian:
magic, span, hour, part, parts, side, topic hash, rows; then the kinds (1 byte each), the keys (8 bytes each), and the
five counters as zigzag varints, row by row. Equal buckets give equal bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from stream.codec.native import native_cached
from stream.entities.hours import DAY_HOURS
from stream.errors import FraudstreamError
from stream.events import I64, U8, U64

COUNTERS = 5
COUNT, NEW, DECLINES, AMOUNT, FRAUDS = range(COUNTERS)
PART_ROWS = 12_288  # at most 59 bytes each
_HEAD = struct.Struct("<4sBqHHqqI")
_MAGIC = b"FSB1"
HOURLY, DAILY = 1, DAY_HOURS
_VARINT_MAX = 10
FARTHEST = 1 << 28  # hours from the epoch, beyond every date there is


class BucketError(FraudstreamError):
    """Bytes that are no bucket."""


@dataclass(frozen=True, slots=True, eq=False)
class Bucket:
    """What one partition counted in one hour (or, told once more as a sum, in one day).

    Parameters
    ----------
    hour
        Hours since the epoch; of a day its first.
    kinds, keys
        Entity of each row (m,): position of its kind, never falling, and 64-bit hash.
    counts
        Attempts, of them by cards new to the entity, declined ones, approved spend in minor units, frauds (m, 5).
    side
        Offset of the first feedback record that this hour knew nothing of.
    span
        Hours that it sums: 1, or 24 for a day.
    """

    hour: int
    kinds: U8
    keys: U64
    counts: I64
    side: int = 0
    span: int = HOURLY

    def __len__(self) -> int:
        return len(self.keys)

    def ordered(self) -> Bucket:
        """The same, sorted by kind and key; rows of one entity are summed, rows without any count are left out."""
        order = np.lexsort((self.keys, self.kinds))
        kinds, keys, counts = self.kinds[order], self.keys[order], self.counts[order]
        if len(keys):
            begins = np.flatnonzero(np.r_[True, (np.diff(keys) != 0) | (np.diff(kinds) != 0)])
            kinds, keys, counts = kinds[begins], keys[begins], np.add.reduceat(counts, begins, axis=0)
            some = counts.any(axis=1)
            kinds, keys, counts = kinds[some], keys[some], counts[some]
        return Bucket(self.hour, kinds, keys, counts, self.side, self.span)


@dataclass(frozen=True, slots=True)
class Part:
    """One record's share of a bucket."""

    number: int
    parts: int
    topic: int
    bucket: Bucket


@dataclass(slots=True)
class Assembler:
    """Joins the parts of one partition's buckets, in whatever order they come."""

    _open: dict[tuple[int, int], dict[int, Part]] = field(default_factory=dict)

    def add(self, part: Part) -> Bucket | None:
        """Take a part; the whole bucket once its last part is there."""
        if part.parts == 1:
            return part.bucket
        place = (part.bucket.span, part.bucket.hour)
        known = self._open.setdefault(place, {})
        known[part.number] = part
        if len(known) < part.parts:
            return None
        del self._open[place]
        pieces = [known[number].bucket for number in sorted(known)]
        return Bucket(
            part.bucket.hour,
            np.concatenate([piece.kinds for piece in pieces]),
            np.concatenate([piece.keys for piece in pieces]),
            np.concatenate([piece.counts for piece in pieces]),
            part.bucket.side,
            part.bucket.span,
        )


@native_cached
def _write(values: I64, out: U8) -> int:
    at = 0
    for i in range(len(values)):
        value = np.uint64((values[i] << 1) ^ (values[i] >> 63))
        while value >= np.uint64(128):
            out[at] = np.uint8((value & np.uint64(127)) | np.uint64(128))
            value >>= np.uint64(7)
            at += 1
        out[at] = np.uint8(value)
        at += 1
    return at


@native_cached
def _read(data: U8, out: I64) -> int:
    """Read len(out) varints; return the bytes used, or -1 when the data end or a number is too long."""
    at, n = 0, len(data)
    for i in range(len(out)):
        value, shift = np.uint64(0), np.uint64(0)
        while True:
            if at >= n or shift > np.uint64(63):
                return -1
            byte = np.uint64(data[at])
            at += 1
            value |= (byte & np.uint64(127)) << shift
            if byte < np.uint64(128):
                break
            shift += np.uint64(7)
        out[i] = np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))
    return at


def encode_bucket(bucket: Bucket, topic: int = 0, part_rows: int = PART_ROWS) -> list[bytes]:
    """Bytes of a bucket, sorted, one item per record to be written.

    Parameters
    ----------
    topic
        Hash of the source topic's id, so that buckets of a topic of the same name made anew are told apart.
    part_rows
        Rows that a record may hold.
    """
    bucket = bucket.ordered()
    parts = max(1, -(-len(bucket) // part_rows))
    told = []
    for number in range(parts):
        at = slice(number * part_rows, (number + 1) * part_rows)
        kinds, keys = np.ascontiguousarray(bucket.kinds[at]), np.ascontiguousarray(bucket.keys[at])
        counts = np.ascontiguousarray(bucket.counts[at], np.int64).reshape(-1)
        packed = np.empty(len(counts) * _VARINT_MAX, np.uint8)
        used = _write(counts, packed)
        head = _HEAD.pack(_MAGIC, bucket.span, bucket.hour, number, parts, bucket.side, topic, len(keys))
        told.append(head + kinds.tobytes() + keys.astype("<u8").tobytes() + packed[:used].tobytes())
    return told


def decode_bucket(data: bytes) -> Part:
    """Read one record of `encode_bucket`.

    Raises
    ------
    BucketError
        The bytes are something else, or damaged.
    """
    if len(data) < _HEAD.size:
        raise BucketError(f"a profile record of {len(data)} bytes is too short to be one")
    magic, span, hour, number, parts, side, topic, rows = _HEAD.unpack_from(data)
    if magic != _MAGIC or span not in (HOURLY, DAILY) or not 0 <= number < parts or abs(hour) > FARTHEST:
        raise BucketError("a profile record does not begin as one")
    if len(data) < _HEAD.size + rows * (9 + COUNTERS):
        raise BucketError("a profile record is shorter than its rows")
    kinds = np.frombuffer(data, np.uint8, rows, _HEAD.size)
    keys = np.frombuffer(data, "<u8", rows, _HEAD.size + rows).astype(np.uint64)
    counts = np.empty(rows * COUNTERS, np.int64)
    packed = np.frombuffer(data, np.uint8, -1, _HEAD.size + 9 * rows)
    if _read(packed, counts) != len(packed):
        raise BucketError("the counters of a profile record are damaged")
    return Part(number, parts, topic, Bucket(hour, kinds, keys, counts.reshape(rows, COUNTERS), side, span))
