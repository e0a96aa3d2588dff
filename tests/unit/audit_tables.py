"""Tables for the leakage audit: a small bank with honest features, made here, and leaks to plant in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from training.audit import Finding, audit_table

DAY = 86_400_000
Array = npt.NDArray[Any]


class Bank:
    """Cards with episodes of fraud over 60 days, in order of time; `columns` are features known at the time."""

    def __init__(self, seed: int, rows: int = 3000, cards: int = 120, strong: float = 1.0) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.card = rng.integers(0, cards, rows)
        self.time = np.sort(rng.integers(0, 60 * DAY, rows)) + 1_735_689_600_000
        usual = rng.gamma(4, 12, cards)[self.card]
        self.amount = np.round(usual * rng.lognormal(0, 0.5, rows), 2)
        self.y = np.zeros(rows, bool)
        for card in rng.permutation(cards)[: cards // 2]:
            own = np.flatnonzero(self.card == card)
            if len(own) < 6:
                continue
            begin = rng.integers(2, len(own) - 2)
            self.y[own[begin : begin + rng.integers(1, 4)]] = True
        self.amount[self.y] *= 3
        self.columns: dict[str, Any] = {
            "transaction_id": [f"t{number}" for number in rng.permutation(rows)],
            "event_time": self.time.astype("datetime64[ms]"),
            "card_id": [f"c{card}" for card in self.card],
            "amount": self.amount,
            "device_risk": rng.normal(0, 1, rows) + strong * self.y,
            "online": rng.random(rows) < np.where(self.y, 0.95, 0.3),
            "limit": np.round(usual * 30),
            "previous_amount": self.per_card(lambda t, y, a: np.append(np.nan, a[:-1])),
            "seconds_since": self.per_card(lambda t, y, a: np.append(np.nan, np.diff(t) / 1000)),
            "rows_before": self.per_card(lambda t, y, a: np.arange(len(t))),
            "frauds_a_week_ago": self.per_card(lambda t, y, a: [(y & (t <= now - 7 * DAY)).sum() for now in t]),
            "is_fraud": self.y.astype(int),
        }

    def per_card(self, figure: Callable[[Array, Array, Array], Any]) -> Array:
        """Compute a figure from the times, labels and amounts of each card."""
        out = np.full(len(self.card), np.nan)
        for card in np.unique(self.card):
            own = np.flatnonzero(self.card == card)
            out[own] = figure(self.time[own], self.y[own], self.amount[own])
        return out


def leaks_of(columns: dict[str, Any], folder: Path, **options: Any) -> list[Finding]:
    """Audit columns as a file."""
    pq.write_table(pa.table(columns), folder / "table.parquet")
    return audit_table(folder / "table.parquet", **options).findings
