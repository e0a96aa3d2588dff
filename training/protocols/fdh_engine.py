"""The handbook's transactions through the engine's own feature code: mapping, labels a week late, kernels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stream.codec import read_columns
from stream.entities.label_history import partitions_of, read_label_history
from stream.features import PROGRAM, SEQUENCE_CHANNELS
from stream.replay import PARTITIONS, History, Replay
from training.data.mapping import Labels, Mapping, Time
from training.data.replay import Replay as Foreign
from training.detectors.base import F32, Windows
from training.protocols.fdh_data import DELAY, RAW, READ_UNTIL, Handbook
from training.protocols.figures import I64

DAY_MS = 86_400_000
# as docs/examples/fdh.toml, which a user of `fraudstream replay` would give
MAPPING = Mapping(
    columns={
        "transaction_id": "TRANSACTION_ID",
        "event_time": "TX_DATETIME",
        "card_id": "CUSTOMER_ID",
        "customer_id": "CUSTOMER_ID",
        "terminal_id": "TERMINAL_ID",
        "merchant_id": "TERMINAL_ID",
        "amount": "TX_AMOUNT",
    },
    constants={"currency": "EUR", "type": "purchase"},
    prefix={
        "transaction_id": "fdh-",
        "card_id": "fdh-card-",
        "customer_id": "C",
        "terminal_id": "T",
        "merchant_id": "M",
    },
    time=Time(zone="UTC"),
    labels=Labels(truth="TX_FRAUD"),
)
NAMES = tuple(feature.name for feature in PROGRAM.features)
FROM_LABELS = frozenset(feature.name for feature in PROGRAM.features if feature.from_labels)
CHANNELS = tuple(channel.name for channel in SEQUENCE_CHANNELS)


def engine_rows(folder: Path, book: Handbook, first_day: int) -> Windows:
    """Features and windows of every transaction from a day on, as a worker would have had them.

    All transactions before move the state. Every fraud is reported as a chargeback, seven days after it happened.

    Parameters
    ----------
    folder, book
        The data, as a folder and as `load` reads it.
    first_day
        First day that is told, counted as in ``book.day``.

    Returns
    -------
    Windows
        Windows (m, K, C) and features (m, d), in the order of `book`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        history = _history(folder, book, Path(scratch))
    wanted = book.day >= first_day
    X, S = Replay(history).rows(wanted)
    return Windows(S, X)


def _history(folder: Path, book: Handbook, scratch: Path) -> History:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    until = pa.scalar(np.datetime64(READ_UNTIL, "s"), pa.timestamp("s"))
    raw = pq.read_table(folder / RAW, columns=MAPPING.needed(), filters=pc.field("TX_DATETIME") < until)
    position = np.full(int(book.transaction.max()) + 1, -1, np.int64)
    position[book.transaction] = np.arange(len(book.transaction))
    ids = raw.column("TRANSACTION_ID").to_numpy()
    place = np.where(ids < len(position), position[np.minimum(ids, len(position) - 1)], -1)
    order = np.argsort(place, kind="stable")
    pq.write_table(raw.take(pa.array(order[np.flatnonzero(place[order] >= 0)])), scratch / "raw.parquet")
    source, decode = Foreign(scratch / "raw.parquet", MAPPING), msgspec.json.Decoder(dict[str, Any]).decode
    writer = None
    for mapped in source.mapped():
        rows = pa.Table.from_pylist([decode(value) for value in mapped.values])
        rows = rows.set_column(rows.column_names.index("event_time"), "event_time", pa.array(mapped.event_ms))
        writer = writer or pq.ParquetWriter(scratch / "transactions.parquet", rows.schema)
        writer.write_table(rows)
    if writer is not None:
        writer.close()
    pq.write_table(_labels(book), scratch / "labels.parquet")
    columns, cards = read_columns(scratch / "transactions.parquet")
    labels = read_label_history(scratch / "labels.parquet", PARTITIONS)
    return History(columns, partitions_of(cards, PARTITIONS), labels)


def _labels(book: Handbook) -> Any:
    import pyarrow as pa

    fraud = np.flatnonzero(book.y > 0)
    happened = book.second[fraud] * 1000

    def named(field: str, values: I64) -> Any:
        return pa.array([f"{MAPPING.prefix[field]}{value}" for value in values.tolist()])

    return pa.table(
        {
            "transaction_id": named("transaction_id", book.transaction[fraud]),
            "card_id": named("card_id", book.card[fraud]),
            "merchant_id": named("merchant_id", book.terminal[fraud]),
            "terminal_id": named("terminal_id", book.terminal[fraud]),
            "event_time": pa.array(happened),
            "decided_at": pa.array(happened + DELAY * DAY_MS),
            "verdict": pa.array(["fraud"] * len(fraud)),
            "source": pa.array(["chargeback"] * len(fraud)),
        }
    )


def live_columns(X: F32) -> I64:
    """Positions of the columns (n, d) that vary at all: a file without devices or places leaves many empty."""
    return np.array([j for j in range(X.shape[1]) if _varies(X[:, j])], np.int64)


def _varies(column: F32) -> bool:
    seen = column[np.isfinite(column)]
    return len(seen) > 0 and bool((seen != seen[0]).any() or len(seen) < len(column))


__all__ = ["CHANNELS", "FROM_LABELS", "NAMES", "READ_UNTIL", "engine_rows", "live_columns"]
