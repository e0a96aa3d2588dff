"""Whether state is small enough to move: sweeps, log, load and replay of many cards through a real broker."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 1024
ZIPF = 1.2
BLOCK = 500_000  # transactions of the past that are in memory at once


class Stall:
    """How long the work between two batches took, ms."""

    def __init__(self) -> None:
        self.ms: list[float] = []

    async def __call__(self, work: Any, *args: Any) -> Any:
        begun = time.perf_counter()
        result = work(*args)
        self.ms.append((time.perf_counter() - begun) * 1e3)
        return result


class Bank:
    """A partition of many cards, and transactions that keep coming.

    Parameters
    ----------
    cards, history
        How many, and transactions of each on average before the first sweep.
    zipf
        Whether a few cards have most of the transactions to come.
    """

    def __init__(self, cards: int, history: int, zipf: bool) -> None:
        from benchmarks.features import DAY, START, _columns
        from stream.advance import Book, advance, new_arena

        self._columns, self._advance, self._book = _columns, advance, Book()
        self._cards, self._zipf, self._rng = cards, zipf, np.random.default_rng(11)
        self.arena, self._now = new_arena(), START
        n, parts = cards * history, max(cards * history // BLOCK, 1)
        for _ in range(parts):
            self._move(_columns(self._rng, n // parts, self._now, 10 * DAY // parts, cards))
            self._now += 10 * DAY // parts

    def _move(self, columns: Any) -> None:
        self._advance(self.arena, columns, self._book, update_only=True)
        self.arena.next_offset += len(columns)

    def live(self, n: int, rate: float) -> Any:
        """The next n transactions at so many a second of event time."""
        span = max(1, int(n / rate * 1000))
        columns = self._columns(self._rng, n, self._now, span, self._cards)
        if self._zipf:
            card = (self._rng.zipf(ZIPF, n) % self._cards + 1).astype(np.uint64)
            columns.card_key = card * np.uint64(0x9E3779B97F4A7C15)
        self._now += span
        return columns


async def _pace(bank: Bank, rate: float, spans: list[float], until: float) -> int:
    """Batches at a steady rate until a time (s, monotonic), each no sooner than it is due; µs of each go to `spans`."""
    columns, count = bank.live(int((until - time.monotonic()) * rate) + BATCH, rate), 0
    from stream.replay import part

    began = time.monotonic()
    while time.monotonic() < until and count + BATCH <= len(columns):
        due = began + count / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        begun = time.perf_counter()
        bank._move(part(columns, count, count + BATCH))
        spans.append((time.perf_counter() - begun) * 1e6)
        count += BATCH
    return count


async def _measure(bootstrap: str, topic: str, bank: Bank, rounds: int, rate: float, every_s: float) -> dict[str, Any]:
    from aiokafka import AIOKafkaConsumer

    from stream.advance import new_arena
    from stream.checkpoint import loader, writer
    from stream.checkpoint.keeper import _Pace
    from stream.checkpoint.ledger import fresh
    from stream.checkpoint.marker import Identity, TipMark
    from stream.checkpoint.producer import Producer
    from stream.checkpoint.topic import log_bytes
    from stream.groupless import stop
    from stream.state.compare import compare

    to, ledger, stall = Producer(bootstrap, topic, 0, f"bench-{topic}"), fresh(None), Stall()
    await to.start()
    identity, tip = Identity("bench", "bench", 1, "bench", "", ""), TipMark(0, 0, "", -1)
    quiet: list[float] = []
    sweeping: list[float] = []
    sweeps: list[dict[str, float]] = []
    for number in range(rounds + 1):
        sweep = bank.arena.begin_sweep()
        raw = sum(t.used * t.dtype.itemsize for t in bank.arena.tables.values()) if number == 0 else 0
        begun = time.monotonic()
        live = asyncio.create_task(_pace(bank, rate, sweeping, begun + every_s))
        written = await writer.write(
            sweep, to, ledger, identity=identity, tip=tip, committed=sweep.next_offset, exclusive=stall,
            pause=_Pace(sweep.total, every_s, 1),
        )  # fmt: skip
        took = time.monotonic() - begun
        ledger = written.ledger
        during = len(sweeping)
        await live
        quiet += sweeping[during:]
        del sweeping[during:]
        sweeps.append({"seconds": took, "mb": written.size / 1e6, "blocks": written.blocks, "raw_mb": raw / 1e6})
    await _advance_rest(bank)
    log, live_bytes = await asyncio.to_thread(log_bytes, bootstrap, topic, {0}), ledger.live
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="none")
    await consumer.start()
    try:
        final = await writer.write(
            bank.arena.begin_sweep(), to, ledger, identity=identity, tip=tip, committed=bank.arena.next_offset,
            exclusive=stall, pause=_Pace(0, every_s, 1),
        )  # fmt: skip
        found = (await loader.find(consumer, topic, [0]))[0]
        arena = new_arena()
        loaded = await loader.load(consumer, topic, 0, found, arena)
        same = compare(arena, bank.arena).equal
    finally:
        await stop(consumer)
        await to.drop()
    steady = sweeps[1:] or sweeps
    return {
        "first_sweep": sweeps[0],
        "sweep_seconds": float(np.median([s["seconds"] for s in steady])),
        "sweep_mb": float(np.median([s["mb"] for s in steady])),
        "mb_a_minute": float(np.median([s["mb"] for s in steady]) * 60 / every_s),
        "live_mb": live_bytes / 1e6,
        "log_over_live": None if log is None else log / live_bytes,
        "bytes_a_card_packed": final.ledger.live / bank.arena.live,
        "load_seconds": loaded.seconds,
        "load_mb_s": loaded.size / 1e6 / loaded.seconds,
        "equal": same,
        "piece_ms_p50": float(np.median(stall.ms)),
        "piece_ms_p99": float(np.quantile(stall.ms, 0.99)),
        "batch_us_p50": float(np.median(quiet)) if quiet else None,
        "batch_us_p50_sweeping": float(np.median(sweeping)) if sweeping else None,
        "batch_us_p99": float(np.quantile(quiet, 0.99)) if quiet else None,
        "batch_us_p99_sweeping": float(np.quantile(sweeping, 0.99)) if sweeping else None,
    }


async def _advance_rest(bank: Bank) -> None:
    """A little more, so that the last sweep has something to write."""
    bank._move(bank.live(BATCH, 20_000))


def _replay_us(bank: Bank, n: int) -> float:
    """Microseconds a transaction of state alone, as recovery applies it after decoding."""
    columns = bank.live(n, 20_000)
    begun = time.perf_counter()
    bank._move(columns)
    return (time.perf_counter() - begun) / n * 1e6


def run(cards: int, rounds: int, rate: float, every_s: float, zipf: bool, bootstrap: str | None) -> dict[str, Any]:
    """Fill a partition, sweep it again and again while it moves, load it back.

    Parameters
    ----------
    cards, rounds
        How many rows, and sweeps after the first full one.
    rate, every_s
        Transactions a second, and seconds between two sweeps.
    zipf
        A few cards have most of the transactions.
    bootstrap
        A broker; an embedded one of its own when None.

    Returns
    -------
    dict
        See the command's help.
    """
    from stream.broker import EmbeddedKafka, ensure_topics
    from stream.broker.topics import product_topics
    from stream.checkpoint.warm import warm_up
    from stream.settings import TopicSettings

    warm_up()
    with tempfile.TemporaryDirectory(prefix="fraudstream-state-") as folder:
        broker = None if bootstrap else EmbeddedKafka(Path(folder), owned=True)
        address = broker.start() if broker is not None else str(bootstrap)
        try:
            topic = f"bench.checkpoints.{time.time_ns()}"
            ensure_topics(address, {topic: product_topics(1, TopicSettings(checkpoints=topic))[topic]})
            begun = time.perf_counter()
            bank = Bank(cards, 3, zipf)
            filled = time.perf_counter() - begun
            result = asyncio.run(_measure(address, topic, bank, rounds, rate, every_s))
            result["replay_us"] = _replay_us(bank, 200_000)
        finally:
            if broker is not None:
                broker.stop()
    said = {"cards": cards, "rounds": rounds, "rate": rate, "every_s": every_s, "zipf": zipf, "fill_seconds": filled}
    return {"bench": "state", **said, "rows": bank.arena.live, **result}


def describe(result: dict[str, Any]) -> list[str]:
    """Lines for people."""
    first, ratio = result["first_sweep"], result["log_over_live"]
    kind = "by Zipf's law" if result["zipf"] else "uniform"
    return [
        f"{result['rows']:,} cards, {result['rate']:,.0f} transactions a second ({kind}), a sweep every "
        f"{result['every_s']:g} s",
        f"first sweep    {first['seconds']:.1f} s, {first['mb']:.0f} MB packed of {first['raw_mb']:.0f} MB of rows",
        f"later sweeps   {result['sweep_seconds']:.1f} s, {result['sweep_mb']:.0f} MB: "
        f"{result['mb_a_minute']:.0f} MB a minute",
        f"log over live  {'unknown' if ratio is None else f'{ratio:.2f}'} ({result['live_mb']:.0f} MB count)",
        f"load           {result['load_seconds']:.1f} s, {result['load_mb_s']:.0f} MB/s; "
        f"{'equal' if result['equal'] else 'NOT EQUAL'} row by row",
        f"replay         {result['replay_us']:.2f} us a transaction after decoding",
        f"piece          {result['piece_ms_p50']:.2f} ms between two batches (p99 {result['piece_ms_p99']:.2f})",
        f"batch of {BATCH}  {_us(result['batch_us_p50'])} us, while a sweep runs "
        f"{_us(result['batch_us_p50_sweeping'])} (p99 {_us(result['batch_us_p99'])}, "
        f"{_us(result['batch_us_p99_sweeping'])})",
    ]


def _us(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
