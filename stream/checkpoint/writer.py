"""One sweep of one partition, from the marks in memory to a committed transaction."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stream.checkpoint import keys
from stream.checkpoint.block import encode, encode_bytes
from stream.checkpoint.ledger import Ledger
from stream.checkpoint.marker import Identity, Marker, SmallMark, TipMark
from stream.state import Block, Sweep

PIECE_BYTES = 512 << 10  # rows copied between two batches

Record = tuple[bytes, bytes | None]


class Log(Protocol):
    """Where a sweep goes; `producer.Producer` in production."""

    async def begin(self) -> None:
        """Begin a transaction."""

    async def send(self, records: list[Record]) -> None:
        """Write in order."""

    async def commit(self) -> None:
        """Make it count."""

    async def abort(self) -> None:
        """Take it back."""


class Exclusive(Protocol):
    """Runs work that changes state between two batches (`engine.Engine.exclusive`)."""

    def __call__(self, work: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Run it."""


@dataclass(slots=True)
class Written:
    """What a sweep wrote and took."""

    marker: Marker
    ledger: Ledger
    blocks: int
    size: int
    seconds: float


async def write(
    sweep: Sweep,
    log: Log,
    ledger: Ledger,
    *,
    identity: Identity,
    tip: TipMark,
    committed: int,
    exclusive: Exclusive,
    pause: Callable[[int], Awaitable[None]],
) -> Written:
    """Write all that a sweep takes, then its marker; on any failure the sweep and the transaction are taken back.

    Parameters
    ----------
    sweep
        Just begun; the group's offset has passed its own.
    ledger
        What the log holds so far; not changed.
    committed
        The group's offset now.
    exclusive
        How to reach the state.
    pause
        Awaited after each piece with its bytes of rows, so that the alerts do not wait behind the sweep.

    Returns
    -------
    Written
        With the ledger of what the log holds now.
    """
    began = time.monotonic()
    noted, size, blocks = ledger.copy(), 0, sweep.total
    try:
        await log.begin()
        while not sweep.done:
            taken = await exclusive(sweep.take, PIECE_BYTES)
            records = await asyncio.to_thread(_encode, taken, noted)
            size += _size(records)
            await log.send(records)
            await pause(sum(block.words.nbytes for block in taken))
        records, small = await asyncio.to_thread(_rest, sweep, noted)
        marker = Marker(
            offset=sweep.next_offset,
            committed=committed,
            side_offset=sweep.side_offset,
            watermark=sweep.watermark,
            alerts=tip,
            identity=identity,
            incarnation=noted.incarnation,
            tables=noted.marks(sweep.used, sweep.blocks),
            small=small,
            written_at=int(time.time() * 1000),
        )
        records.append((keys.MARKER, marker.encode()))
        await log.send(records)
        await log.commit()
    except BaseException:
        await exclusive(sweep.abort)
        await log.abort()
        raise
    await exclusive(sweep.finish)
    return Written(marker, noted, blocks, size + _size(records), time.monotonic() - began)


def _encode(blocks: Sequence[Block], ledger: Ledger) -> list[Record]:
    records: list[Record] = []
    for block in blocks:
        value, crc = encode(block.words, block.rows, ledger.incarnation)
        ledger.note(block.table, block.number, crc, len(value))
        records.append((keys.block_key(block.table, block.number), value))
    return records


def _rest(sweep: Sweep, ledger: Ledger) -> tuple[list[Record], dict[str, SmallMark]]:
    """Small states, and tombstones for what an earlier incarnation left in the log."""
    records: list[Record] = []
    marks: dict[str, SmallMark] = {}
    for name, data in sweep.small.items():
        pieces = [data[at : at + keys.PIECE_BYTES] for at in range(0, len(data), keys.PIECE_BYTES)]
        packed = [encode_bytes(piece, ledger.incarnation)[0] for piece in pieces]
        ledger.small[name] = sum(map(len, packed))
        records += [(keys.piece_key(name, number), piece) for number, piece in enumerate(packed)]
        before = max(ledger.pieces.get(name, 0), ledger.stale_pieces.pop(name, 0))
        records += [(keys.piece_key(name, number), None) for number in range(len(pieces), before)]
        ledger.pieces[name] = len(pieces)
        marks[name] = SmallMark(len(pieces), len(data), zlib.crc32(data))
    for name, count in ledger.stale.items():
        records += [(keys.block_key(name, number), None) for number in range(sweep.blocks.get(name, 0), count)]
    for name, count in ledger.stale_pieces.items():
        records += [(keys.piece_key(name, number), None) for number in range(count)]
    ledger.stale, ledger.stale_pieces = {}, {}
    return records, marks


def _size(records: Sequence[Record]) -> int:
    return sum(len(key) + len(value or b"") for key, value in records)
