"""Labels of a history: Parquet with the fields of the messages, each with the partition that its card is in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kafka.partitioner.default import murmur2

from stream.codec.hashing import hash_column
from stream.codec.times import INVALID, time_column
from stream.entities.labels import FRAUD, GENUINE, TRUST, Label
from stream.entities.partials import KINDS
from stream.errors import DecodeError, SettingError
from stream.events import I64

_REQUIRED = ("transaction_id", "card_id", "event_time", "verdict", "source", "decided_at")
_VERDICTS = {"fraud": FRAUD, "genuine": GENUINE}


def partitions_of(cards: Sequence[str | bytes], count: int) -> I64:
    """The partition that each card has in a topic keyed by card id, as Kafka's default partitioner gives it, (n,)."""
    known: dict[str | bytes, int] = {}
    for card in cards:
        if card not in known:
            key = card if isinstance(card, bytes) else card.encode("utf-8", "surrogatepass")
            known[card] = (murmur2(key) & 0x7FFFFFFF) % count
    return np.fromiter(map(known.__getitem__, cards), np.int64, len(cards))


def read_label_history(path: Path, partitions: int, kinds: Sequence[str] = KINDS) -> list[tuple[int, Label]]:
    """Read ``labels.parquet``.

    Parameters
    ----------
    path
        The file; see deploy/schemas/feedback.json for its columns.
    partitions
        Of the topic that the cards key.
    kinds
        Entities that labels count for; ``<kind>_id`` names each.

    Returns
    -------
    list of (int, Label)
        Each with its card's partition, in order of their decisions, which is the order in which they arrive.

    Raises
    ------
    SettingError
        The file is no Parquet or lacks a required column.
    DecodeError
        A row is no label; the text names its transaction.
    """
    rows = _columns(path, [*_REQUIRED, "revision", *(f"{kind}_id" for kind in kinds)])
    times = {name: time_column(rows[name])[0] for name in ("event_time", "decided_at")}
    _check(path, rows, times)
    keys = zip(*(hash_column(rows[f"{kind}_id"]).tolist() for kind in kinds), strict=True)
    labels = map(
        Label,
        range(len(rows["card_id"])),
        hash_column(rows["transaction_id"]).tolist(),
        keys,
        times["event_time"].tolist(),
        times["decided_at"].tolist(),
        [int(revision or 0) for revision in rows["revision"]],
        [TRUST[source] for source in rows["source"]],
        [_VERDICTS[verdict] for verdict in rows["verdict"]],
    )
    told = list(zip(partitions_of(rows["card_id"], partitions).tolist(), labels, strict=True))
    return sorted(told, key=lambda one: one[1].decided_at)


def _columns(path: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise SettingError(f"the labels {path} cannot be read as Parquet: {str(error)[:120]}") from None
    for name in _REQUIRED:
        if name not in table.column_names:
            raise SettingError(f"the labels {path} lack the column {name}; see deploy/schemas/feedback.json")
    columns: dict[str, list[Any]] = {}
    for name in names:
        column = table.column(name) if name in table.column_names else pa.nulls(table.num_rows)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False).cast(pa.int64())
        columns[name] = column.to_pylist()
    return columns


def _check(path: Path, rows: dict[str, list[Any]], times: dict[str, I64]) -> None:
    for name, known in (("verdict", _VERDICTS), ("source", TRUST)):
        for row, value in enumerate(rows[name]):
            if value not in known:
                told = f"{name} {value!r:.20} is none of {', '.join(known)}"
                raise DecodeError("feedback", f"{path}, label of {rows['transaction_id'][row]}: {told}")
    for name, time in times.items():
        if (time == INVALID).any():
            row = int(np.argmax(time == INVALID))
            raise DecodeError("feedback", f"{path}, label of {rows['transaction_id'][row]}: {name} is no time")
    for name in ("transaction_id", "card_id"):
        if not all(rows[name]):
            raise DecodeError("feedback", f"{path}: a label has no {name}")
