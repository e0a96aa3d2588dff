"""Cost of the feature loop: microseconds a transaction by batch size and number of cards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from stream.events import Columns

DAY = 86_400_000
START = 1_700_000_000_000
ROUNDS = 10
BLOCK = 500_000  # transactions of the history that are in memory at once
_KINDS = {"merchant_key": 50_000, "terminal_key": 80_000, "device_key": 400_000, "ip_key": 400_000}


def _columns(rng: np.random.Generator, n: int, first: int, span_ms: int, cards: int = 200_000) -> Columns:
    """Draw n transactions in order of time with every optional field present: the dearest case."""
    times = first + np.sort(rng.integers(0, span_ms, n))
    keys: dict[str, Any] = {}
    for name, kinds in _KINDS.items():
        keys[name] = rng.integers(1, kinds, n).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    card = rng.integers(1, cards + 1, n).astype(np.uint64)
    codes: dict[str, Any] = {
        name: rng.integers(1, 4, n).astype(np.uint8)
        for name in ("type", "channel", "entry_mode", "three_ds", "cvv_result", "avs_result")
    }
    return Columns(
        event_time=times,
        local_time=times,
        transaction_key=rng.integers(1, 2**63, n, dtype=np.uint64),
        card_key=card * np.uint64(0x9E3779B97F4A7C15),
        customer_key=(card + np.uint64(1)) // np.uint64(2) * np.uint64(0xBF58476D1CE4E5B9),
        amount_minor=np.exp(rng.normal(8, 1, n)).astype(np.int64),
        mcc=rng.integers(1000, 9999, n).astype(np.int32),
        country=rng.integers(1, 5, n).astype(np.int32),
        ip_country=rng.integers(1, 5, n).astype(np.int32),
        latitude=rng.uniform(40, 60, n).astype(np.float32),
        longitude=rng.uniform(-5, 20, n).astype(np.float32),
        card_age_days=rng.uniform(0, 2000, n).astype(np.float32),
        account_age_days=rng.uniform(0, 4000, n).astype(np.float32),
        flags=np.where(rng.random(n) < 0.05, 8, 0).astype(np.uint8),
        **keys,
        **codes,
    )


def _book(columns: Columns) -> Any:
    """What the other partitions and the customers' accounts would tell of these transactions."""
    from stream.advance import Book
    from stream.entities.account import Events
    from stream.entities.merged import Merged
    from stream.entities.partials import Partials
    from stream.entities.takeover import Takeover

    open_, merged, takeover = Partials(), Merged(), Takeover()
    n = len(columns)
    open_.add(columns, columns.event_time, np.zeros(n, np.uint8), columns.flags)
    for bucket in open_.close(int(columns.event_time.max()) + DAY):
        merged.merge(1, bucket)
    group = (np.arange(n) % 5).astype(np.uint8)
    parts = (columns.customer_key, columns.card_key, np.zeros(n, bool), group, columns.event_time, columns.device_key)
    takeover.add(Events(*parts))
    return Book(merged, takeover)


