"""What training refuses before it learns anything from it, in one sentence that says how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream.errors import SettingError

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
MIN_FRAUDS = 5  # in each part; below it neither early stopping nor calibration means anything


def check_order(event_time: I64, where: Path, disorder_s: float = 0.0) -> None:
    """Refuse transactions that do not come in order of time.

    Parameters
    ----------
    event_time
        (n,) milliseconds, in the order of the file.
    where
        The file, for the sentence.
    disorder_s
        Seconds by which a transaction may be older than the newest one before it.

    Raises
    ------
    SettingError
        One is older than that.
    """
    if not len(event_time):
        return
    behind = np.maximum.accumulate(event_time) - event_time
    wrong = np.flatnonzero(behind > disorder_s * 1000)
    if len(wrong):
        raise SettingError(
            f"{where} is not sorted by event_time: row {wrong[0]} and {len(wrong) - 1:,} more are older than a row "
            f"before them, at most by {behind.max() / 1000:,.0f} s; sort the file, or allow a log's own disorder with "
            "--disorder-s"
        )


def check_classes(y: F64, where: str) -> None:
    """Refuse labels of one class only.

    Raises
    ------
    SettingError
        There is no fraud, or nothing else.
    """
    frauds, n = int(y.sum()), len(y)
    if frauds == 0:
        raise SettingError(
            f"{where} has no transaction that is labelled as fraud, so there is nothing to tell from the genuine ones; "
            "check that labels.parquet names the transaction_ids of transactions.parquet"
        )
    if frauds == n:
        raise SettingError(
            f"{where} has no genuine transaction: all {n:,} are labelled as fraud; "
            "give the whole history, not its frauds alone"
        )


def check_frauds(parts: Iterable[tuple[str, F64]], least: int) -> None:
    """Refuse parts with fewer reported frauds than `least`, each given by its name and its labels.

    Raises
    ------
    SettingError
        One has fewer.
    """
    for name, y in parts:
        if y.sum() < least:
            raise SettingError(
                f"the {name} part of the history has {int(y.sum())} reported frauds, fewer than the {least} of "
                "--min-frauds; use more cards or days"
            )
