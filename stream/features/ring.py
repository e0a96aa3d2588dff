"""Rings of counters by bucket of time: two arrays side by side, cleared as they roll on."""

from __future__ import annotations

from typing import Any

from stream.features.kernel import kernel, wide


@kernel
def held(first: Any, second: Any, newest: int, bucket: int) -> tuple[int, int]:
    """Sums of both over the ring's length up to `bucket`, as far as the ring, whose newest is told, holds them."""
    size = len(first)
    start = max(bucket - size + 1, newest - size + 1, 0)
    a, b = wide(0), wide(0)
    at = start % size
    for _ in range(start, min(bucket, newest) + 1):
        a += first[at]
        b += second[at]
        at += 1
        if at == size:
            at = 0
    return a, b


@kernel
def roll(first: Any, second: Any, newest: int, bucket: int) -> int:
    """Clear what lies between the newest bucket and this one; returns its place, -1 where the ring has left it."""
    size = len(first)
    if bucket <= newest - size:
        return wide(-1)
    if bucket - newest >= size:
        for k in range(size):
            first[k] = 0
            second[k] = 0
        return bucket % size
    at = newest % size
    for _ in range(newest, bucket):
        at += 1
        if at == size:
            at = 0
        first[at] = 0
        second[at] = 0
    return bucket % size
