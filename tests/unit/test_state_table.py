"""A table finds, keeps and frees rows as a dictionary would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.state import Table
from tests.state_rows import ROW, keys, spend

KEYS = st.integers(0, 300)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("spend"), st.lists(KEYS, max_size=80, unique=True)),
        st.tuples(st.just("evict"), st.integers(0, 40)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_a_table_is_a_dictionary(steps: list[tuple[str, object]]) -> None:
    table, model, seen = Table(ROW, 1024), dict[int, int](), dict[int, int]()
    for time, (_, value) in enumerate(steps):
        if isinstance(value, list):
            spend(table, keys(*value), time)
            for key in value:
                if key:
                    model[key], seen[key] = model.get(key, 0) + 1, time
        elif isinstance(value, int):
            gone = [key for key, at in seen.items() if at < time - value]
            assert table.evict(time - value, 10_000, 100_000) == len(gone)
            for key in gone:
                del model[key], seen[key]
        rows = table.rows[: table.used]
        assert {int(row["key"]): int(row["count"]) for row in rows if row["key"]} == model
        assert table.live == len(model)
        slots = table.locate(keys(*model))
        assert [int(table.rows["key"][slot]) for slot in slots] == list(model)


def test_a_missing_key_has_no_row() -> None:
    table = Table(ROW)
    assert table.locate(keys(0, 7, 0, 7)).tolist() == [-1, 0, -1, 0]
    table.touch(np.array([-1, 0]))
    assert table.used == 1


def test_many_keys_grow_the_index_and_outgrow_the_memory() -> None:
    table = Table(ROW, 1024)
    ids = np.random.default_rng(1).integers(1, 1 << 63, 50_000, dtype=np.uint64)
    for start in range(0, len(ids), 700):
        spend(table, np.unique(ids[start : start + 700]), 5)
    assert np.array_equal(table.rows["key"][table.locate(ids)], ids)
    assert table.used == table.live == len(np.unique(ids))
    assert table.rows["count"][: table.used].all()


def test_keys_that_differ_in_high_bits_only_find_their_own_rows() -> None:
    table = Table(ROW)
    ids = np.arange(1, 4000, dtype=np.uint64) << np.uint64(48)
    ids = np.concatenate([ids[ids > 0], np.arange(1, 4000, dtype=np.uint64)])
    assert np.array_equal(table.rows["key"][table.locate(ids)], ids)


def test_freed_slots_are_used_again_and_begin_empty() -> None:
    table = Table(ROW)
    spend(table, keys(1, 2, 3), 10)
    spend(table, keys(4), 20)
    assert table.evict(15, 2) == 2
    assert table.locate(keys(9, 8)).max() < 3
    assert table.rows["count"][table.locate(keys(9, 8))].tolist() == [0, 0]
    assert table.used == 4


def test_another_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        Table(np.dtype([("seen", np.int64), ("key", np.uint64)]))
    with pytest.raises(ValueError, match="64-bit words"):
        Table(np.dtype([("key", np.uint64), ("seen", np.int64), ("odd", np.uint8)]))
