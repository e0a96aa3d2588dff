"""A short list of who was met lately: folded hashes, each with the hour of the last time, 16 bits of both.

Whoever was not met within the span is dropped whenever the list changes, so that the hours' 16 bits, seven years, never
come round; where more are met than the list holds, the one met longest ago gives way.
"""

from __future__ import annotations

from typing import Any

from stream.features.kernel import kernel, wide

_HOURS = 1 << 16


@kernel
def _age(met: int, hour: int) -> int:
    """Hours from the last time to now; negative when the last time is still to come."""
    age = (hour - wide(met)) % _HOURS
    return age - _HOURS if age >= _HOURS // 2 else age


@kernel
def distinct_others(cells: Any, met: Any, own: int, hour: int, span: int) -> int:
    """How many but `own` were met last within `span` hours up to `hour`."""
    count = wide(0)
    for k in range(len(cells)):
        if cells[k] != 0 and cells[k] != own and 0 <= _age(met[k], hour) < span:
            count += 1
    return count


@kernel
def meet(cells: Any, met: Any, who: int, hour: int, span: int) -> None:
    """Note that `who`, not 0, was met at `hour`."""
    at, oldest = wide(-1), wide(-_HOURS)
    for k in range(len(cells)):
        age = _age(met[k], hour)
        if cells[k] == who:
            if age > 0:
                met[k] = hour % _HOURS
            return
        if cells[k] == 0 or age >= span:
            cells[k] = 0
            age = wide(_HOURS)
        if age > oldest:
            at, oldest = wide(k), age
    if oldest >= 0 or cells[at] == 0:
        cells[at] = who
        met[at] = hour % _HOURS
