"""Rows of foreign files become canonical messages, or are counted with their reason."""

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.errors import SettingError
from training.data.mapping import Mapping
from training.data.replay import Replay

COLUMNS = {"event_time": "WHEN", "card_id": "CARD", "merchant_id": "SHOP", "amount": "SUM"}


def mapping(**settings: Any) -> Mapping:
    given = {"columns": COLUMNS, "constants": {"currency": "EUR"}} | settings
    return msgspec.convert(given, Mapping)


def messages(path: Path, how: Mapping, limit: int = 0) -> tuple[list[dict[str, Any]], dict[str, int]]:
    replay = Replay(path, how, limit=limit)
    found = [msgspec.json.decode(value) for block in replay.mapped() for value in block.values]
    return found, dict(replay.unmapped)


def csv(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "file.csv"
    path.write_text("\n".join(["WHEN,CARD,SHOP,SUM", *lines]) + "\n")
    return path


def test_csv_rows_become_transactions_with_generated_ids(tmp_path: Path) -> None:
    path = csv(tmp_path, "2026-03-01 10:00:00,7,12,9.50", "2026-03-01T11:00:00.250+02:00,8,12,1e2")
    found, unmapped = messages(path, mapping())
    assert found == [
        {
            "transaction_id": "file-0",
            "event_time": "2026-03-01T10:00:00.000Z",
            "card_id": "7",
            "merchant_id": "12",
            "amount": 9.5,
            "currency": "EUR",
        },
        {
            "transaction_id": "file-1",
            "event_time": "2026-03-01T09:00:00.250Z",
            "card_id": "8",
            "merchant_id": "12",
            "amount": 100.0,
            "currency": "EUR",
        },
    ]
    assert unmapped == {}


def test_rows_that_cannot_be_mapped_are_counted_by_reason(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "2026-03-01,7,12,nine",
        "yesterday,7,12,3",
        "2026-03-01,,12,3",
        "2026-03-01,7,12,inf",
        "2026-03-01,7,12,3,4,5",
        "2026-03-01,7,12,3",
    )
    found, unmapped = messages(path, mapping())
    assert len(found) == 1
    assert unmapped == {
        "amount is missing or cannot be read": 2,
        "event_time is missing or cannot be read": 1,
        "card_id is missing or cannot be read": 1,
        "the row has another number of columns": 1,
    }


@pytest.mark.parametrize(
    ("zone", "utc"), [("UTC", "2026-07-01T12:00:00.000Z"), ("Europe/Paris", "2026-07-01T10:00:00.000Z")]
)
def test_times_without_a_zone_are_in_the_stated_one(tmp_path: Path, zone: str, utc: str) -> None:
    path = tmp_path / "file.parquet"
    moment = dt.datetime(2026, 7, 1, 12)
    pq.write_table(pa.table({"WHEN": [moment], "CARD": [1], "SHOP": ["a"], "SUM": [5]}), path)
    assert messages(path, mapping(time={"zone": zone}))[0][0]["event_time"] == utc
    assert messages(csv(tmp_path, "2026-07-01 12:00:00,1,a,5"), mapping(time={"zone": zone}))[0][0]["event_time"] == utc


@pytest.mark.parametrize(("unit", "value"), [("s", 1_780_000_000), ("ms", 1_780_000_000_000)])
def test_numbers_are_seconds_or_milliseconds_since_the_epoch(tmp_path: Path, unit: str, value: int) -> None:
    found, _ = messages(csv(tmp_path, f"{value},1,a,5"), mapping(time={"unit": unit}))
    assert found[0]["event_time"] == "2026-05-28T20:26:40.000Z"


def test_a_format_reads_other_times(tmp_path: Path) -> None:
    how = mapping(time={"format": "%d.%m.%Y %H:%M:%S"})
    found, unmapped = messages(csv(tmp_path, "31.12.2025 23:59:58,1,a,5", "12/31/2025,1,a,5"), how)
    assert [row["event_time"] for row in found] == ["2025-12-31T23:59:58.000Z"]
    assert sum(unmapped.values()) == 1


def test_cents_prefixes_and_other_words_are_translated(tmp_path: Path) -> None:
    how = mapping(
        columns=COLUMNS | {"channel": "SHOP"},
        units={"amount": "minor"},
        prefix={"merchant_id": "M"},
        values={"channel": {"NET": "ecom"}},
    )
    found, _ = messages(csv(tmp_path, "2026-03-01,1,NET,1999"), how)
    assert (found[0]["amount"], found[0]["merchant_id"], found[0]["channel"]) == (19.99, "MNET", "ecom")


def test_json_lines_with_mixed_types_and_broken_lines(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(
        b'{"WHEN":"2026-03-01","CARD":7,"SHOP":"a","SUM":"4.20"}\n'
        b'{"WHEN":1780000000,"CARD":"8","SHOP":"b","SUM":4}\n'
        b'[1]\n{"WHEN":\n\xff\n\n'
        b'{"WHEN":"2026-03-01","CARD":9}\n'
    )
    found, unmapped = messages(path, mapping())
    assert [(row["card_id"], row["amount"]) for row in found] == [("7", 4.2), ("8", 4.0)]
    assert found[1]["event_time"] == "2026-05-28T20:26:40.000Z"
    assert unmapped == {"the line is no JSON object": 3, "merchant_id is missing or cannot be read": 1}


def test_the_limit_counts_rows_of_the_file(tmp_path: Path) -> None:
    path = csv(tmp_path, *[f"2026-03-01,{card},a,5" for card in range(50)])
    assert len(messages(path, mapping(), limit=20)[0]) == 20


@pytest.mark.parametrize("name", ["file.csv", "file.jsonl", "file.parquet"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.table({"OTHER": [1]}), path)
    else:
        path.write_text("OTHER\n1\n" if name.endswith("csv") else '{"OTHER": 1}\n')
    with pytest.raises(SettingError, match="no column 'WHEN'"):
        messages(path, mapping())


def test_a_file_of_another_kind_or_without_sense_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "file.parquet"
    broken.write_bytes(b"not parquet")
    with pytest.raises(SettingError, match=r"file\.parquet cannot be read"):
        messages(broken, mapping())
    with pytest.raises(SettingError, match="xlsx"):
        Replay(tmp_path / "file.xlsx", mapping())
    with pytest.raises(SettingError, match="does not exist"):
        Replay(tmp_path / "nowhere.csv", mapping())
