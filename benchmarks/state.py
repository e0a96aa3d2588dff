"""Whether state is small enough to move: sweeps, log, load and replay of many cards through a real broker.

Transactions are moved through features and state at a steady rate while sweeps run and while none does, and then as
fast as one thread can; what a sweep adds to a batch's latency and takes from the throughput is the difference. All
cards lie in one partition, so that a whole sweep stands in the log before any of it can be compacted: the worst case.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 256  # transactions of a batch
ZIPF = 1.2
BLOCK = 500_000  # transactions of the past that are in memory at once
LOOK_S = 1.0  # between two looks at the log's size
FLAT_OUT_S = 3.0
FLAT_OUT = 400 * BATCH  # transactions that are drawn at once
SETTLED = 2  # sweeps after which the log's size counts


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
        from stream.features import FEATURES, SEQUENCE_CHANNELS, SEQUENCE_STEPS

        self._columns, self._advance, self._book = _columns, advance, Book()
        self._cards, self._zipf, self._rng = cards, zipf, np.random.default_rng(11)
        self.arena, self._now = new_arena(), START
        self.arena.open.keep = False  # as where closed hours are told as they close
        self._out = (
            np.empty((BATCH, len(FEATURES)), np.float32),
            np.empty((BATCH, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.float32),
        )
        n, parts = cards * history, max(cards * history // BLOCK, 1)
        for _ in range(parts):
            self._move(_columns(self._rng, n // parts, self._now, 10 * DAY // parts, cards))
            self._now += 10 * DAY // parts

    def _move(self, columns: Any) -> None:
        self._advance(self.arena, columns, self._book, update_only=True)
        self.arena.next_offset += len(columns)

    def score(self, columns: Any) -> None:
        """Move a batch of `BATCH` with all features, as a worker does."""
        self._advance(self.arena, columns, self._book, out=self._out)
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


@dataclass
class Fast:
    """Transactions moved, and the seconds of the clock and of all processors that this process took for them."""

    count: int
    seconds: float
    cpu: float

    @classmethod
    def now(cls) -> Fast:
        """As the clocks stand."""
        return cls(0, time.monotonic(), time.process_time())

    def __sub__(self, other: Fast) -> Fast:
        return Fast(self.count - other.count, self.seconds - other.seconds, self.cpu - other.cpu)

    def __add__(self, other: Fast) -> Fast:
        return Fast(self.count + other.count, self.seconds + other.seconds, self.cpu + other.cpu)

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return self.count / self.seconds


@dataclass
class Course:
    """Sweeps of one bank into one topic, and what was measured on the way.

    Attributes
    ----------
    quiet, sweeping
        From the moment a batch was due until it was done, ms, while no sweep ran and while one did.
    log
        Bytes of the log over those that count, once a second after the first sweeps.
    """

    bootstrap: str
    topic: str
    bank: Bank
    rate: float
    every_s: float
    stall: Stall = field(default_factory=Stall)
    quiet: list[float] = field(default_factory=list)
    sweeping: list[float] = field(default_factory=list)
    log: list[float] = field(default_factory=list)
    sweeps: list[dict[str, float]] = field(default_factory=list)

    async def start(self) -> None:
        """Claim the topic's only partition."""
        from stream.checkpoint.ledger import fresh
        from stream.checkpoint.producer import Producer

        self.to, self.ledger = Producer(self.bootstrap, self.topic, 0, f"bench-{self.topic}"), fresh(None)
        await self.to.start()

    async def sweep(self, every_s: float) -> dict[str, float]:
        """One sweep of what is dirty, at a worker's pace."""
        from stream.checkpoint import writer
        from stream.checkpoint.keeper import _Pace
        from stream.checkpoint.marker import Identity, TipMark

        sweep, begun = self.bank.arena.begin_sweep(), time.monotonic()
        raw = sum(t.used * t.dtype.itemsize for t in self.bank.arena.tables.values())
        written = await writer.write(
            sweep, self.to, self.ledger, identity=Identity("bench", "bench", 1, "bench", "", ""),
            tip=TipMark(0, 0, "", -1), committed=sweep.next_offset, exclusive=self.stall,
            pause=_Pace(sweep.total, every_s, 1),
        )  # fmt: skip
        self.ledger = written.ledger
        took = time.monotonic() - begun
        return {"seconds": took, "mb": written.size / 1e6, "blocks": written.blocks, "raw_mb": raw / 1e6}

    async def steady(self, rounds: int) -> None:
        """Sweep every so often while transactions come at the rate."""
        looking = asyncio.create_task(self._look())
        for _ in range(rounds + 1):
            until = time.monotonic() + self.every_s
            sweep = asyncio.create_task(self.sweep(self.every_s))
            await self._pace(until, sweep)
            self.sweeps.append(await sweep)
        looking.cancel()

    async def _pace(self, until: float, sweep: asyncio.Task[Any]) -> None:
        """Batches at a steady rate until a time (s, monotonic); none begins before it is due."""
        from stream.replay import part

        columns, count = self.bank.live(int((until - time.monotonic()) * self.rate) + BATCH, self.rate), 0
        began = time.monotonic()
        while (due := began + (count + BATCH) / self.rate) < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            spans = self.quiet if sweep.done() else self.sweeping
            self.bank.score(part(columns, count, count + BATCH))
            spans.append((time.monotonic() - due) * 1e3)
            count += BATCH

    async def _look(self) -> None:
        from stream.checkpoint.topic import log_bytes

        while True:
            await asyncio.sleep(LOOK_S)
            size = await asyncio.to_thread(log_bytes, self.bootstrap, self.topic, {0})
            if size is not None and len(self.sweeps) > SETTLED:
                self.log.append(size / self.ledger.live)

    async def flat_out(self) -> tuple[Fast, Fast]:
        """One thread at its limit without a sweep, and while one runs of all that was touched before."""
        alone = await self._fast(lambda since: since < FLAT_OUT_S)
        sweep = asyncio.create_task(self.sweep(self.every_s))
        beside = await self._fast(lambda since: not sweep.done())
        await sweep
        return alone, beside

    async def _fast(self, more: Any) -> Fast:
        from stream.replay import part

        columns, begun = self.bank.live(FLAT_OUT, self.rate), Fast.now()
        fast, drawing = Fast(0, 0.0, 0.0), Fast(0, 0.0, 0.0)
        while more(fast.seconds):
            low = fast.count % FLAT_OUT
            if not low and fast.count:
                drawn = Fast.now()
                columns = self.bank.live(FLAT_OUT, self.rate)
                drawing += Fast.now() - drawn
            self.bank.score(part(columns, low, low + BATCH))
            await asyncio.sleep(0)
            count = fast.count + BATCH
            fast = Fast.now() - begun - drawing
            fast.count = count
        return fast

    async def load(self) -> tuple[Any, bool]:
        """Read it all back; what loading took, and whether it is what is in memory."""
        from aiokafka import AIOKafkaConsumer

        from stream.advance import new_arena
        from stream.checkpoint import loader
        from stream.groupless import stop
        from stream.state.compare import compare

        await self.sweep(1e-3)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level="read_committed", auto_offset_reset="none"
        )
        await consumer.start()
        try:
            found = (await loader.find(consumer, self.topic, [0]))[0]
            arena = new_arena()
            loaded = await loader.load(consumer, self.topic, 0, found, arena)
        finally:
            await stop(consumer)
            await self.to.drop()
        return loaded, compare(arena, self.bank.arena).equal