def _lived(cards: int, history: int) -> tuple[Any, Any, float]:
    """A partition whose cards have `history` transactions each, on average; and what one cost to replay, in us."""
    from stream.advance import Book, advance, new_arena

    rng, arena, spent = np.random.default_rng(7), new_arena(), 0.0
    n, blocks = cards * history, max(cards * history // BLOCK, 1)
    for k in range(blocks):
        past = _columns(rng, n // blocks, START + k * 30 * DAY // blocks, 30 * DAY // blocks, cards)
        begun = time.perf_counter()
        advance(arena, past, Book(), update_only=True)
        spent += time.perf_counter() - begun
    return arena, _book(past), spent / n * 1e6


def _measure(arena: Any, book: Any, cards: int, batch: int, rounds: int) -> float:
    """Microseconds a transaction for features and state in batches of one size, the best of ten rounds."""
    from stream.advance import advance
    from stream.features import FEATURES, SEQUENCE_CHANNELS, SEQUENCE_STEPS
    from stream.replay import part

    live = _columns(np.random.default_rng(batch), rounds * batch, START + 30 * DAY, DAY // 24, cards)
    parts = [part(live, k, k + batch) for k in range(0, len(live), batch)]
    out = (
        np.empty((batch, len(FEATURES)), np.float32),
        np.empty((batch, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.float32),
    )
    spans = []
    for k in range(0, len(parts), max(len(parts) // ROUNDS, 1)):
        some = parts[k : k + max(len(parts) // ROUNDS, 1)]
        begun = time.perf_counter()
        for columns in some:
            advance(arena, columns, book, out=out)
        spans.append((time.perf_counter() - begun) / len(some) / batch)
    return min(spans) * 1e6


class NumpyVelocity:
    """The velocity windows as vectorised numpy has them: one gather, masked sums, one scatter a batch.

    It wants card numbers from 1 as ``card_key``, and lets transactions of one card within a batch not see each other,
    which the compiled loop does not; even so it is the yardstick for what compilation brings.
    """

    rings = ((300_000, 0, 12, (2, 12)), (3_600_000, 12, 24, (24,)), (DAY, 36, 30, (7, 30)))

    def __init__(self, cards: int) -> None:
        self.counts = np.zeros((cards, 66), np.uint16)
        self.totals = np.zeros((cards, 66), np.uint32)
        self.newest = np.zeros((cards, 3), np.int64)

    def batch(self, columns: Columns) -> Any:
        """Counts and sums of the five windows before the batch, then the update; float32 (n, 10)."""
        slot, out = (columns.card_key - np.uint64(1)).astype(np.int64), []
        for number, (grain, base, size, widths) in enumerate(self.rings):
            bucket, places = columns.event_time // grain, np.arange(size)
            newest = self.newest[slot, number]
            held = newest[:, None] - (newest[:, None] - places) % size
            counts, totals = self.counts[slot, base : base + size], self.totals[slot, base : base + size]
            for width in widths:
                inside = (held > (bucket - width)[:, None]) & (held <= bucket[:, None])
                out += [np.log1p((counts * inside).sum(1)), np.log1p((totals * inside).sum(1) / 100)]
            stale = (places + base)[None, :] * np.ones((len(slot), 1), np.int64)
            gone = (bucket[:, None] - places) // size > (newest[:, None] - places) // size
            rows = np.broadcast_to(slot[:, None], gone.shape)[gone]
            self.counts[rows, stale[gone]] = 0
            self.totals[rows, stale[gone]] = 0
            np.maximum.at(self.newest[:, number], slot, bucket)
            np.add.at(self.counts, (slot, base + bucket % size), 1)
            np.add.at(self.totals, (slot, base + bucket % size), columns.amount_minor.astype(np.uint32))
        return np.stack(out, 1).astype(np.float32)


def _numpy_ratio(cards: int, batch: int, rounds: int) -> float:
    """Time of the ten velocity windows in numpy over that of the compiled loop for the same ten, on the same batches.

    The loop's guard, sequences and search for rows are in its time; the numpy rival has none of them.
    """
    from stream.advance import Book, advance, new_arena
    from stream.features import SEQUENCE_CHANNELS, SEQUENCE_STEPS, velocity
    from stream.features.driver import Program
    from stream.replay import part

    rng = np.random.default_rng(11)
    columns = _columns(rng, rounds * batch, START, DAY)
    columns.card_key[:] = rng.integers(1, cards + 1, len(columns))
    parts = [part(columns, k, k + batch) for k in range(0, len(columns), batch)]
    windows = tuple(f for f in velocity.FEATURES if f.name.startswith(("card_tx_count_", "card_amount_sum_")))
    program, rival, book = Program((replace(velocity.FAMILY, features=windows),)), NumpyVelocity(cards), Book()
    out = (
        np.empty((batch, len(windows)), np.float32),
        np.empty((batch, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.float32),
    )
    arena = new_arena(program)
    advance(arena, part(columns, 0, 0), book, program=program)  # compiles
    ours = _best(parts, lambda one: advance(arena, one, book, out=out, program=program))
    return _best(parts, rival.batch) / ours


def _best(parts: list[Columns], step: Callable[[Columns], Any]) -> float:
    """Seconds that a batch takes, the best of ten rounds, so that neither side pays for memory touched first."""
    spans, size = [], max(len(parts) // ROUNDS, 1)
    for k in range(0, len(parts), size):
        begun = time.perf_counter()
        for one in parts[k : k + size]:
            step(one)
        spans.append((time.perf_counter() - begun) / len(parts[k : k + size]))
    return min(spans)


def run(
    cards: tuple[int, ...] = (2_000, 200_000, 1_000_000), batches: tuple[int, ...] = (8, 1024), *, history: int = 8
) -> dict[str, Any]:
    """Measure the feature loop.

    Parameters
    ----------
    cards
        Numbers of cards, each with its own arena.
    batches
        Transactions a call.
    history
        Mean number of transactions a card has before the clock starts.

    Returns
    -------
    dict
        ``features``, ``bytes`` a row by entity, ``bytes_per_card`` and, for each number of cards, ``cards[n]`` with
        ``us_per_event[batch]``, ``replay_us_per_event`` (state only), ``bytes_per_card`` and ``state_bytes`` of all its
        tables; ``ratio_numpy`` for the velocity windows alone.
    """
    from stream.advance import Book, advance, new_arena
    from stream.features import FEATURES, PROGRAM

    advance(new_arena(), _columns(np.random.default_rng(0), 0, START, DAY), Book())  # compiles
    sizes = {name: row.itemsize for name, row in PROGRAM.layouts.items()}
    found: dict[str, Any] = {"features": len(FEATURES), "bytes": sizes, "bytes_per_card": sizes["card"], "cards": {}}
    for count in cards:
        arena, book, replay = _lived(count, history)
        costs = {str(batch): _measure(arena, book, count, batch, max(100_000 // batch, 1)) for batch in batches}
        found["cards"][str(count)] = {
            "us_per_event": {batch: round(cost, 3) for batch, cost in costs.items()},
            "replay_us_per_event": round(replay, 3),
            "bytes_per_card": sizes["card"],
            "state_bytes": arena.nbytes,
        }
    found["ratio_numpy"] = round(_numpy_ratio(cards[0], batches[-1], rounds=200), 1)
    return found


def describe(found: dict[str, Any]) -> list[str]:
    """Lines that a person reads, from what `run` returned."""
    sizes = ", ".join(f"{size:,} bytes a row of {name}" for name, size in found["bytes"].items())
    lines = [f"{found['features']} features; {sizes}"]
    for count, row in found["cards"].items():
        for batch, cost in row["us_per_event"].items():
            lines.append(f"{int(count):>9,} cards, batch {int(batch):>5,}: {cost:.2f} µs a transaction")
        lines.append(
            f"{int(count):>9,} cards, state only : {row['replay_us_per_event']:.2f} µs a transaction, "
            f"{row['state_bytes'] / 1e6:,.0f} MB"
        )
    lines.append(f"velocity windows alone: {found['ratio_numpy']} times as quick as vectorised numpy")
    return lines
