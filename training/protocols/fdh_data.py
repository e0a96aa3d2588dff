"""The Fraud Detection Handbook's data and folds; later weeks are sealed and never read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.errors import SettingError
from training.protocols.figures import F64, I64, Judged

F32 = npt.NDArray[np.float32]
RAW, PUBLISHED = "fdh_transactions.parquet", "fdh_published.csv"
DAY_S = 86_400
TRAIN, DELAY, TEST = 7, 7, 7  # days
VALIDATION_STARTS = ("2018-07-11", "2018-07-04", "2018-06-27", "2018-06-20")
TEST_STARTS = ("2018-08-15", "2018-08-08", "2018-08-01", "2018-07-25")
SEALED_STARTS = ("2018-09-03", "2018-09-10")  # nobody has looked at these weeks; a last judgement needs them unseen
READ_UNTIL = "2018-09-05"  # the day after the last test week: what is later is not even read
_COLUMNS = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD", "TX_FRAUD_SCENARIO"]


@dataclass(frozen=True, slots=True)
class Handbook:
    """Transactions in order of time, and the 15 published inputs of those that have them.

    Parameters
    ----------
    second, day
        Seconds since 1970 and days since the first day, (n,).
    card, terminal, scenario
        (n,) as the file has them; the scenario is for figures by scenario and never an input.
    X
        (n, 15) published inputs, NaN in rows before the published features begin.
    """

    transaction: I64
    second: I64
    day: I64
    card: I64
    terminal: I64
    amount: F64
    y: F64
    scenario: I64
    X: F32
    inputs: tuple[str, ...]

    def judged(self, rows: I64) -> Judged:
        """What figures need of some rows."""
        return Judged(self.y[rows], self.card[rows], self.day[rows])


@dataclass(frozen=True, slots=True)
class Fold:
    """Positions of the training rows and of the rows that are judged, both in order of time."""

    start: str
    train: I64
    test: I64


def load(folder: Path) -> Handbook:
    """Read the raw table and the published features up to the sealed weeks.

    Raises
    ------
    SettingError
        A file is missing or lacks a column.
    """
    import pyarrow as pa

    raw = _table(folder / RAW, _COLUMNS).sort_by([("TX_DATETIME", "ascending"), ("TRANSACTION_ID", "ascending")])
    second = raw.column("TX_DATETIME").cast(pa.timestamp("s"), safe=False).cast(pa.int64()).to_numpy()
    raw = raw.drop_columns(["TX_DATETIME"])
    of = {name: np.asarray(raw.column(name).to_numpy()) for name in raw.column_names}
    found = sorted(folder.glob("fdh_features_*.parquet"))
    if not found:
        raise SettingError(
            f"--data {folder} holds no fdh_features_*.parquet; name the folder with the handbook's files"
        )
    derived = _table(found[0], None)
    names = [name for name in derived.column_names if name != "TRANSACTION_ID"]
    X = np.full((len(second), 1 + len(names)), np.nan, np.float32)
    X[:, 0] = of["TX_AMOUNT"]
    place = np.full(int(of["TRANSACTION_ID"].max()) + 1, -1, np.int64)
    place[of["TRANSACTION_ID"]] = np.arange(len(second))
    ids = derived.column("TRANSACTION_ID").to_numpy()
    ids_in = ids < len(place)
    rows = place[ids[ids_in]]
    for j, name in enumerate(names):
        X[rows[rows >= 0], 1 + j] = derived.column(name).to_numpy()[ids_in][rows >= 0]
    return Handbook(
        of["TRANSACTION_ID"].astype(np.int64), second, second // DAY_S - second[0] // DAY_S,
        of["CUSTOMER_ID"].astype(np.int64), of["TERMINAL_ID"].astype(np.int64), of["TX_AMOUNT"].astype(np.float64),
        of["TX_FRAUD"].astype(np.float64), of["TX_FRAUD_SCENARIO"].astype(np.int64), X, ("TX_AMOUNT", *names),
    )  # fmt: skip


def _table(path: Path, names: list[str] | None) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        if names is None:
            return pq.read_table(path)
        until = pa.scalar(np.datetime64(READ_UNTIL, "s"), pa.timestamp("s"))
        return pq.read_table(path, columns=names, filters=pc.field("TX_DATETIME") < until)
    except (OSError, ValueError, KeyError) as error:
        told = f" with columns {', '.join(names)}" if names else ""
        raise SettingError(f"{path} cannot be read{told}: {str(error).splitlines()[0][:120]}") from None


def fold(book: Handbook, start: str) -> Fold:
    """Cut one fold: 7 days of training, 7 of delay, 7 that are judged, without cards known to be compromised.

    A card is left out from a day on by every fraud of the training week and by those of the days that a delay of seven
    days lets one know by then.

    Raises
    ------
    SettingError
        The fold reaches into the sealed weeks, or its days are not in the data.
    """
    begin = np.datetime64(start, "D")
    if start in SEALED_STARTS or begin + TRAIN + DELAY + TEST > np.datetime64(READ_UNTIL):
        raise SettingError(f"the fold with training start {start} is sealed: it is kept for a last judgement")
    first = int(begin.astype(np.int64)) - int(book.second[0]) // DAY_S
    train = np.flatnonzero((book.day >= first) & (book.day < first + TRAIN))
    known = set(book.card[train[book.y[train] > 0]].tolist())
    judged: list[I64] = []
    for k in range(TEST):
        late = np.flatnonzero((book.day == first + TRAIN + k - 1) & (book.y > 0))
        known.update(book.card[late].tolist())
        rows = np.flatnonzero(book.day == first + TRAIN + DELAY + k)
        judged.append(rows[~np.isin(book.card[rows], np.fromiter(known, np.int64, len(known)))])
    test = np.concatenate(judged)
    if not len(train) or not len(test):
        raise SettingError(f"the data holds no transactions of the fold with training start {start}")
    return Fold(start, train, test)


def folds(book: Handbook, starts: tuple[str, ...]) -> list[Fold]:
    """Cut several folds."""
    return [fold(book, start) for start in starts]