async def _measure(course: Course, rounds: int) -> dict[str, Any]:
    await course.start()
    await course.steady(rounds)
    alone, beside = await course.flat_out()
    loaded, same = await course.load()
    steady = course.sweeps[1:]
    seconds = float(np.median([s["seconds"] for s in steady]))
    while_sweeping = max(0.0, 1 - beside.rate / alone.rate)
    sweep_cpu = max(0.0, beside.cpu - beside.count * alone.cpu / alone.count)
    size = float(np.median([s["mb"] for s in steady]))
    return {
        "first_sweep": course.sweeps[0],
        "sweep_seconds": seconds,
        "sweep_mb": size,
        "bytes_per_minute": size * 1e6 * 60 / course.every_s,
        "live_mb": course.ledger.live / 1e6,
        "log_over_live": float(np.mean(course.log)) if course.log else None,
        "log_over_live_most": float(max(course.log)) if course.log else None,
        "log_over_live_least": float(min(course.log)) if course.log else None,
        "bytes_a_card_packed": course.ledger.live / course.bank.arena.live,
        "load_seconds": loaded.seconds,
        "load_mb_s": loaded.size / 1e6 / loaded.seconds,
        "equal": same,
        "piece_ms_p50": float(np.median(course.stall.ms)),
        "piece_ms_p99": float(np.quantile(course.stall.ms, 0.99)),
        "p99_ms": _p99(course.quiet),
        "p99_ms_sweeping": _p99(course.sweeping),
        "p99_added_ms": max(0.0, _p99(course.sweeping) - _p99(course.quiet)),
        "throughput_tps": alone.rate,
        "throughput_tps_sweeping": beside.rate,
        "sweep_cpu_seconds": sweep_cpu,
        "throughput_cost": while_sweeping * min(1.0, seconds / course.every_s),
        "throughput_cost_sweeping": while_sweeping,
    }


def _p99(spans: list[float]) -> float:
    return float(np.quantile(spans, 0.99)) if spans else float("nan")


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

    rounds = max(rounds, SETTLED + 1)
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
            result = asyncio.run(_measure(Course(address, topic, bank, rate, every_s), rounds))
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
    log = "unknown"
    if ratio is not None:
        log = f"{ratio:.2f} on average, {result['log_over_live_least']:.2f} to {result['log_over_live_most']:.2f}"
    return [
        f"{result['rows']:,} cards, {result['rate']:,.0f} transactions a second ({kind}), a sweep every "
        f"{result['every_s']:g} s",
        f"first sweep    {first['seconds']:.1f} s, {first['mb']:.0f} MB packed of {first['raw_mb']:.0f} MB of rows",
        f"later sweeps   {result['sweep_seconds']:.1f} s, {result['sweep_mb']:.0f} MB: "
        f"{result['bytes_per_minute'] / 1e6:.0f} MB a minute",
        f"log over live  {log} ({result['live_mb']:.0f} MB count)",
        f"load           {result['load_seconds']:.1f} s, {result['load_mb_s']:.0f} MB/s; "
        f"{'equal' if result['equal'] else 'NOT EQUAL'} row by row",
        f"replay         {result['replay_us']:.2f} us a transaction after decoding",
        f"piece          {result['piece_ms_p50']:.2f} ms between two batches (p99 {result['piece_ms_p99']:.2f})",
        f"latency        a batch of {BATCH} is done {result['p99_ms']:.2f} ms after it was due (p99), "
        f"{result['p99_ms_sweeping']:.2f} while a sweep runs: {result['p99_added_ms']:.2f} added",
        f"throughput     {result['throughput_tps']:,.0f}/s on one thread, "
        f"{result['throughput_tps_sweeping']:,.0f}/s while a sweep runs: it costs "
        f"{100 * result['throughput_cost_sweeping']:.1f} % then, {100 * result['throughput_cost']:.1f} % all in all",
        f"processor      {result['sweep_cpu_seconds']:.2f} s a sweep, "
        f"{100 * result['sweep_cpu_seconds'] / result['every_s']:.1f} % of one core",
    ]
