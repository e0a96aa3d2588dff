"""Anomaly scores of a series, point by point, from its values and from a forecaster's residuals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.detectors.base import F64
from training.forecast.records import Hush, Records, RunningMean


@dataclass(frozen=True, slots=True)
class Scoring:
    """What the score is made of; spans and memories in points.

    Parameters
    ----------
    value_spans, residual_spans
        Running means whose records count.
    memory
        Points that a record must beat.
    value_patience, residual_patience
        Points after which a record counts half; for residuals from the end of probation.
    value_floor, residual_floor
        Least range, in spreads of the probation and in clipped residuals.
    residual_weight
        Of a residual's record beside a value's.
    hush
        Points in which a score must not have been reached before.
    """

    value_spans: tuple[int, ...] = (1, 20)
    residual_spans: tuple[int, ...] = (10, 40)
    memory: int = 5000
    value_patience: float = 100.0
    residual_patience: float = 300.0
    value_floor: float = 0.05
    residual_floor: float = 1.5
    residual_weight: float = 0.6
    hush: int = 120


class AnomalyScorer:
    """Score a point from what came before it, then remember it.

    Parameters
    ----------
    scoring
        What the score is made of.
    early
        Residuals of the probation, to fill the memory that later residuals must beat.
    """

    def __init__(self, scoring: Scoring, early: Sequence[float] = ()) -> None:
        self._weight = scoring.residual_weight
        self._values = [
            (RunningMean(span), Records(scoring.memory, scoring.value_patience, scoring.value_floor))
            for span in scoring.value_spans
        ]
        self._residuals = [
            (RunningMean(span), Records(scoring.memory, scoring.residual_patience, scoring.residual_floor, both=False))
            for span in scoring.residual_spans
        ]
        self._hush = Hush(scoring.hush)
        for mean, records in self._residuals:
            records.prime([mean.update(number) for number in early])

    def update(self, value: float, residual: float | None) -> float:
        """Score one point.

        Parameters
        ----------
        value
            Scaled value; NaN is missing, scores 0 and is not remembered.
        residual
            Distance from the forecast median over half the band, at least 0; None before there is a forecast.

        Returns
        -------
        float
            Margin of the largest record in ranges, 0 where nothing is new; at least 0, unbounded.
        """
        if math.isnan(value):
            return self._hush.update(0.0)
        best = 0.0
        for mean, records in self._values:
            best = max(best, records.update(mean.update(value)))
        if residual is not None:
            for mean, records in self._residuals:
                best = max(best, self._weight * records.update(mean.update(residual)))
        return self._hush.update(best)


def score_series(values: F64, residuals: F64, probation: int, scoring: Scoring) -> F64:
    """Score every point of a series in order; (n,) and (n,) to (n,).

    Parameters
    ----------
    values
        Scaled by the probation alone.
    residuals
        NaN where there is no forecast.
    probation
        Points at the start whose residuals only fill the memory.
    scoring
        What the score is made of.
    """
    early = residuals[:probation]
    scorer = AnomalyScorer(scoring, early[~np.isnan(early)].tolist())
    late = residuals.copy()
    late[:probation] = np.nan
    pairs = zip(values.tolist(), late.tolist(), strict=True)
    return np.array([scorer.update(value, None if math.isnan(r) else r) for value, r in pairs])
