"""A history in a folder (transactions, labels, account events) as the engine and as the checks need it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stream.entities.history import read_event_history
from stream.entities.label_history import partitions_of, read_label_history
from stream.replay import PARTITIONS, History
from training.audit.findings import Finding
from training.audit.table import Column, Mask, Sheet, read_columns
from training.audit.table import codes_of as codes
from training.audit.table import column_of as column
from training.samples import read_transactions

_ENTITIES = ("card_id", "customer_id", "merchant_id", "terminal_id", "device_id")
_PLAIN = ("transaction_id", "event_time", *_ENTITIES)
_DAY = 86_400_000.0


def read(folder: Path) -> tuple[History, Sheet]:
    """Read a history; a transaction is fraud when its last verdict says so.

    Raises
    ------
    SettingError
        A file is not there, cannot be read, or is not in order of time.
    """
    columns, cards = read_transactions(folder / "transactions.parquet", 0.0)
    events = folder / "events.parquet"
    history = History(
        columns,
        partitions_of(cards, PARTITIONS),
        read_label_history(folder / "labels.parquet", PARTITIONS),
        read_event_history(events) if events.is_file() else None,
    )
    table = {name: column(name, values) for name, values in read_columns(folder / "transactions.parquet").items()}
    y, decided = _labels(folder / "labels.parquet", table["transaction_id"].categories)
    named = table["transaction_id"].values.astype(np.int64)
    rest = [one for name, one in table.items() if name not in _PLAIN]
    sheet = Sheet(
        rest,
        y[named],
        columns.event_time.astype(np.float64),
        np.arange(len(columns)),
        {name: codes(table[name]) for name in _ENTITIES if name in table},
        {"transaction_id": named},
        table["amount"].values,
        decided[named],
        {"label": "labels.parquet", "time": "event_time", "entities": list(_ENTITIES), "label_time": "decided_at"},
    )
    return history, sheet


def _labels(path: Path, ids: list[str]) -> tuple[Mask, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    table = {name: column(name, values) for name, values in read_columns(path).items()}
    place = {name: row for row, name in enumerate(ids)}
    y, decided = np.zeros(len(ids), bool), np.full(len(ids), np.nan)
    names, verdicts = _texts(table["transaction_id"]), _texts(table["verdict"])
    for name, verdict, at in zip(names, verdicts, table["decided_at"].values.tolist(), strict=True):
        row = place.get(name)
        if row is not None:  # in order of arrival: a later revision overwrites, the first fraud verdict is what counts
            y[row] = verdict == "fraud"
            decided[row] = at if np.isnan(decided[row]) else decided[row]
    return y, decided


def _texts(one: Column) -> list[str]:
    return [one.categories[int(code)] for code in one.values.tolist()]


def check_decisions(folder: Path) -> list[Finding]:
    """Labels, of either verdict, that were decided before their transaction."""
    table = {name: column(name, values) for name, values in read_columns(folder / "labels.parquet").items()}
    lag = table["decided_at"].values - table["event_time"].values
    early = int((lag < 0).sum())
    if not early:
        return []
    days = -lag.min() / _DAY
    what = f"{early:,} of {len(lag):,} labels were decided before their transaction, by up to {days:,.1f} days"
    remedy = "Use the time at which the verdict was known, not that of the transaction"
    return [Finding("label_timing", "decided_at", what, {"labels_before": float(early)}, remedy)]
