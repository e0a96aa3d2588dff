"""Intervals: card × day blocks drawn with replacement, the same draws for everything that is compared.

Source of the method: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from training.cases import case_starts, fraud_episodes
from training.samples import DAY_MS, F64, I64, Mask, Samples

Statistic = Callable[[F64], float]  # weights of the rows' blocks (blocks,) -> figure
Interval = tuple[float, float]


class Blocks:
    """The blocks of n rows: all of one card on one day.

    Parameters
    ----------
    samples
        The rows.
    repeats, seed
        Draws, and their seed; two statistics with one seed see the same draws.
    """

    def __init__(self, samples: Samples, *, repeats: int = 200, seed: int = 0) -> None:
        days = samples.event_time // DAY_MS
        _, card = np.unique(samples.card, return_inverse=True)
        span = int(days.max()) - int(days.min()) + 1
        known, self.of = np.unique(card.astype(np.int64) * span + (days - days.min()), return_inverse=True)
        self.count, self.repeats, self.seed = len(known), repeats, seed

    def draws(self) -> Iterator[F64]:
        """How often each block is drawn, (blocks,), once per repeat."""
        rng = np.random.default_rng(self.seed)
        for _ in range(self.repeats):
            yield np.bincount(rng.integers(0, self.count, self.count), minlength=self.count).astype(np.float64)

    def intervals(
        self, statistics: Mapping[str, Statistic], pairs: Mapping[str, tuple[str, str]]
    ) -> dict[str, Interval]:
        """Compute 95 % intervals of statistics, and of differences of two by name.

        Parameters
        ----------
        statistics
            Functions of block weights.
        pairs
            Name of a difference -> (first, second): first minus second on the same draws.
        """
        values: dict[str, list[float]] = {name: [] for name in statistics}
        for weight in self.draws():
            for name, statistic in statistics.items():
                values[name].append(statistic(weight))
        drawn = {name: np.array(some) for name, some in values.items()}
        drawn |= {name: drawn[first] - drawn[second] for name, (first, second) in pairs.items()}
        return {name: _middle(some) for name, some in drawn.items()}


def _middle(values: F64) -> Interval:
    seen = values[np.isfinite(values)]
    if not len(seen):
        return float("nan"), float("nan")
    low, high = np.quantile(seen, [0.025, 0.975])
    return float(low), float(high)


def average_precision(score: F64, fraud: Mask, block: npt.NDArray[np.intp]) -> Statistic:
    """Average precision of a score as a function of block weights; ties count as one step."""
    order = np.argsort(-score, kind="stable")
    ranked, hit = score[order], np.flatnonzero(fraud[order])
    if not len(hit):
        return lambda _: float("nan")
    last = np.searchsorted(-ranked, -ranked[hit], side="right")  # a step ends where its ties end
    steps, of_step = np.unique(last, return_inverse=True)
    starts = np.concatenate([[0], steps[:-1]])
    rows = block[order[: steps[-1]]].astype(np.int32)
    frauds = block[order[hit]]

    def statistic(weight: F64) -> float:
        seen = np.cumsum(np.add.reduceat(weight[rows], starts))
        caught = np.bincount(of_step, weights=weight[frauds], minlength=len(steps))
        total = float(caught.sum())
        if total == 0:
            return float("nan")
        share = np.divide(np.cumsum(caught), seen, out=np.zeros(len(seen)), where=seen > 0)
        return float((caught * share).sum()) / total

    return statistic


def case_precision(samples: Samples, alert: Mask, fraud: Mask, block: npt.NDArray[np.intp]) -> Statistic:
    """Share of alert cases with a fraud, a case counted in the block of its first alert."""
    rows = np.flatnonzero(alert)
    numbers = case_starts(samples.card[rows], samples.event_time[rows])
    good = np.zeros(int(numbers.max(initial=-1)) + 1, bool)
    good[numbers[fraud[rows]]] = True
    return _share(block[_first(numbers, samples.event_time[rows], rows)], good)


def case_recall(samples: Samples, alert: Mask, fraud: Mask, block: npt.NDArray[np.intp]) -> Statistic:
    """Share of fraud episodes with an alert, an episode counted in the block of its first fraud."""
    rows = np.flatnonzero(fraud)
    _, numbers = np.unique(fraud_episodes(samples, fraud)[rows], return_inverse=True)
    caught = np.zeros(int(numbers.max(initial=-1)) + 1, bool)
    caught[numbers[alert[rows]]] = True
    return _share(block[_first(numbers, samples.event_time[rows], rows)], caught)


def weighted_sum(value: F64, block: npt.NDArray[np.intp]) -> Statistic:
    """Sum of a value over rows (n,) as a function of block weights."""
    rows = np.flatnonzero(value)
    where, amount = block[rows], value[rows]
    return lambda weight: float(weight[where] @ amount)


def _share(block: npt.NDArray[np.intp], good: Mask) -> Statistic:
    def statistic(weight: F64) -> float:
        drawn = weight[block]
        return float(drawn[good].sum() / drawn.sum()) if drawn.sum() > 0 else float("nan")

    return statistic


def _first(numbers: npt.NDArray[np.int64], event_time: I64, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The row of every number's first event."""
    order = np.lexsort((event_time, numbers))
    _, position = np.unique(numbers[order], return_index=True)
    return rows[order[position]]
