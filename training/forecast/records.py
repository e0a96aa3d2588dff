"""How far a number lies beyond every number it has followed, and alarms that do not repeat themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Extreme:
    """The largest of the last `memory` numbers, in constant time a number."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._count = 0
        self._kept: deque[tuple[int, float]] = deque()

    @property
    def value(self) -> float:
        """The largest so far; call after the first `push`."""
        return self._kept[0][1]

    def push(self, number: float) -> None:
        """Take the next number."""
        while self._kept and self._kept[-1][1] <= number:
            self._kept.pop()
        self._kept.append((self._count, number))
        self._count += 1
        if self._kept[0][0] <= self._count - 1 - self._memory:
            self._kept.popleft()


class Records:
    """Margin of a new record over the old one, in widths of the range seen so far.

    A record is rare by itself (the n-th of exchangeable numbers is one with probability 2/n) and its margin needs no
    assumption about tails. What enters the memory is clipped, so one outlier does not hide the next.

    Parameters
    ----------
    memory
        Numbers that a record must beat.
    patience
        Numbers after which a margin counts half; early records mean little.
    floor
        Least width of the range.
    both
        Whether a new smallest number is a record too.
    """

    def __init__(self, memory: int = 5000, patience: float = 100.0, floor: float = 1e-6, both: bool = True) -> None:
        self._patience, self._floor, self._both = patience, floor, both
        self._largest, self._smallest = Extreme(memory), Extreme(memory)
        self._memory = memory
        self._seen = 0
        self._filled = False

    def prime(self, numbers: Iterable[float]) -> None:
        """Fill the memory without counting towards patience."""
        for number in numbers:
            self._push(number)

    def update(self, number: float) -> float:
        """Score a number against those before it, then remember it; 0 where it is no record."""
        if not self._filled:
            self._push(number)
            self._seen += 1
            return 0.0
        high, low = self._largest.value, -self._smallest.value
        width = max(high - low, self._floor)
        margin = (max(number - high, low - number) if self._both else number - high) / width
        self._push(min(max(number, low - 2 * width), high + 2 * width))
        kept = min(self._seen, self._memory)
        self._seen += 1
        return max(margin, 0.0) * kept / (kept + self._patience)

    def _push(self, number: float) -> None:
        self._filled = True
        self._largest.push(number)
        self._smallest.push(-number)


class Hush:
    """Pass a score only when it is above every score of the last `span` numbers; 0 otherwise."""

    def __init__(self, span: int = 120) -> None:
        self._before = Extreme(span)
        self._filled = False

    def update(self, score: float) -> float:
        """Take the next score."""
        passes = not self._filled or score > self._before.value
        self._before.push(score)
        self._filled = True
        return score if passes else 0.0


class RunningMean:
    """Mean of the last `span` numbers, of fewer at the start."""

    def __init__(self, span: int) -> None:
        self._kept: deque[float] = deque(maxlen=span)

    def update(self, number: float) -> float:
        """Take the next number and return the mean."""
        self._kept.append(number)
        return sum(self._kept) / len(self._kept)
