"""Counting by case: the alerts of one card within 24 hours are one case, a fraud episode is one fraud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from training.samples import F64, Samples

CASE_MS = 24 * 3_600_000
_FEWEST = 20  # alerts below which no cut is tried
_ENOUGH = 100  # cases below which a precision is chance, where there are ten times as many in all


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """What a set of alerts is worth: alert cases with a fraud in them, fraud episodes with an alert."""

    alerts: int
    cases: int
    true_cases: int
    frauds: int
    caught: int
    precision: float
    recall: float
    alerts_per_10k: float

    def as_dict(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


def case_starts(card: npt.NDArray[np.int64], event_time: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number the cases of events: a card's event more than 24 h after its case began begins the next, (n,)."""
    order = np.lexsort((event_time, card))
    numbers = np.empty(len(card), np.int64)
    number, begun, of = -1, 0, -1
    for i in order.tolist():
        if card[i] != of or event_time[i] - begun > CASE_MS:
            number, begun, of = number + 1, int(event_time[i]), int(card[i])
        numbers[i] = number
    return numbers


def fraud_episodes(samples: Samples, fraud: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Number the fraud episodes, (n,), -1 where there is none: as the history tells, else a card's frauds of 24 h."""
    episodes = np.where(fraud, samples.fraud_case, -1)
    loose = np.flatnonzero(fraud & (samples.fraud_case < 0))
    if len(loose):
        top = int(episodes.max(initial=-1)) + 1
        episodes[loose] = case_starts(samples.card[loose], samples.event_time[loose]) + top
    return episodes


def count_cases(samples: Samples, alert: npt.NDArray[np.bool_], fraud: npt.NDArray[np.bool_]) -> CaseFigures:
    """Judge alerts (n,) against frauds (n,) by case."""
    rows = np.flatnonzero(alert)
    episodes = fraud_episodes(samples, fraud)
    numbers = case_starts(samples.card[rows], samples.event_time[rows])
    cases = int(numbers.max(initial=-1)) + 1
    true_cases = len(np.unique(numbers[fraud[rows]]))
    known = np.unique(episodes[episodes >= 0])
    caught = len(np.unique(episodes[rows][episodes[rows] >= 0]))
    return CaseFigures(
        alerts=len(rows),
        cases=cases,
        true_cases=true_cases,
        frauds=len(known),
        caught=caught,
        precision=true_cases / cases if cases else 0.0,
        recall=caught / len(known) if len(known) else 0.0,
        alerts_per_10k=1e4 * len(rows) / max(len(samples), 1),
    )


def cuts_for_precision(
    samples: Samples, score: F64, fraud: npt.NDArray[np.bool_], targets: Sequence[float]
) -> list[tuple[float, bool]]:
    """Find for each target the lowest cut on a score from which on precision by case stays at or above it.

    Candidates are quantiles of the score above its 97 % point that leave enough cases to tell; where none reaches a
    target, it is the most precise one, and the second value says so.
    """
    shares = 1.0 - np.geomspace(0.03, min(0.03, _FEWEST / max(len(score), 1)), 50)
    candidates = np.unique(np.quantile(score, shares))
    high = np.flatnonzero(score >= candidates[0])
    top, level, known = samples.take(high), score[high], fraud[high]
    counts = [count_cases(top, level >= cut, known) for cut in candidates]
    told = np.array([count.cases >= min(_ENOUGH, counts[0].cases / 10) for count in counts])
    candidates, reached = candidates[told], np.array([count.precision for count in counts])[told]
    cuts: list[tuple[float, bool]] = []
    for target in targets:
        below = np.flatnonzero(reached < target)
        first = int(below[-1]) + 1 if len(below) else 0
        in_reach = first < len(candidates)
        cuts.append((float(candidates[first if in_reach else int(np.argmax(reached))]), in_reach))
    return cuts
