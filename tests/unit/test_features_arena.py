"""Rows of cards: stable, zeroed, growing without moving."""

from __future__ import annotations

import time

import numpy as np
import pytest
from builders import columns_from

from stream.features import Arena, arena, compute


def test_same_card_keeps_its_row() -> None:
    rows = Arena()
    assert rows.slots(["a", "b", "a"]).tolist() == [0, 1, 0]
    assert rows.slots(["c", "b"]).tolist() == [2, 1]
    assert (rows.rows, len(rows.state)) == (3, 3)


def test_new_arena_is_empty_and_before_all_time() -> None:
    rows = Arena()
    assert (rows.rows, rows.next_offset, rows.watermark < 0) == (0, 0, True)


def test_watermark_is_the_newest_event_time_and_can_be_restored() -> None:
    rows, columns = Arena(), columns_from(2, event_time=[2000, 1000])
    columns.slot[:] = rows.slots(["a", "b"])
    compute(rows, columns)
    assert rows.watermark == 2000
    other = Arena()
    other.watermark = rows.watermark
    assert other.watermark == 2000


def test_outgrown_reservation_keeps_every_row() -> None:
    rows, columns = Arena(capacity=4), columns_from(4)
    columns.slot[:] = rows.slots(list("abcd"))
    compute(rows, columns)
    before = rows.state.tobytes()
    assert rows.slots(["e", "a"]).tolist() == [4, 0]
    assert rows.state[:4].tobytes() == before
    assert not np.frombuffer(rows.state[4:].tobytes(), np.uint8).any()


def test_smaller_reservation_when_the_system_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = arena.mmap.mmap, []

    def stingy(where: int, length: int, flags: int) -> object:
        asked.append(length)
        if length > 1 << 24:
            raise OSError(12, "Cannot allocate memory")
        return real(where, length, flags=flags)

    monkeypatch.setattr(arena.mmap, "mmap", stingy)
    assert Arena(capacity=1 << 20).slots(["a"]).tolist() == [0]
    assert len(asked) > 1


def test_new_cards_never_stop_the_stream() -> None:
    rows, longest = Arena(np.dtype([("x", np.uint8, 1280)])), 0.0
    for start in range(0, 200_000, 1000):
        tokens = [f"tok_{card:032x}" for card in range(start, start + 1000)]
        begun = time.thread_time()
        rows.slots(tokens)
        longest = max(longest, time.thread_time() - begun)
    assert longest < 0.02
    assert rows.nbytes == pytest.approx(200_000 * 1280, rel=0.2)
