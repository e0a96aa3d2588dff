"""Labels of a history: each in its card's partition, in order of arrival; what is none is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiokafka.partitioner import DefaultPartitioner

from stream.codec.hashing import hash_text
from stream.entities.label_history import partitions_of, read_label_history
from stream.entities.labels import FRAUD, GENUINE, TRUST
from stream.errors import DecodeError, SettingError

ROW: dict[str, Any] = {
    "transaction_id": "t1",
    "card_id": "4000",
    "merchant_id": "m1",
    "event_time": 1_700_000_000_000,
    "verdict": "fraud",
    "source": "chargeback",
    "decided_at": 1_700_100_000_000,
    "revision": 2,
}


def written(folder: Path, *rows: dict[str, Any], without: str = "") -> Path:
    table = pa.Table.from_pylist([ROW | row for row in rows])
    for name in ("event_time", "decided_at"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].cast(pa.timestamp("ms", tz="UTC")))
    path = folder / "labels.parquet"
    pq.write_table(table.drop_columns([without]) if without else table, path)
    return path


def test_partitions_are_those_of_the_default_partitioner() -> None:
    cards = [f"{4000 + i}" for i in range(200)] + ["Zoë", "4000"]
    wanted = [DefaultPartitioner()(card.encode(), list(range(8)), list(range(8))) for card in cards]
    assert partitions_of(cards, 8).tolist() == wanted
    assert partitions_of([card.encode() for card in cards], 8).tolist() == wanted


def test_labels_come_in_order_of_their_decisions(tmp_path: Path) -> None:
    later = {"transaction_id": "t2", "decided_at": 1_700_200_000_000, "verdict": "genuine", "source": "analyst"}
    (partition, first), (_, second) = read_label_history(written(tmp_path, later, {}), 8)
    assert partition == partitions_of(["4000"], 8)[0]
    assert (first.transaction_key, first.keys) == (hash_text("t1"), (hash_text("m1"), 0))
    assert (first.verdict, first.source, first.revision) == (FRAUD, TRUST["chargeback"], 2)
    assert (second.transaction_key, second.verdict) == (hash_text("t2"), GENUINE)
    assert first.visible == first.event_time + 7 * 86_400_000


@pytest.mark.parametrize(("row", "said"), [({"verdict": "maybe"}, "verdict 'maybe'"), ({"source": "rumour"}, "source")])
def test_what_is_no_label_is_named(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=said):
        read_label_history(written(tmp_path, {}, row), 8)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="lack the column decided_at"):
        read_label_history(written(tmp_path, {}, without="decided_at"), 8)
