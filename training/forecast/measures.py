"""How good forecasts are: CRPS, MASE, coverage, and the Diebold–Mariano test."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from training.detectors.base import F64

LEVELS: F64 = np.concatenate(([0.01, 0.025], np.arange(1, 20) / 20, [0.975, 0.99]))
MEDIAN = int(np.flatnonzero(np.isclose(LEVELS, 0.5))[0])
LOW, HIGH = (int(np.flatnonzero(np.isclose(LEVELS, level))[0]) for level in (0.1, 0.9))


def _weights(levels: F64) -> F64:
    """Trapezoids over the levels; the two ends reach to 0 and 1."""
    edges = np.concatenate(([0.0], (levels[1:] + levels[:-1]) / 2, [1.0]))
    return np.diff(edges)


_WEIGHTS = _weights(LEVELS)


def crps(quantiles: F64, actual: F64) -> F64:
    """Continuous ranked probability score as twice the integral of the pinball loss over `LEVELS`.

    Parameters
    ----------
    quantiles, actual
        (..., Q) at `LEVELS` and (...,), in one unit; the score has the same unit, lower is better.
    """
    error = actual[..., None] - quantiles
    return np.asarray(2 * (np.maximum(LEVELS * error, (LEVELS - 1) * error) @ _WEIGHTS))


def covered(quantiles: F64, actual: F64) -> F64:
    """1 where the 80 % interval holds the actual value, else 0."""
    return ((actual >= quantiles[..., LOW]) & (actual <= quantiles[..., HIGH])).astype(np.float64)


def naive_scale(history: F64, season: int) -> float:
    """Mean absolute seasonal difference, the unit of MASE (Hyndman and Koehler, 2006); never 0."""
    lag = season if len(history) > 2 * season else 1
    scale = float(np.mean(np.abs(history[lag:] - history[:-lag])))
    return scale or float(np.mean(np.abs(history))) or 1.0


class DieboldMariano(NamedTuple):
    """Mean loss difference, first minus second; its statistic; two-sided p. Negative: the first is better."""

    difference: float
    statistic: float
    p: float


def diebold_mariano(first: F64, second: F64, lags: int) -> DieboldMariano:
    """Test that two forecasts lose the same on average.

    Parameters
    ----------
    first, second
        (n,) losses of each origin in order of time; losses of one day belong averaged into one number.
    lags
        Autocorrelations that count, with Bartlett's weights: at least the horizon minus 1.

    Returns
    -------
    DieboldMariano
        With the small-sample factor of Harvey, Leybourne and Newbold (1997) and Student's t; p = 1 where n < 3 or the
        losses never differ.
    """
    from scipy import stats

    gap = first - second
    n = len(gap)
    mean = float(gap.mean()) if n else math.nan
    centred = gap - mean
    variance = float(centred @ centred) / n if n else 0.0
    lags = min(lags, n - 1)
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag]) / n
    if n < 3 or variance <= 1e-300:
        return DieboldMariano(mean, 0.0, 1.0)
    h = lags + 1
    factor = max((n + 1 - 2 * h + h * (h - 1) / n) / n, 1.0 / n)
    statistic = mean / math.sqrt(variance / n) * math.sqrt(factor)
    return DieboldMariano(mean, statistic, float(2 * stats.t.sf(abs(statistic), n - 1)))


def regimes(volatility: F64, past: F64) -> F64:
    """0 calm, 1 usual, 2 turbulent: thirds of the past's volatility."""
    return np.searchsorted(np.quantile(past, [1 / 3, 2 / 3]), volatility).astype(np.float64)
