"""A worker at a steady rate for minutes, with new cards all the time: its resident memory has to stay flat.

Event time runs faster than the clock, so that the horizon passes several times: cards that fell silent are forgotten as
fast as new ones come. What else is bounded (tokens remembered, merchants known) is full when the warm-up ends. The
slope is that of a straight line through the resident memory after it; what the rows alone take is told beside.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stream.broker import EmbeddedKafka
from stream.broker.topics import ensure_topics, product_topics
from stream.demo.watch import scrape
from stream.errors import FraudstreamError
from stream.settings import TopicSettings

PARTITIONS = 8
HORIZON_DAYS = 1.0
HORIZONS = 6.0  # of event time in a run
COMING = 400_000  # cards until the warm-up ends: more than a worker remembers the tokens of, so that this is full then
SHOPS = 2_000
SLICE_S = 0.05
PATIENCE_S = 240.0
WARM = 0.5  # share of the run in which memory may grow: two horizons pass before the first card is forgotten
BODY = (
    b'{"transaction_id":"s%d","event_time":%d,"card_id":"card-%d","customer_id":"u%d","merchant_id":"m%d",'
    b'"terminal_id":"t%d","amount":%d.%02d,"currency":"EUR","mcc":"5411","country":"DE"}'
)


@dataclass
class Feed(threading.Thread):
    """Sends a steady rate; the window of paying cards moves on, so that each card is new once and then falls silent."""

    bootstrap: str
    rate: int
    seconds: float
    speed: float
    sent: int = 0
    cards: int = 0
    behind: float = 0.0
    error: BaseException | None = None
    _rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    __hash__ = threading.Thread.__hash__

    def __post_init__(self) -> None:
        super().__init__(name="soak-feed", daemon=True)

    def run(self) -> None:
        """Send slice after slice on an open schedule."""
        from training.data.sender import BatchSender

        sender = BatchSender(self.bootstrap)
        try:
            began, slices = time.monotonic(), int(self.seconds / SLICE_S)
            epoch = int(time.time() * 1000 - self.seconds * self.speed * 1000) - 3_600_000
            for number in range(slices):
                keys, values = self._slice(epoch + int(number * SLICE_S * self.speed * 1000), number / slices)
                sender.send(TopicSettings().transactions, keys, values)
                self.sent += len(keys)
                self.behind = time.monotonic() - began - (number + 1) * SLICE_S
                time.sleep(max(0.0, -self.behind))
        except BaseException as error:
            self.error = error
        finally:
            sender.close()

    def _slice(self, now: int, share: float) -> tuple[list[bytes], list[bytes]]:
        n = int(self.rate * SLICE_S)
        # over a run the window moves on by its own width once a horizon
        active = active_cards()
        first = int(share * HORIZONS * active)
        cards = first + self._rng.integers(0, active, n)
        self.cards = first + active
        shops = self._rng.zipf(1.3, n) % SHOPS
        cents = self._rng.integers(100, 20_000, n)
        step = SLICE_S * self.speed * 1000 / n
        rows = zip(range(self.sent, self.sent + n), cards.tolist(), shops.tolist(), cents.tolist(), strict=True)
        keys, values = [], []
        for i, (number, card, shop, cent) in enumerate(rows):
            keys.append(b"card-%d" % card)
            at = now + int(i * step)
            values.append(BODY % (number, at, card, card // 2, shop, shop * 3 + card % 3, cent // 100, cent % 100))
        return keys, values


def active_cards() -> int:
    """How many pay at a moment; as many come within a horizon."""
    return int(COMING / (1 + WARM * HORIZONS))


def _environment(bootstrap: str) -> dict[str, str]:
    settings = {
        "KAFKA__BOOTSTRAP": bootstrap,
        "KAFKA__GROUP": "soak",
        "TOPICS__FEEDBACK": "",
        "TOPICS__EVENTS": "",
        "ENGINE__HORIZON_DAYS": repr(HORIZON_DAYS),
        "ENGINE__CHECKPOINT_S": "20",
        "MODELS__ACKNOWLEDGE_SIMULATED": "true",
        "MODELS__DEVICE": "cpu",
        "SECURITY__TOKEN_KEY": "bench-key-of-no-worth-0123456789",
    }
    return {**os.environ, **{f"FRAUDSTREAM_{name}": value for name, value in settings.items()}}


def run(minutes: float, rate: int) -> dict[str, Any]:
    """Soak a worker; see `describe` for what the keys mean."""
    with (
        tempfile.TemporaryDirectory(prefix="fraudstream-soak-") as folder,
        EmbeddedKafka(Path(folder) / "kafka", owned=True) as kafka,
    ):
        bootstrap = kafka.start()
        names = TopicSettings(feedback="", events="")
        topics = product_topics(PARTITIONS, names)
        source = topics[names.transactions]
        bounded = {**source.config, "segment.bytes": str(64 << 20), "retention.bytes": str(256 << 20)}
        topics[names.transactions] = type(source)(source.partitions, bounded)
        ensure_topics(bootstrap, topics)
        log = Path(folder) / "worker.log"
        with log.open("wb") as sink:
            worker = subprocess.Popen(
                [sys.executable, "-m", "stream", "worker", "--metrics-port", "0"],
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=_environment(bootstrap),
            )
        try:
            return _soak(worker, _address(worker, log), bootstrap, minutes * 60, rate, log)
        finally:
            worker.terminate()
            worker.wait(60)


def _address(worker: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and worker.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("ready ") and "metrics=" in line:
                return line.split("metrics=", 1)[1].split()[0]
        time.sleep(0.1)
    raise FraudstreamError(f"the worker did not start: {log.read_text(errors='replace')[-500:]}")


def _soak(
    worker: subprocess.Popen[bytes], address: str, bootstrap: str, seconds: float, rate: int, log: Path
) -> dict[str, Any]:
    speed = HORIZONS * HORIZON_DAYS * 86_400 / seconds
    feed = Feed(bootstrap, rate, seconds, speed)
    began, samples = time.monotonic(), list[tuple[float, ...]]()
    feed.start()
    while feed.is_alive():
        time.sleep(1.0)
        got = scrape(address)
        if worker.poll() is not None:
            raise FraudstreamError(f"the worker ended: {log.read_text(errors='replace')[-500:]}")
        if got:
            told = [got.get(f"fraud_{name}", 0.0) for name in ("lag_messages", "state_rows", "state_bytes")]
            samples.append((time.monotonic() - began, _resident_mb(worker.pid), *told))
    if feed.error is not None:
        raise FraudstreamError(f"the feed failed: {feed.error!r}")
    return _result(samples, feed, seconds, scrape(address))


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _result(samples: list[tuple[float, ...]], feed: Feed, seconds: float, last: dict[str, float]) -> dict[str, Any]:
    at, resident, lag, rows, state = np.array(samples).T
    warm = at >= WARM * seconds
    slope, level = np.polyfit(at[warm] / 60, resident[warm], 1)
    return {
        "minutes": seconds / 60,
        "transactions": feed.sent,
        "rate_tps": feed.sent / seconds,
        "feed_behind_s": max(0.0, feed.behind),
        "cards_seen": feed.cards,
        "horizons": HORIZONS,
        "rows_after_warm_up": float(np.median(rows[warm])),
        "rows_at_end": float(rows[-1]),
        "resident_mb": {
            "start": float(resident[0]),
            "warm": float(level + slope * at[warm][0] / 60),
            "end": float(resident[-1]),
        },
        "slope_mb_per_minute": float(slope),
        "state_mb": {"warm": float(state[warm][0] / 1e6), "end": float(state[-1] / 1e6)},
        "profile_entities": last.get("fraud_profile_entities", 0.0),
        "slope_percent_per_minute": float(100 * slope / np.mean(resident[warm])),
        "lag_max": float(lag[warm].max()),
        "processed": last.get("fraud_transactions_total", 0.0),
        "series": [
            {"s": round(s), "mb": round(mb, 1), "rows": int(n), "state_mb": round(held / 1e6, 1)}
            for s, mb, _, n, held in samples[::10]
        ],
    }


def describe(result: dict[str, Any]) -> list[str]:
    """Lines for people."""
    mb = result["resident_mb"]
    return [
        f"{result['minutes']:.0f} min at {result['rate_tps']:,.0f}/s, {result['cards_seen']:,} cards came, "
        f"{result['horizons']:.0f} horizons of event time passed",
        f"rows in memory: {result['rows_after_warm_up']:,.0f} after warm-up, {result['rows_at_end']:,.0f} at the end",
        f"resident: {mb['start']:,.0f} MB at start, {mb['warm']:,.0f} after warm-up, {mb['end']:,.0f} at the end",
        f"slope after warm-up: {result['slope_mb_per_minute']:+.2f} MB a minute "
        f"({result['slope_percent_per_minute']:+.2f} %); largest lag {result['lag_max']:,.0f} messages",
        f"rows: {result['state_mb']['warm']:,.1f} MB after warm-up, {result['state_mb']['end']:,.1f} at the end",
    ]
