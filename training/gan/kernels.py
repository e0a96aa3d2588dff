"""Transactions through the live feature kernels: what a detector would see of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.codec import read_columns
from stream.codec.columns import take
from stream.entities.label_history import partitions_of
from stream.events import Columns, Flag
from stream.features import FEATURES
from stream.replay import PARTITIONS, History, Replay
from training.gan.layout import STEPS

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows after the warm-up as the kernels tell them.

    Parameters
    ----------
    X, S
        (n, d) features; (n, K, C) windows.
    card, fraud
        (n,) code of the card; made or known as fraud.
    ends
        (n,) whether a card's next `STEPS` rows end here: such windows share no row.
    """

    X: npt.NDArray[np.float32]
    S: npt.NDArray[np.float32]
    card: npt.NDArray[np.int64]
    fraud: npt.NDArray[np.bool_]
    ends: npt.NDArray[np.bool_]

    def windows(self) -> tuple[Array, Array, Array]:
        """Of windows that share no row: the newest features with each channel's mean and spread; steps; cards."""
        S = self.S[self.ends]
        return np.concatenate([self.X[self.ends], S.mean(1), S.std(1)], axis=1), S, self.card[self.ends]


def see(columns: Columns, cards: list[str], fraud: Array, warm_up: float) -> Seen:
    """Replay transactions without labels or account events, keyed by card, from an empty state.

    Parameters
    ----------
    warm_up
        Share of the time at the beginning that only fills the state.
    """
    names, code = np.unique(np.asarray(cards), return_inverse=True)
    begin, end = int(columns.event_time.min()), int(columns.event_time.max())
    told = columns.event_time >= begin + warm_up * (end - begin)
    X, S = Replay(History(columns, partitions_of(cards, PARTITIONS))).rows(told)
    kept = ((columns.flags & (Flag.LATE | Flag.DUPLICATE)) == 0)[told]
    card = code.astype(np.int64)[told][kept]
    order = np.argsort(card, kind="stable")
    start = np.searchsorted(card[order], np.arange(len(names)))
    place = np.empty(len(card), np.int64)
    place[order] = np.arange(len(card)) - start[card[order]]
    return Seen(X[kept], S[kept], card, np.asarray(fraud, bool)[told][kept], place % STEPS == STEPS - 1)


def see_file(path: Path, rows: Array | None, fraud: Array | None, warm_up: float) -> Seen:
    """Replay a file, or some of its rows; without ``fraud``, the file's own column of that name tells it."""
    import pyarrow.parquet as pq

    columns, cards = read_columns(path)
    if fraud is None:
        fraud = np.asarray(pq.read_table(path, columns=["fraud"]).column(0).to_pylist(), bool)
    if rows is not None:
        columns, cards, fraud = take(columns, rows), [cards[row] for row in rows.tolist()], fraud[rows]
    return see(columns, cards, fraud, warm_up)


def told_without() -> npt.NDArray[np.bool_]:
    """Which columns of X need labels or account events, which nobody generates."""
    return np.array([f.name.endswith("fraud_rate") for f in FEATURES])
