"""Account events of a history: Parquet with the fields of the messages, through the same door as live ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stream.codec.columns import UNKEYED
from stream.codec.times import INVALID
from stream.codec.tokens import Tokens
from stream.entities.account import EVENT_TYPES, AccountEvent, Events, events_of
from stream.errors import DecodeError, SettingError

_REQUIRED = ("event_id", "type", "event_time")


def read_event_history(path: Path, tokens: Tokens = UNKEYED) -> Events:
    """Read ``events.parquet``; rows of types that nothing is made of are passed over.

    Parameters
    ----------
    path
        The file; see deploy/schemas/event.json for its columns.
    tokens
        As for the transactions of the same history, so that their card keys are equal.

    Raises
    ------
    SettingError
        The file is no Parquet or lacks a required column.
    DecodeError
        A time is none, or a row says of nobody whose event it is; the text names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise SettingError(f"the events {path} cannot be read as Parquet: {str(error)[:120]}") from None
    for name in _REQUIRED:
        if name not in table.column_names:
            raise SettingError(f"the events {path} lack the column {name}; see deploy/schemas/event.json")
    columns = {}
    for name in AccountEvent.__struct_fields__:
        if name not in table.column_names:
            columns[name] = [None] * table.num_rows
            continue
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False).cast(pa.int64())
        columns[name] = column.to_pylist()
    rows = [
        AccountEvent(**dict(zip(columns, values, strict=True)))
        for values in zip(*columns.values(), strict=True)
        if values[1] in EVENT_TYPES
    ]
    events = events_of(rows, lambda cards: tokens.keys_of([tokens[card] for card in cards]))
    for bad, what in (
        (events.time == INVALID, "event_time is neither ISO 8601 nor an epoch number"),
        ((events.customer_key == 0) & (events.card_key == 0), "neither customer_id nor card_id says whose event it is"),
    ):
        if bad.any():
            raise DecodeError("events", f"{path}, event {rows[int(np.argmax(bad))].event_id}: {what}")
    return events
