"""A sweep gives the bytes of a copy made while the world stood still, whatever happens while it runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.state import Arena, Block
from tests.state_rows import ROW, WIDE, contents, keys, spend

KEYS = st.lists(st.integers(1, 90), max_size=40, unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("spend"), KEYS),
        st.tuples(st.just("evict"), st.integers(0, 12)),
        st.tuples(st.just("take"), st.integers(1, 400_000)),
        st.tuples(st.just("abort"), st.just(0)),
    ),
    max_size=60,
)


class Shadow:
    """What a checkpoint would hold: blocks of the last finished sweep over those of the ones before."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, int], Block] = {}

    def apply(self, blocks: list[Block]) -> None:
        for block in blocks:
            self.blocks[block.table, block.number] = block

    def contents(self, arena: Arena) -> dict[str, bytes]:
        found = dict.fromkeys(arena.tables, b"")
        for (name, _), block in sorted(self.blocks.items()):
            found[name] += block.words.tobytes()
        return found


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_a_sweep_is_a_copy_of_one_moment(steps: list[tuple[str, object]]) -> None:
    arena, shadow = Arena({"card": ROW, "device": WIDE}, capacity=1024), Shadow()
    sweep, copy, taken = arena.begin_sweep(), contents(arena), list[Block]()
    for time, (what, value) in enumerate(steps):
        if what == "spend":
            for table in arena.tables.values():
                spend(table, keys(*value), time)  # type: ignore[misc]
        elif what == "evict":
            for table in arena.tables.values():
                table.evict(time - value, 7, 50)  # type: ignore[operator]
        elif what == "take":
            taken += sweep.take(value)  # type: ignore[arg-type]
        if what == "abort" or sweep.done:
            if what == "abort":
                sweep.abort()
            else:
                sweep.finish()
                shadow.apply(taken)
                assert shadow.contents(arena) == copy
            sweep, copy, taken = arena.begin_sweep(), contents(arena), []
    while not sweep.done:
        more = sweep.take(1 << 20)
        assert more, "the sweep gives nothing and does not end"
        taken += more
    shadow.apply(taken)
    assert shadow.contents(arena) == copy


def test_only_what_changed_is_taken() -> None:
    arena = Arena({"card": WIDE})
    spend(arena.tables["card"], keys(*range(1, 41)), 1)
    first = arena.begin_sweep()
    assert first.total == 20
    first.take(1 << 30)
    first.finish()
    spend(arena.tables["card"], keys(3, 4, 39), 2)
    second = arena.begin_sweep()
    assert [block.number for block in second.take(1 << 30)] == [1, 19]


def test_rows_kept_aside_come_first_and_a_table_may_outgrow_its_memory_meanwhile() -> None:
    arena = Arena({"card": ROW}, capacity=1024)
    table = arena.tables["card"]
    spend(table, np.arange(1, 1001, dtype=np.uint64), 1)
    copy = contents(arena)["card"]
    sweep = arena.begin_sweep()
    spend(table, np.arange(1, 5001, dtype=np.uint64), 2)
    blocks = sweep.take(1 << 30)
    assert b"".join(block.words.tobytes() for block in sorted(blocks, key=lambda b: b.number)) == copy
    assert sum(block.rows for block in blocks) == 1000
    assert sweep.done


def test_sweeps_do_not_make_a_table_grow_while_as_many_rows_come_as_go() -> None:
    arena, used = Arena({"card": ROW}, capacity=1 << 14), list[int]()
    table = arena.tables["card"]
    for time in range(400):
        if time % 20 == 0:
            sweep = arena.begin_sweep()
        spend(table, np.arange(50 * time + 1, 50 * time + 51, dtype=np.uint64), time)
        table.evict(time - 30, 512, table.used)
        if time % 20 == 15:
            sweep.take(1 << 30)
            sweep.finish()
        used.append(table.used)
    assert used[-1] == used[100], "freed rows are given to new keys, also while a sweep runs"
    assert table.live >= table.used - 50


def test_a_sweep_holds_the_moment_it_began() -> None:
    class Counter:
        value = 1

        def dump(self) -> bytes:
            return bytes([self.value])

        def load(self, data: bytes) -> None:
            self.value = data[0]

    counter = Counter()
    arena = Arena({"card": ROW}, {"open": counter})
    arena.next_offset, arena.side_offset, arena.watermark = 7, 3, 99
    sweep = arena.begin_sweep()
    arena.next_offset, arena.side_offset, arena.watermark, counter.value = 8, 4, 100, 2
    assert (sweep.next_offset, sweep.side_offset, sweep.watermark) == (7, 3, 99)
    assert sweep.small == {"open": b"\x01"}
    assert arena.open is counter


def test_one_sweep_at_a_time() -> None:
    arena = Arena({"card": ROW})
    sweep = arena.begin_sweep()
    with pytest.raises(RuntimeError, match="still running"):
        arena.begin_sweep()
    sweep.abort()
    with pytest.raises(RuntimeError, match="over"):
        sweep.take(1)
    arena.begin_sweep()
