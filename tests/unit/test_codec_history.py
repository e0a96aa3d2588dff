"""A history in Parquet comes through the same door as live messages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import SOURCE, START, message, records, settings

from stream.codec import Codec, read_columns, read_history
from stream.errors import DecodeError, SettingError

BODIES = [
    json.loads(message(i, card_id=f"c{i % 3}", mcc="5411", country="DE", device_id="d" if i % 2 else None))
    for i in range(10)
]


def parquet(path: Path, bodies: list[dict[str, Any]], **schema: Any) -> Path:
    table = pa.Table.from_pylist(bodies)
    for name, kind in schema.items():
        at = table.column_names.index(name)
        table = table.set_column(at, name, table.column(name).cast(kind))
    pq.write_table(table, path)
    return path


def test_rows_columns_and_cards_equal_those_of_the_live_messages(tmp_path: Path) -> None:
    names = sorted({name for body in BODIES for name in body})
    bodies = [{name: body.get(name) for name in names} for body in BODIES]
    file = parquet(tmp_path / "h.parquet", bodies, event_time=pa.timestamp("ms", tz="UTC"))
    codec = Codec(settings())
    rows, columns, cards = read_history(file, codec.tokens)
    live = codec.decode(records([json.dumps(body).encode() for body in BODIES]), SOURCE)
    for field in dataclasses.fields(columns):
        mine, theirs = getattr(columns, field.name), getattr(live.columns, field.name)
        assert np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"), field.name
    assert cards == [body["card_id"] for body in BODIES] == [row.card_id for row in live.rows]
    assert [row.amount for row in rows] == [20.0] * 10
    lean, again = read_columns(file)
    assert again == cards and np.array_equal(lean.merchant_key, columns.merchant_key)


def test_a_bad_row_or_file_is_named(tmp_path: Path) -> None:
    bad = [*BODIES[:3], BODIES[3] | {"amount": -5.0}]
    with pytest.raises(DecodeError, match="row 3: amount is negative"):
        read_columns(parquet(tmp_path / "bad.parquet", bad))
    with pytest.raises(SettingError, match="lacks the column currency"):
        read_columns(parquet(tmp_path / "less.parquet", [{k: v for k, v in BODIES[0].items() if k != "currency"}]))
    (tmp_path / "no.parquet").write_text("hello")
    with pytest.raises(SettingError, match="cannot be read as Parquet"):
        read_columns(tmp_path / "no.parquet")


def test_an_empty_history_has_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "empty.parquet"
    pq.write_table(pa.Table.from_pylist(BODIES[:1]).slice(0, 0), file)
    rows, columns, cards = read_history(file)
    assert (rows, len(columns), cards) == ([], 0, [])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_and_zone_are_read(tmp_path: Path, unit: str) -> None:
    for zone in (None, "Europe/Berlin"):
        file, table = tmp_path / "t.parquet", pa.Table.from_pylist(BODIES[:1])
        moment = pa.array([START], pa.timestamp("ms", zone)).cast(pa.timestamp(unit, zone))
        pq.write_table(table.set_column(table.column_names.index("event_time"), "event_time", moment), file)
        assert read_columns(file)[0].event_time.tolist() == [START]
