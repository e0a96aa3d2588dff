"""A short list of who was met lately: folded hashes, each with the hour of the last time, 16 bits of both.

Whoever was not met within the span is dropped at the next meeting, so that the hours' 16 bits, seven years, never
come round; where more are met than the list holds, the one met longest ago gives way.
"""

from __future__ import annotations

from typing import Any

from stream.features.kernel import kernel, wide

_MASK, _HALF = 0xFFFF, 0x8000


@kernel
def _age(met: int, hour: int) -> int:
    """Hours from the last time to now; negative when the last time is still to come."""
    return ((hour - wide(met) + _HALF) & _MASK) - _HALF


@kernel
def others(cells: Any, met: Any, own: int, hour: int, long: int) -> tuple[int, int]:
    """How many but `own` were met last within 24 hours up to `hour`, and within `long` hours."""
    day, more = wide(0), wide(0)
    for k in range(len(cells)):
        if cells[k] != 0 and cells[k] != own:
            age = _age(met[k], hour)
            day += 0 <= age < 24
            more += 0 <= age < long
    return day, more


@kernel
def meet(cells: Any, met: Any, who: int, hour: int, span: int) -> None:
    """Note that `who`, not 0, was met at `hour`; drop whoever was not for `span` hours."""
    at, oldest, known = wide(0), wide(-_HALF - 1), wide(-1)
    for k in range(len(cells)):
        age = _age(met[k], hour)
        if cells[k] == who:
            known = wide(k)
        elif cells[k] == 0 or age >= span:
            cells[k] = 0
            age = wide(_HALF)
        if age > oldest:
            at, oldest = wide(k), age
    if known >= 0:
        at = known
        if _age(met[at], hour) < 0:
            return
    cells[at] = who
    met[at] = hour & _MASK
