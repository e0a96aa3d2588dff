"""Cost of the feature loop: microseconds a transaction by batch size and number of cards."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from stream.events import Columns

DAY = 86_400_000
START = 1_700_000_000_000


def _columns(rng: np.random.Generator, n: int, first: int, span_ms: int) -> Columns:
    """Draw n transactions in order of time with every optional field present: the dearest case."""
    times = first + np.sort(rng.integers(0, span_ms, n))
    keys: dict[str, Any] = {}
    for name, kinds in (("merchant_key", 50_000), ("terminal_key", 80_000), ("device_key", 400_000)):
        keys[name] = rng.integers(1, kinds, n).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    codes: dict[str, Any] = {
        name: rng.integers(1, 4, n).astype(np.uint8)
        for name in ("type", "channel", "entry_mode", "three_ds", "cvv_result", "avs_result")
    }
    return Columns(
        event_time=times,
        local_time=times,
        slot=np.zeros(n, np.int64),
        transaction_key=rng.integers(1, 2**63, n, dtype=np.uint64),
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


def _measure(cards: int, batch: int, history: int, rounds: int) -> dict[str, float]:
    """Time batches on cards that already have `history` transactions each, on average."""
    from stream.features import Arena, compute
    from stream.features.replay import part

    rng = np.random.default_rng(7)
    arena = Arena()
    arena.slots([f"tok_{card:032x}" for card in range(cards)])
    past = _columns(rng, cards * history, START, 30 * DAY)
    past.slot[:] = rng.integers(0, cards, len(past))
    begun = time.perf_counter()
    compute(arena, past, update_only=True)
    replay = (time.perf_counter() - begun) / len(past) * 1e6
    live = _columns(rng, rounds * batch, START + 30 * DAY, DAY)
    live.slot[:] = rng.integers(0, cards, len(live))
    parts = [part(live, k, k + batch) for k in range(0, len(live), batch)]
    begun = time.perf_counter()
    for columns in parts:
        compute(arena, columns)
    return {"us_per_event": (time.perf_counter() - begun) / len(live) * 1e6, "replay_us_per_event": replay}


def run(
    cards: tuple[int, ...] = (2_000, 200_000), batches: tuple[int, ...] = (8, 1024), *, history: int = 20
) -> dict[str, Any]:
    """Measure and print the feature loop.

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
        ``features``, ``bytes_per_card`` and, for each number of cards, ``cards[n]`` with ``us_per_event[batch]``,
        ``replay_us_per_event`` (state only) and ``bytes_per_card``.
    """
    from stream.features import FEATURES, PROGRAM, Arena, compute

    compute(Arena(), _columns(np.random.default_rng(0), 0, START, DAY))  # compiles
    size = PROGRAM.row.itemsize
    found: dict[str, Any] = {"features": len(FEATURES), "bytes_per_card": size, "cards": {}}
    print(f"{len(FEATURES)} features, {size} bytes a card")
    for count in cards:
        row: dict[str, Any] = {"us_per_event": {}, "bytes_per_card": size}
        for batch in batches:
            result = _measure(count, batch, history, rounds=max(100_000 // batch, 1))
            row["us_per_event"][str(batch)] = round(result["us_per_event"], 3)
            row["replay_us_per_event"] = round(result["replay_us_per_event"], 3)
            print(f"{count:>9,} cards, batch {batch:>5,}: {result['us_per_event']:.2f} us a transaction")
        print(f"{count:>9,} cards, state only: {row['replay_us_per_event']:.2f} us a transaction")
        found["cards"][str(count)] = row
    return found
