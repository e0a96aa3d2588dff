"""A series as the forecaster sees it: changes in units of their own recent volatility, season, calendar, gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.detectors.base import F32, F64
from training.forecast.forecaster import Track
from training.forecast.series import Series

DECAY = 0.94
_LEAST = 1e-8


def ewma_volatility(changes: F64, decay: float = DECAY) -> F64:
    """Root of the exponentially weighted mean square, row t from changes up to t; (n,) to (n,). RiskMetrics, 1996.

    The weights of the first rows are scaled to sum to one, so nothing is assumed before the series.
    """
    squares, weight, total = np.empty(len(changes)), 0.0, 0.0
    for k, change in enumerate(changes.tolist()):
        total = decay * total + (1 - decay) * change * change
        weight = decay * weight + (1 - decay)
        squares[k] = total / weight
    return np.sqrt(squares)


@dataclass(frozen=True, slots=True)
class Scaled:
    """A series on the scale that models use.

    Parameters
    ----------
    level
        (n,) values, or their logarithms.
    logs
        Whether `level` is logarithms.
    volatility
        (n,) EWMA volatility of the changes, known at each row.
    """

    level: F64
    logs: bool
    volatility: F64

    def back(self, level: F64) -> F64:
        """From the models' scale to values."""
        return np.exp(level) if self.logs else level


def scale(values: F64) -> Scaled:
    """Take logarithms of values that stay well above zero, as prices do; EWMA volatility of the changes."""
    logs = bool(values.min() > 0.01 * np.median(values) > 0)
    level = np.log(values) if logs else values.astype(np.float64)
    changes = np.diff(level, prepend=level[:1])
    changes[0] = changes[1] if len(changes) > 1 else 0.0
    usual = float(np.sqrt(np.mean(changes**2))) or 1.0
    return Scaled(level, logs, np.maximum(ewma_volatility(changes), max(0.05 * usual, _LEAST)))


def base_levels(level: F64, rows: np.ndarray, horizon: int, season: int) -> F64:
    """Last value (season 1) or the value one season before each step; (r, H)."""
    ahead = np.arange(1, horizon + 1)
    back = 0 if season == 1 else ahead - season * np.ceil(ahead / season).astype(int)
    return np.asarray(level[np.maximum(rows[:, None] + back * np.ones_like(ahead), 0)])


def better_base(level: F64, horizon: int, season: int, stop: int) -> int:
    """Season whose naive forecast errs less before row `stop`: 1 or `season`."""
    rows = np.arange(season, stop - horizon)
    if season == 1 or len(rows) < 20:
        return 1
    actual = level[rows[:, None] + np.arange(1, horizon + 1)]
    errors = {s: float(np.abs(actual - base_levels(level, rows, horizon, s)).mean()) for s in (1, season)}
    return season if errors[season] < errors[1] else 1


def inputs_of(series: Series, scaled: Scaled) -> F32:
    """What is known at each row, (n, C): changes, their size, levels against means, volatility, gaps, calendar."""
    level, vol = scaled.level, scaled.volatility
    before = np.concatenate((vol[:1], vol[:-1]))
    change = np.diff(level, prepend=level[:1]) / before
    frame = pd.Series(level)
    columns = [change, np.abs(change)]
    columns += [(level - frame.rolling(span, min_periods=1).mean()) / (vol * np.sqrt(span)) for span in (5, 20)]
    if series.season > 1:
        seasonal = level - frame.shift(series.season).bfill().to_numpy()
        ahead = frame.shift(series.season - 1).bfill().to_numpy() - level
        columns += [seasonal / vol, ahead / vol]
    long = np.sqrt(pd.Series(vol**2).ewm(halflife=60).mean())
    columns += [np.log(vol / long)]
    steps = np.diff(series.times.to_numpy().astype("datetime64[ns]").astype(np.int64), prepend=0)
    steps[0] = series.step.value
    columns += [np.log(np.maximum(steps / max(series.step.value, 1), 1e-3))]
    return np.clip(np.column_stack((*columns, *_calendar(series))), -8, 8).astype(np.float32)


def _calendar(series: Series) -> list[F64]:
    """Circles that the step can see: hour of day, day of week, month."""
    times, days = series.times, series.step / pd.Timedelta(days=1)
    circles = []
    if days < 1:
        circles.append((times.hour + times.minute / 60) / 24)
    if days < 7:
        circles.append(times.dayofweek / 7)
    if days >= 1:
        circles.append((times.dayofyear - 1) / 366)
    turns = [2 * np.pi * np.asarray(circle, np.float64) for circle in circles]
    return [wave(turn) for turn in turns for wave in (np.sin, np.cos)]


def track_of(series: Series, scaled: Scaled, horizon: int, season: int, stop: int, share: float = 0.2) -> Track:
    """Inputs and targets of rows whose targets end before row `stop`; the last share of them is held out.

    A target is the distance from the base to what came, over volatility times the root of the steps.
    """
    n = len(scaled.level)
    rows = np.arange(n)
    targets = np.full((n, horizon), np.nan)
    base = base_levels(scaled.level, rows, horizon, season)
    unit = units(scaled.volatility, horizon, season)
    for h in range(1, horizon + 1):
        known = rows[: max(stop - h, 0)]
        targets[known, h - 1] = (scaled.level[known + h] - base[known, h - 1]) / unit[known, h - 1]
    last = max(stop - horizon, 1)
    train = max(int(last * (1 - share)), 1)
    # a training target that reaches into the held-out rows would tell the network what stops it
    for h in range(1, horizon + 1):
        targets[max(train - h, 0) : train, h - 1] = np.nan
    return Track(inputs_of(series, scaled), targets, train, last)


def units(volatility: F64, horizon: int, season: int) -> F64:
    """Scale of each target, (n, H): volatility times the root of the steps since the base value."""
    ahead = np.arange(1, horizon + 1)
    steps = ahead if season == 1 else np.full(horizon, season)
    return np.asarray(volatility[:, None] * np.sqrt(steps))
