"""How long a worker that holds many cards takes from its start to a lag below a second, on a real broker.

`start` follows a stop in order; `kill` follows a SIGKILL and a start at once, so that the group first has to notice
that the old member is gone (`kafka.session_timeout_s`). What a state costs to bring back is `start`.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from stream.broker import EmbeddedKafka
from stream.broker.topics import ensure_topics, product_topics
from stream.demo.topic import ends_of
from stream.drill.crew import Crew, WorkerHand
from stream.errors import FraudstreamError
from stream.settings import Settings, TopicSettings, load

PARTITIONS = 8
HISTORY_MS = 2 * 86_400_000
EACH = 2  # transactions a card of the history, on average
CHUNK = 20_000
SLICE_S = 0.05
PATIENCE_S = 600.0
LAG_S = 1.0
CHECKPOINT_S = 10
SOURCE = TopicSettings().transactions
KEY = "bench-key-of-no-worth-0123456789"
BODY = (
    b'{"transaction_id":"%s","event_time":%d,"card_id":"card-%d","customer_id":"u%d","merchant_id":"m%d",'
    b'"terminal_id":"t%d","amount":%d.%02d,"currency":"EUR","mcc":"5411","country":"DE"%s}'
)
ONLINE = b',"channel":"ecommerce","device_id":"d%d","ip":"10.%d.%d.%d"'
_LINES = {
    "kernels": re.compile(r"kernels ready in ([\d.]+) s"),
    "loaded": re.compile(r"(\d+) rows loaded from ([\d.]+) MB in ([\d.]+) s"),
    "recovered": re.compile(r"recovered \d+ partitions in ([\d.]+) s: .* (\d+) records replayed"),
}


def _messages(rng: np.random.Generator, name: bytes, cards: Any, times: Any) -> tuple[list[bytes], list[bytes]]:
    n = len(cards)
    shops, cents = rng.zipf(1.3, n) % 20_000, rng.integers(100, 20_000, n)
    keys, values = [], []
    rows = zip(cards.tolist(), times.tolist(), shops.tolist(), cents.tolist(), strict=True)
    for i, (card, at, shop, cent) in enumerate(rows):
        online = ONLINE % (card, card >> 16 & 255, card >> 8 & 255, card & 255) if card % 3 == 0 else b""
        keys.append(b"card-%d" % card)
        values.append(
            BODY % (name + b"-%d" % i, at, card, card // 2, shop, shop * 3 + card % 3, cent // 100, cent % 100, online)
        )
    return keys, values


def _fill(bootstrap: str, cards: int) -> None:
    """Send the history: every card once, and then any of them."""
    from training.data.sender import BatchSender

    rng, n = np.random.default_rng(5), cards * EACH
    order = np.concatenate([rng.permutation(cards), rng.integers(0, cards, n - cards)])
    times = int(time.time() * 1000) - HISTORY_MS - 60_000 + np.arange(n) * HISTORY_MS // n
    sender = BatchSender(bootstrap)
    try:
        for low in range(0, n, CHUNK):
            at = slice(low, low + CHUNK)
            sender.send(SOURCE, *_messages(rng, b"h%d" % low, order[at], times[at]))
    finally:
        sender.close()


@dataclass
class Feed(threading.Thread):
    """A slow steady stream of the same cards."""

    bootstrap: str
    cards: int
    rate: int
    over: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    __hash__ = threading.Thread.__hash__

    def __post_init__(self) -> None:
        super().__init__(name="recovery-feed", daemon=True)

    def run(self) -> None:
        """Send slice after slice on an open schedule."""
        from training.data.sender import BatchSender

        rng, n, number = np.random.default_rng(6), max(1, int(self.rate * SLICE_S)), 0
        try:
            sender, began = BatchSender(self.bootstrap), time.monotonic()
            while not self.over.wait(max(0.0, began + number * SLICE_S - time.monotonic())):
                number += 1
                times = np.full(n, int(time.time() * 1000))
                sender.send(SOURCE, *_messages(rng, b"l%d" % number, rng.integers(0, self.cards, n), times))
            sender.close()
        except BaseException as error:
            self.error = error


@contextmanager
def _feeding(feed: Feed) -> Iterator[None]:
    feed.start()
    try:
        yield
    finally:
        feed.over.set()
        feed.join(30)
    if feed.error is not None:
        raise FraudstreamError(f"the feed failed: {feed.error!r}")


def _settings(bootstrap: str) -> Settings:
    return load(
        None,
        {
            "kafka": {"bootstrap": bootstrap, "group": "recovery"},
            "topics": {"feedback": "", "events": ""},
            "engine": {"checkpoint_s": CHECKPOINT_S},
            "models": {"acknowledge_simulated": True, "device": "cpu"},
            "security": {"token_key": KEY},
        },
    )


def _environment(bootstrap: str) -> dict[str, str]:
    given = {
        "KAFKA__BOOTSTRAP": bootstrap,
        "KAFKA__GROUP": "recovery",
        "TOPICS__FEEDBACK": "",
        "TOPICS__EVENTS": "",
        "ENGINE__CHECKPOINT_S": str(CHECKPOINT_S),
        "MODELS__DEVICE": "cpu",
        "MONITOR__PORT": "0",
        "SECURITY__TOKEN_KEY": KEY,
    }
    return {f"FRAUDSTREAM_{name}": value for name, value in given.items()}


def _wait_for_checkpoints(settings: Settings, until: dict[int, int], worker: WorkerHand) -> None:
    """Wait until every partition's marker stands at an offset or after it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and worker.alive:
        marks = asyncio.run(_marks(settings))
        if all(marks.get(partition, 0) >= offset for partition, offset in until.items()):
            return
        time.sleep(1.0)
    raise FraudstreamError(f"the checkpoints did not come so far: {worker.last_line()}")


