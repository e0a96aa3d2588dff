"""Speed of the replay that training uses: features, windows and profiles of a dense history, on one core."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

DAY = 86_400_000
START = 1_700_000_000_000


def _history(rng: np.random.Generator, n: int, cards: int, days: float) -> Any:
    """Transactions of a busy bank: a quarter online, merchants by Zipf's law, a few terminals each."""
    from stream.events import Columns
    from stream.replay import History

    spread = np.uint64(0x9E3779B97F4A7C15)
    card = rng.integers(1, cards + 1, n).astype(np.uint64)
    merchant = (rng.zipf(1.3, n) % 5_000 + 1).astype(np.uint64)
    online = rng.random(n) < 0.25
    times = START + np.sort(rng.integers(0, int(days * DAY), n))
    columns = Columns(
        event_time=times,
        local_time=times + 3_600_000,
        transaction_key=rng.integers(1, 2**63, n, dtype=np.uint64),
        card_key=card * spread,
        customer_key=(card // np.uint64(2) + np.uint64(1)) * spread,
        merchant_key=merchant * spread,
        terminal_key=np.where(online, 0, (merchant * np.uint64(3) + card % np.uint64(3)) * spread),
        device_key=np.where(online, card * np.uint64(7), 0),
        ip_key=np.where(online, card * np.uint64(11), 0),
        amount_minor=np.exp(rng.normal(8, 1, n)).astype(np.int64),
        mcc=rng.integers(1000, 9999, n).astype(np.int32),
        country=rng.integers(1, 5, n).astype(np.int32),
        ip_country=np.where(online, 1, 0).astype(np.int32),
        latitude=np.where(online, np.nan, rng.uniform(40, 60, n)).astype(np.float32),
        longitude=np.where(online, np.nan, rng.uniform(-5, 20, n)).astype(np.float32),
        card_age_days=rng.uniform(0, 2000, n).astype(np.float32),
        account_age_days=rng.uniform(0, 4000, n).astype(np.float32),
        flags=np.where(rng.random(n) < 0.05, 8, 0).astype(np.uint8),
        **{
            name: rng.integers(1, 4, n).astype(np.uint8)
            for name in ("type", "channel", "entry_mode", "three_ds", "cvv_result", "avs_result")
        },
    )
    return History(columns)


def run(transactions: int, cards: int, days: float, rounds: int) -> dict[str, Any]:
    """Replay the same history several times into the same memory.

    Returns
    -------
    dict
        ``rate``, transactions a second of the core's own time in the best round, and ``rates`` of all; ``wall`` by the
        clock on the wall, which is the same where nothing else runs.
    """
    from stream.features import FEATURES, SEQUENCE_CHANNELS, SEQUENCE_STEPS
    from stream.replay import Replay

    history = _history(np.random.default_rng(1), transactions, cards, days)
    steps = (transactions, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS))
    out = np.zeros((transactions, len(FEATURES)), np.float32), np.zeros(steps, np.float32)
    for memory in out:
        memory.fill(1)  # touched once: training, too, uses its memory again and again
    Replay(_history(np.random.default_rng(2), 5_000, 100, 1)).rows()  # compiled
    spent: list[tuple[float, float]] = []
    for _ in range(rounds):
        wall, own = time.perf_counter(), time.thread_time()
        Replay(history).rows(out=out)
        spent.append((time.thread_time() - own, time.perf_counter() - wall))
        history.columns.flags &= np.uint8(~3 & 0xFF)  # what the replay said of late and repeated ones
    rates = [round(transactions / own) for own, _ in spent]
    return {
        "transactions": transactions,
        "cards": cards,
        "days": days,
        "rate": max(rates),
        "rates": rates,
        "wall": [round(transactions / wall) for _, wall in spent],
        "target": 500_000,
        "reached": max(rates) >= 500_000,
    }


def describe(result: dict[str, Any]) -> list[str]:
    """For people."""
    rates = ", ".join(f"{rate:,}" for rate in result["rates"])
    return [
        f"{result['transactions']:,} transactions of {result['cards']:,} cards in {result['days']:g} days, on one core",
        f"replayed {result['rate']:,} a second of its own time in the best round (all rounds: {rates})",
        f"by the clock on the wall: {', '.join(f'{rate:,}' for rate in result['wall'])}",
    ]
