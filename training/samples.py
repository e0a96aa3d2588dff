"""A history as models learn from it: features by the live code, labels as they became known, truth where it exists."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.codec import read_columns
from stream.entities.history import read_event_history
from stream.entities.label_history import partitions_of, read_label_history
from stream.errors import DecodeError, SettingError
from stream.events import Columns, Flag
from stream.replay import PARTITIONS, History, Replay
from training.checks import check_order

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows of one or more banks, each bank's in order of time.

    Parameters
    ----------
    X, S
        (n, d) features and (n, K, C) windows.
    y
        (n,) 1.0 where a fraud was reported in time to learn from it: unreported frauds are 0, false claims 1.
    fraud
        (n,) the truth where the history has it, else the labels; for figures only.
    card, bank
        (n,) codes; a card's code is its own over all banks.
    fraud_case, story
        (n,) episode of the fraud (-1 none) and its story's name ("" none or unknown).
    """

    X: F32
    S: F32
    y: F64
    fraud: npt.NDArray[np.bool_]
    event_time: I64
    card: I64
    bank: I64
    fraud_case: I64
    story: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, chosen: npt.NDArray[Any]) -> Samples:
        """Select rows by mask or position."""
        return Samples(**{f.name: getattr(self, f.name)[chosen] for f in fields(Samples)})

    def sha256(self) -> str:
        """Hash features, windows and labels."""
        digest = hashlib.sha256()
        for array in (self.X, self.S, self.y, self.event_time):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def join(parts: Sequence[Samples]) -> Samples:
    """Put the rows of several histories after one another."""
    return Samples(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Samples)})


def histories(directory: Path) -> list[Path]:
    """Find the histories in a folder: itself, or every subfolder with ``transactions.parquet``, by name.

    Raises
    ------
    SettingError
        There is none.
    """
    if (directory / "transactions.parquet").is_file():
        return [directory]
    found = sorted(path.parent for path in directory.glob("*/transactions.parquet"))
    if not found:
        raise SettingError(
            f"--history {directory} holds no transactions.parquet; make one with: fraudstream simulate --out"
        )
    return found


def read_samples(
    directory: Path,
    *,
    bank: int,
    warm_up_days: float,
    choose: Callable[[F64], Mask] | None = None,
    disorder_s: float = 0.0,
) -> Samples:
    """Read transactions, labels and, where they exist, account events and the truth, each ``<name>.parquet``.

    Features see of labels and events what was known at the time, and of merchants and terminals what a worker would
    have seen whose topic has 8 partitions and is keyed by card.

    Parameters
    ----------
    directory
        Folder with the files.
    bank
        Code of this history; card codes and case numbers are made unique by it.
    warm_up_days
        Days at the start that only fill the state; late and repeated transactions are left out too.
    choose
        Tells from y which rows to keep; all when absent.
    disorder_s
        Seconds by which a transaction may be older than the newest one before it.

    Raises
    ------
    SettingError
        No labels, no time, not in order of time, or no row after the warm-up.
    """
    columns, cards = read_transactions(directory / "transactions.parquet", disorder_s)
    ids = _table(directory / "transactions.parquet", ["transaction_id"])["transaction_id"]
    position = {name: row for row, name in enumerate(ids)}
    y = _labels(directory / "labels.parquet", position)
    fraud, story, case = _truth(directory / "truth.parquet", position, y)
    start = int(columns.event_time.min()) + int(warm_up_days * DAY_MS) if len(ids) else 0
    told = columns.event_time >= start
    if choose is not None:
        told &= choose(y)
    X, S = Replay(_history(directory, columns, cards)).rows(told)
    kept = (columns.flags & (Flag.LATE | Flag.DUPLICATE)) == 0
    if not (kept & told).any():
        raise SettingError(f"the history {directory} ends within the warm-up of {warm_up_days:g} days; use more --days")
    _, codes = np.unique(np.asarray(cards), return_inverse=True)
    offset, none = np.int64(bank) << 40, np.empty((len(y), 0), np.float32)
    rest = Samples(
        none, none, y, fraud, columns.event_time, codes.astype(np.int64) + offset, np.full(len(y), bank, np.int64),
        np.where(case >= 0, case + offset, -1), story,
    )  # fmt: skip
    return replace(rest.take(told), X=X, S=S).take(kept[told])


def read_transactions(path: Path, disorder_s: float) -> tuple[Columns, list[str]]:
    """Read ``transactions.parquet``: columns and card ids.

    Raises
    ------
    SettingError
        A row is no transaction, or they are not in order of time; see `training.checks.check_order`.
    """
    try:
        columns, cards = read_columns(path)
    except DecodeError as error:
        raise SettingError(f"{path} holds what is no transaction: {error}; mend that row or leave it out") from None
    check_order(columns.event_time, path, disorder_s)
    return columns, cards


def _history(directory: Path, columns: Columns, cards: Sequence[str]) -> History:
    """The history as topics keyed by card would hold it, with what labels and account events told at the time."""
    events = directory / "events.parquet"
    return History(
        columns,
        partitions_of(cards, PARTITIONS),
        read_label_history(directory / "labels.parquet", PARTITIONS),
        read_event_history(events) if events.is_file() else None,
    )


def _table(path: Path, names: list[str]) -> dict[str, list[Any]]:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=names)
    except (OSError, ValueError, KeyError) as error:
        raise SettingError(f"{path} cannot be read with columns {', '.join(names)}: {str(error)[:120]}") from None
    return {name: table.column(name).to_pylist() for name in names}


def _labels(path: Path, position: dict[str, int]) -> F64:
    y = np.zeros(len(position))
    table = _table(path, ["transaction_id", "verdict"])  # in order of arrival: a later revision overwrites
    for name, verdict in zip(table["transaction_id"], table["verdict"], strict=True):
        row = position.get(name)
        if row is not None:
            y[row] = verdict == "fraud"
    return y


def _truth(path: Path, position: dict[str, int], y: F64) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.str_], I64]:
    n = len(y)
    fraud, story, case = y > 0, np.full(n, "", "U24"), np.full(n, -1, np.int64)
    if path.is_file():
        table = _table(path, ["transaction_id", "fraud", "story", "fraud_case"])
        rows = np.array([position[name] for name in table["transaction_id"]])
        fraud[rows] = np.asarray(table["fraud"], bool)
        story[rows] = np.asarray([name or "" for name in table["story"]])
        case[rows] = np.array([-1 if number is None else number for number in table["fraud_case"]], np.int64)
    return fraud, story, case
