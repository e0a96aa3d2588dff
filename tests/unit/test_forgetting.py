"""Rows of cards that fell silent leave memory, a few at a time, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from stream.advance import new_arena
from stream.app.forget import ROWS, Forgetting
from tests.fakes import settings

DAY_MS = 86_400_000
NOW = 1_767_225_600_000


async def _at_once(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def test_only_rows_silent_for_two_horizons_are_freed_step_by_step() -> None:
    arena = new_arena(capacity=1 << 12)
    arena.watermark = NOW
    ages = {1: 61, 2: 59, 3: 0}  # days of silence; the horizon is 30
    for table in arena.tables.values():
        slots = table.locate(np.array(list(ages), np.uint64))
        table.rows["seen"][slots] = [NOW - age * DAY_MS for age in ages.values()]
    forgetting = Forgetting(settings(), lambda: [arena], _at_once)

    async def course() -> int:
        return sum([await forgetting.step() for _ in arena.tables])

    assert asyncio.run(course()) == len(arena.tables) - 1, "labels are kept for half a year"
    for name, table in arena.tables.items():
        kept = set(table.rows["key"][: table.used].tolist()) - {0}
        assert kept == ({1, 2, 3} if name == "label" else {2, 3}), name


def test_a_step_is_short_and_no_arena_is_no_error() -> None:
    arena = new_arena(capacity=1 << 12)
    arena.watermark = NOW
    table = arena.tables["card"]
    table.rows["seen"][table.locate(np.arange(1, 2 * ROWS, dtype=np.uint64))] = NOW - 90 * DAY_MS
    forgetting = Forgetting(settings(), lambda: [arena], _at_once)

    async def course() -> list[int]:
        return [await forgetting.step() for _ in range(len(arena.tables))]

    assert max(asyncio.run(course())) == ROWS
    assert asyncio.run(Forgetting(settings(), list, _at_once).step()) == 0
