"""Raw transactions through the engine's own features: is the past the same whatever the future holds?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from stream.codec import columns_from, take
from stream.codec.columns import fields_of
from stream.entities.label_history import partitions_of
from stream.errors import SettingError
from stream.events import Columns, Transaction
from stream.features import FEATURE_NAMES
from stream.replay import PARTITIONS, History, Replay
from training.audit.findings import Finding
from training.audit.table import F64, I64, Column
from training.data.mapping import Mapping
from training.data.replay import Replay as Foreign

F32 = npt.NDArray[np.float32]
MOST_ROWS = 200_000


def foreign_history(file: Path, mapping: Mapping) -> tuple[History, I64]:
    """Read a foreign file through its mapping: at most `MOST_ROWS` transactions, and their places in the file.

    Raises
    ------
    SettingError
        No row of it becomes a transaction.
    """
    rows: list[Transaction] = []
    places: list[int] = []
    decode = msgspec.json.Decoder(Transaction).decode
    foreign = Foreign(file, mapping, limit=MOST_ROWS)
    for first, block in foreign.mapped_blocks():
        rows += [decode(value) for value in block.values]
        places += [first + row for row in block.kept]
    columns, problems = columns_from(fields_of(rows))
    good = np.array([row not in problems for row in range(len(rows))], bool)
    if not good.any():
        why = next(iter({**foreign.unmapped, **dict.fromkeys(problems.values(), 1)}), "the file has no rows")
        raise SettingError(f"no row of {file} becomes a transaction ({why}); see the mapping")
    if len(columns) == len(rows):
        columns = take(columns, good)
    kept = np.flatnonzero(good)
    at, place = columns.event_time, np.asarray(places, np.int64)[kept]
    order = np.argsort(at, kind="stable")
    cards = [rows[row].card_id for row in kept[order].tolist()]
    return History(take(columns, order), partitions_of(cards, PARTITIONS)), place[order]


def check(history: History, cut: float = 0.6) -> tuple[list[Finding], F32]:
    """Compute features of the older rows again, without what came later and with other things later.

    Returns
    -------
    list of Finding
        None when they are the same to the last bit.
    X : float32 (n, d)
        Features of all rows.
    """
    n = len(history.columns)
    edge = int(cut * n)
    X, _ = Replay(history).rows()
    out: list[Finding] = []
    for told, other in (("without its future", _cut(history, edge)), ("with another future", _altered(history, edge))):
        Y, _ = Replay(other).rows()
        same = (X[:edge] == Y[:edge]) | (np.isnan(X[:edge]) & np.isnan(Y[:edge]))
        differs = [FEATURE_NAMES[j] for j in np.flatnonzero(~same.all(axis=0))]
        if differs:
            what = f"{len(differs)} features of older rows, such as {differs[0]}, are not the same {told}"
            remedy = "Sort the file by time, and report this with the mapping"
            out.append(Finding("kernels", differs[0], what, {"features": float(len(differs))}, remedy))
            break
    return out, X


def engine_columns(X: F32, places: I64, rows: int) -> list[Column]:
    """Features as columns of a table in the file's order; rows that were not computed are missing."""
    out = []
    for j, name in enumerate(FEATURE_NAMES):
        values: F64 = np.full(rows, np.nan)
        values[places] = X[:, j]
        out.append(Column(f"engine {name}", values, "number"))
    return out


def _cut(history: History, edge: int) -> History:
    columns = take(history.columns, slice(0, edge))
    return _known(history, columns, slice(0, edge), int(columns.event_time.max()))


def _altered(history: History, edge: int) -> History:
    """Every second later transaction dropped; the others get each other's amounts, places and devices."""
    n = len(history.columns)
    later = np.arange(edge, n, 2)
    rows = np.concatenate([np.arange(edge), later])
    mixed = np.concatenate([np.arange(edge), np.random.default_rng(0).permutation(later)])
    kept, other = take(history.columns, rows), take(history.columns, mixed)
    swapped = ("merchant_key", "terminal_key", "device_key", "ip_key", "country", "mcc", "channel")
    columns = replace(
        kept,
        amount_minor=other.amount_minor * np.where(np.arange(len(rows)) < edge, 1, 3),
        **{name: getattr(other, name) for name in swapped},
    )
    return _known(history, columns, rows, int(history.columns.event_time[:edge].max()))


def _known(history: History, columns: Columns, rows: I64 | slice, until: int) -> History:
    """The history of these rows with the labels and account events of up to a moment."""
    labels = [one for one in history.labels if one[1].decided_at <= until]
    events = None if history.events is None else history.events.take(history.events.time <= until)
    return History(columns, None if history.partition is None else history.partition[rows], labels, events)