async def _marks(settings: Settings) -> dict[int, int]:
    from aiokafka import AIOKafkaConsumer

    from stream.checkpoint import loader
    from stream.groupless import stop

    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap, isolation_level="read_committed", auto_offset_reset="none"
    )
    await consumer.start()
    try:
        found = await loader.find(consumer, settings.topics.checkpoints, range(PARTITIONS))
    finally:
        await stop(consumer)
    return {partition: mark.marker.offset for partition, mark in found.items()}


class Onlooker:
    """A client that shares nothing with the worker: where the log ends, and where the group stands."""

    def __init__(self, settings: Settings) -> None:
        from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

        self._group = settings.kafka.group
        self._admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
        self._consumer = KafkaConsumer(bootstrap_servers=settings.kafka.bootstrap, group_id=None)
        self._tps = [TopicPartition(SOURCE, partition) for partition in range(PARTITIONS)]

    def watch(self, worker: WorkerHand) -> tuple[float, float]:
        """Seconds from a start to the ready line, and until the group stands where the log ended `LAG_S` before."""
        ends: list[tuple[float, dict[Any, int]]] = []
        ready = 0.0
        while time.monotonic() < worker.began + PATIENCE_S and worker.alive:
            ends.append((time.monotonic(), self._consumer.end_offsets(self._tps)))
            if not ready and worker.readies():
                ready = time.monotonic() - worker.began
            done = self._admin.list_group_offsets(self._group)[self._group]
            now = time.monotonic()
            while len(ends) > 1 and ends[1][0] <= now - LAG_S:
                del ends[0]
            at, wanted = ends[0]
            near = at <= now - LAG_S and all(tp in done and done[tp].offset >= end for tp, end in wanted.items())
            if near and ready:
                return ready, now - worker.began
            time.sleep(0.05)
        raise FraudstreamError(f"{worker.name} did not catch up: {worker.last_line()}")

    def close(self) -> None:
        """Disconnect."""
        self._admin.close()
        self._consumer.close()


def _measured(worker: WorkerHand, onlooker: Onlooker, began_at: float) -> dict[str, float]:
    ready, near = onlooker.watch(worker)
    return {"recovery_seconds": near, "ready_seconds": ready, **_parts(worker.lines(), began_at)}


