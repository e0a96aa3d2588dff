"""What models of the handbook's protocol are given: the published inputs, or the engine's own, as rows and windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.detectors.base import F32, Windows
from training.protocols.fdh_data import Handbook
from training.protocols.fdh_engine import CHANNELS, FROM_LABELS, NAMES, live_columns
from training.protocols.figures import F64, I64

STEPS = 16
WEEK_S, WEEK_WEIGHT = 7 * 86_400, 10.0
KNOWN_WEEK = "terminal_known_frauds_7d"


@dataclass(frozen=True, slots=True)
class Bench:
    """Inputs by position in the handbook.

    Parameters
    ----------
    book
        The transactions.
    engine, first
        Engine rows, and the position of the first of them.
    """

    book: Handbook
    engine: Windows
    first: int

    def published(self, rows: I64) -> F32:
        """The 15 inputs and row by row transforms of them: amount over the card's means, known frauds, (n, 21)."""
        x = self.book.X[rows]
        of = {name: x[:, j] for j, name in enumerate(self.book.inputs)}
        amount = of["TX_AMOUNT"]
        ratios, frauds = [], []
        for days in (1, 7, 30):
            ratios.append(np.log((amount + 1) / (of[f"CUSTOMER_ID_AVG_AMOUNT_{days}DAY_WINDOW"] + 1)))
            window = f"{days}DAY_WINDOW"
            frauds.append(of[f"TERMINAL_ID_NB_TX_{window}"] * of[f"TERMINAL_ID_RISK_{window}"])
        return np.column_stack([x, *ratios, *frauds]).astype(np.float32)

    def published_windows(self, rows: I64) -> Windows:
        """The card's last `STEPS` transactions with their inputs on a logarithmic scale, and the current row."""
        before = previous(self.book.card, rows)
        coded = np.nan_to_num(self.book.X[before])
        steps = np.sign(coded) * np.log1p(np.abs(coded))
        steps[before < 0] = 0.0
        present = (before >= 0)[..., None].astype(np.float32)
        return Windows(np.concatenate([present, steps], axis=2).astype(np.float32), self.published(rows))

    def features(self, rows: I64, names: tuple[str, ...]) -> F32:
        """Engine features by name, (n, d); `KNOWN_WEEK` is made beside the engine."""
        own = [NAMES.index(name) for name in names if name in NAMES]
        parts = [self.engine.row[rows - self.first][:, own]]
        if KNOWN_WEEK in names:
            parts.append(known_week(self.book)[rows, None])
        return np.concatenate(parts, axis=1).astype(np.float32)

    def windows(self, rows: I64, names: tuple[str, ...]) -> Windows:
        """Engine windows (n, K, C) and features by name."""
        return Windows(self.engine.steps[rows - self.first], self.features(rows, names))

    def varying(self, rows: I64) -> tuple[str, ...]:
        """Engine features that vary within some rows: a file without devices or places leaves many empty."""
        columns = live_columns(self.engine.row[rows - self.first])
        return tuple(NAMES[j] for j in columns.tolist() if not _twin(NAMES[j]))


def _twin(name: str) -> bool:
    """Whether a feature says what another says: here a customer has one card and a terminal is its own merchant."""
    return name.startswith(("customer_", "merchant_a", "merchant_p", "merchant_f", "merchant_d", "merchant_new_")) or (
        name == "amount_vs_merchant_mean"
    )


def without_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Features that no label had a part in."""
    return tuple(name for name in names if name not in FROM_LABELS and name != KNOWN_WEEK)


def previous(card: I64, rows: I64) -> I64:
    """Positions of the card's last `STEPS` transactions, the row itself newest, oldest first; -1 none, (n, STEPS)."""
    order = np.argsort(card, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    at = place[rows][:, None] - np.arange(STEPS - 1, -1, -1)[None, :]
    found = order[np.maximum(at, 0)]
    return np.where((at >= 0) & (card[found] == card[rows][:, None]), found, -1)


def known_week(book: Handbook) -> F32:
    """Log of the shrunken share of frauds among the terminal's transactions of 7 to 14 days ago, (n,).

    A rate of the kind that the engine keeps over 28 days, over the last week that a delay of seven days lets one know.
    """
    order = np.lexsort((book.second, book.terminal))
    terminal, second = book.terminal[order], book.second[order]
    key = terminal * np.int64(10**11) + second
    frauds = np.concatenate([[0.0], np.cumsum(book.y[order])])
    high = np.searchsorted(key, key - WEEK_S, side="right")
    low = np.searchsorted(key, key - 2 * WEEK_S, side="right")
    start = np.searchsorted(terminal, terminal, side="left")
    high, low = np.maximum(high, start), np.maximum(low, start)
    share = (frauds[high] - frauds[low] + 0.002 * WEEK_WEIGHT) / (high - low + WEEK_WEIGHT)
    out: F64 = np.empty(len(order))
    out[order] = np.log(share / 0.002)
    return out.astype(np.float32)


def shuffled(windows: Windows, seed: int) -> Windows:
    """Windows with the earlier steps in an order of chance: the control of whether order tells anything."""
    rng = np.random.default_rng(seed)
    turn = np.argsort(rng.random(windows.steps.shape[:2])[:, :-1], axis=1)
    steps = windows.steps.copy()
    steps[:, :-1] = np.take_along_axis(windows.steps[:, :-1], turn[:, :, None], axis=1)
    return Windows(steps, windows.row)


def current_row(windows: Windows) -> Windows:
    """Windows whose earlier steps are empty: the control that sees the current row alone."""
    steps = np.zeros_like(windows.steps)
    steps[:, -1] = windows.steps[:, -1]
    return Windows(steps, windows.row)


__all__ = ["CHANNELS", "KNOWN_WEEK", "Bench", "current_row", "shuffled", "without_labels"]
