"""Two states are equal when every entity's row is, wherever it lies; else the first difference is named."""

from __future__ import annotations

import numpy as np

from stream.state import Arena
from stream.state.compare import compare
from tests.state_rows import ROW, keys, spend


def arena_of(*ids: int) -> Arena:
    arena = Arena({"card": ROW})
    spend(arena.tables["card"], keys(*ids), 1_000)
    return arena


def test_slots_do_not_count() -> None:
    told = compare(arena_of(1, 2, 3), arena_of(3, 1, 2))
    assert told.equal
    assert told.rows == 3


def test_the_field_that_differs_is_named() -> None:
    ours, theirs = arena_of(1, 0xBEEF), arena_of(0xBEEF, 1)
    table = theirs.tables["card"]
    table.rows["pad"][table.locate(keys(0xBEEF))[0], 4] = 7
    assert compare(ours, theirs).difference == "card 000000000000beef.pad[4]: ours 0, theirs 7 (1 of 2 rows differ)"


def test_a_row_that_only_one_has_is_named() -> None:
    assert (
        compare(arena_of(1), arena_of(1, 2)).difference
        == "card 0000000000000002 is only in theirs (1 rows here, 2 there)"
    )


def test_what_is_gone_by_the_clock_may_be_freed_or_not() -> None:
    ours, theirs = arena_of(1, 2), arena_of(1, 2)
    for arena in (ours, theirs):
        arena.watermark = 10_000
        spend(arena.tables["card"], keys(2), 9_000)
    ours.tables["card"].evict(5_000, 10)
    assert not compare(ours, theirs, 8_000).equal
    assert compare(ours, theirs, 4_000).equal


def test_a_row_that_nothing_updated_is_none() -> None:
    ours, theirs = arena_of(1), arena_of(1)
    ours.tables["card"].locate(keys(9))
    assert compare(ours, theirs).equal


def test_offsets_and_clock_count() -> None:
    ours, theirs = arena_of(1), arena_of(1)
    theirs.watermark = 3
    assert "watermark" in compare(ours, theirs).difference
    theirs.watermark, theirs.side_offset = ours.watermark, 2
    assert compare(ours, theirs).difference == "side_offset: ours 0, theirs 2"
    assert "next_offset" in compare(ours, _at(arena_of(1), 5)).difference


def test_rows_of_a_table_that_are_kept_longer_count_longer() -> None:
    ours, theirs = arena_of(1, 2), arena_of(1, 2)
    for arena in (ours, theirs):
        arena.watermark = 10_000
        spend(arena.tables["card"], keys(2), 9_000)
    ours.tables["card"].evict(5_000, 10)
    assert "only in theirs" in compare(ours, theirs, 4_000, {"card": 9_500}).difference
    assert compare(ours, theirs, 4_000, {"device": 9_500}).equal


def _at(arena: Arena, offset: int) -> Arena:
    arena.next_offset = offset
    return arena


def test_not_a_number_equals_itself() -> None:
    ours, theirs = arena_of(1), arena_of(1)
    for arena in (ours, theirs):
        arena.tables["card"].rows["spend"][0] = np.nan
    assert compare(ours, theirs).equal