def _parts(lines: list[str], began_at: float) -> dict[str, float]:
    """What the log tells of a start: seconds up to each step, and what was loaded."""
    told: dict[str, float] = {"rows": 0, "checkpoint_mb": 0.0, "load_seconds": 0.0}
    for line in lines:
        for name, pattern in _LINES.items():
            match = pattern.search(line)
            if match is None:
                continue
            at = datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp() - began_at
            if name == "kernels":
                told |= {"imports_seconds": at - float(match[1]), "kernels_seconds": float(match[1])}
            elif name == "loaded":
                told["rows"] += int(match[1])
                told["checkpoint_mb"] += float(match[2])
                told["first_load_at"] = min(told.get("first_load_at", at), at - float(match[3]))
                told["load_seconds"] = at - told["first_load_at"]
            else:
                told |= {"restore_seconds": float(match[1]), "replayed": int(match[2]), "restore_at": at}
    told["join_seconds"] = told["restore_at"] - told["restore_seconds"] - told["imports_seconds"]
    told["join_seconds"] -= told["kernels_seconds"]
    told["load_mb_s"] = told["checkpoint_mb"] / max(told["load_seconds"], 1e-3)
    return told


def run(cards: int, rate: int, rounds: int) -> dict[str, Any]:
    """Fill a worker, and bring its state back again and again.

    Parameters
    ----------
    cards
        Distinct cards of the history.
    rate
        Transactions a second while workers come and go.
    rounds
        Starts after a stop in order, and as many after a kill.

    Returns
    -------
    dict
        `recovery_seconds` is the median of `start`, process start to lag below a second.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fraudstream-recovery-") as folder,
        EmbeddedKafka(Path(folder) / "kafka", owned=True) as kafka,
    ):
        bootstrap = kafka.start()
        ensure_topics(bootstrap, product_topics(PARTITIONS, TopicSettings(feedback="", events="")))
        settings = _settings(bootstrap)
        command = ("stream", "worker", "--acknowledge-simulated")
        crew, onlooker = Crew(Path(folder), _environment(bootstrap), command), Onlooker(settings)
        try:
            _fill(bootstrap, cards)
            worker = crew.start_worker()
            _wait_for_checkpoints(settings, ends_of(bootstrap, SOURCE), worker)
            with _feeding(Feed(bootstrap, cards, rate)):
                return _rounds(crew, onlooker, worker, cards, rate, rounds)
        finally:
            crew.end()
            onlooker.close()


def _rounds(crew: Crew, onlooker: Onlooker, worker: WorkerHand, cards: int, rate: int, rounds: int) -> dict[str, Any]:
    took: dict[str, list[dict[str, float]]] = {"start": [], "kill": []}
    for kind in [kind for kind in took for _ in range(rounds)]:
        time.sleep(CHECKPOINT_S / 2)
        worker.stop() if kind == "start" else worker.kill()
        began_at = time.time()
        worker = crew.start_worker()
        took[kind].append(_measured(worker, onlooker, began_at))
    medians = {
        kind: {name: float(np.median([one[name] for one in told])) for name in told[0]} for kind, told in took.items()
    }
    names = ("recovery_seconds", "ready_seconds", "checkpoint_mb", "load_mb_s")
    return {
        "bench": "recovery",
        "cards": cards,
        "partitions": PARTITIONS,
        "rate_tps": rate,
        "rounds": rounds,
        **{name: medians["start"][name] for name in names},
        **medians,
        "worst_start_seconds": max(one["recovery_seconds"] for one in took["start"]),
        "worst_kill_seconds": max(one["recovery_seconds"] for one in took["kill"]),
    }


def describe(result: dict[str, Any]) -> list[str]:
    """Lines for people."""
    lines = [
        f"{result['cards']:,} cards, {result['checkpoint_mb']:.0f} MB of checkpoint, {result['rate_tps']:,} "
        f"transactions a second; seconds from process start",
        "         lag < 1 s  ready  imports  kernels  join  load  replay and rest",
    ]
    for kind in ("start", "kill"):
        t = result[kind]
        rest = t["restore_seconds"] - t["load_seconds"]
        lines.append(
            f"{kind:<8} {t['recovery_seconds']:9.2f}  {t['ready_seconds']:5.2f}  {t['imports_seconds']:7.2f}  "
            f"{t['kernels_seconds']:7.2f}  {t['join_seconds']:4.2f}  {t['load_seconds']:4.2f}  {rest:15.2f}"
        )
    lines.append(f"loaded at {result['load_mb_s']:.0f} MB/s; a kill waits for the old member's session to end")
    return lines
