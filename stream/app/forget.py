"""Frees the rows of cards and other entities that fell silent, a few at a time between two batches.

It changes no result: a row that old counts as a new one already (see `stream.features.guard`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Protocol

from stream.advance import Arena
from stream.settings import Settings
from stream.sides.reading import Exclusive

DAY_MS = 86_400_000
LABELS_KEPT_MS = 180 * DAY_MS  # a label may be contradicted for as long
PAUSE_S = 0.05
BUSY_PAUSE_S = 0.01  # while there is more to free than a step takes
ROWS = 512  # freed in one step, which also looks at some thousand others: well below a millisecond
LABELS = "label"


class Owner(Protocol):
    """Who has it done (`worker.Worker`)."""

    @property
    def stopping(self) -> bool:
        """Whether the end has begun, and no work between batches may."""

    def on_failure(self, error: BaseException | None) -> None:
        """Stop."""


class Forgetting:
    """Goes round the arenas, one table a step.

    Parameters
    ----------
    arenas
        Gives those that are open.
    exclusive
        Runs work between two batches.
    """

    def __init__(self, settings: Settings, arenas: Callable[[], Sequence[Arena]], exclusive: Exclusive) -> None:
        self._horizon_ms = math.ceil(settings.engine.horizon_days * DAY_MS)
        self._arenas, self._exclusive = arenas, exclusive
        self._turn = 0

    def start(self, owner: Owner) -> asyncio.Task[None]:
        """Begin; the owner is told what ends it too early."""

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not owner.stopping:
                owner.on_failure(error)

        task = asyncio.get_running_loop().create_task(self._run(owner))
        task.add_done_callback(ended)
        return task

    async def _run(self, owner: Owner) -> None:
        freed = 0
        while not owner.stopping:
            await asyncio.sleep(BUSY_PAUSE_S if freed == ROWS else PAUSE_S)
            freed = await self.step()

    async def step(self) -> int:
        """Free what the next arena's next table has; return how many rows."""
        arenas = self._arenas()
        if not arenas:
            return 0
        self._turn = (self._turn + 1) % len(arenas)
        freed: int = await self._exclusive(self._evict, arenas[self._turn])
        return freed

    def _evict(self, arena: Arena) -> int:
        silent = arena.watermark - 2 * self._horizon_ms
        before = {name: silent for name, table in arena.tables.items() if table.used}
        if LABELS in before:
            before[LABELS] = arena.watermark - LABELS_KEPT_MS
        return arena.evict(before, ROWS)
