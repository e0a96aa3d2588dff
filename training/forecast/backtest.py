"""Rolling-origin back-test: every model forecasts from the same rows with what was known there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stream.errors import SettingError
from training.detectors.base import F64
from training.forecast.baselines import Baseline, baselines
from training.forecast.forecaster import Device, LSTMForecaster, Options
from training.forecast.market import Scaled, base_levels, better_base, inputs_of, scale, track_of, units
from training.forecast.measures import MEDIAN, covered, crps, diebold_mariano, naive_scale, regimes
from training.forecast.series import Series

OURS = "LSTM"
REGIMES = ("calm", "usual", "turbulent")
_REFITS = 3


@dataclass(frozen=True, slots=True)
class Fitted:
    """An LSTM with what it needs to forecast its series."""

    model: LSTMForecaster
    season: int

    def forecast(self, series: Series, scaled: Scaled, rows: np.ndarray, horizon: int) -> F64:
        """Quantiles from rows, on the series' own scale, (r, H, Q)."""
        relative = self.model.quantiles(inputs_of(series, scaled), rows)
        base = base_levels(scaled.level, rows, horizon, self.season)
        unit = units(scaled.volatility[rows], horizon, self.season)
        return scaled.back(base[..., None] + unit[..., None] * relative)


@dataclass(frozen=True, slots=True)
class Backtest:
    """What the models forecast, and figures by model.

    Parameters
    ----------
    origins
        Rows that forecasts start from.
    rows
        One a model: mase, crps, coverage and coverage by regime, and for the others a Diebold–Mariano test against
        the LSTM (a positive difference: the LSTM is better).
    verdict
        Sentences of what the figures say.
    """

    origins: list[int]
    rows: list[dict[str, Any]]
    verdict: list[str]
    failed: dict[str, str] = field(default_factory=dict)


def fit_lstm(series: Series, scaled: Scaled, horizon: int, stop: int, seed: int, device: Device) -> Fitted:
    """Train on rows whose targets end before row `stop`.

    Raises
    ------
    SettingError
        Too few rows.
    """
    window = int(np.clip(stop // 8, 10, 40))
    least = window + horizon + 60
    if stop < least:
        raise SettingError(
            f"{series.name} has {stop} rows to learn from and --horizon {horizon} needs {least}; "
            "give a longer series or a shorter horizon"
        )
    season = better_base(scaled.level, horizon, series.season, stop)
    track = track_of(series, scaled, horizon, season, stop)
    model = LSTMForecaster(Options(window=window), device).fit([track], seed=seed)
    return Fitted(model, season)


def backtest(
    series: Series,
    horizon: int,
    *,
    origins: int = 60,
    share: float = 0.25,
    seed: int = 1,
    device: Device = "auto",
    say: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Forecast the last part of a series from evenly spaced origins.

    The LSTM learns once, from what ends before the first origin; the others estimate their parameters three times.

    Parameters
    ----------
    series, horizon
        What to forecast, and how many steps.
    origins, share
        Most origins, and the share of the series that they lie in.
    seed, device, say
        Of the training, where it runs, and who hears of progress.

    Raises
    ------
    SettingError
        Too few rows.
    """
    scaled = scale(series.values)
    first = int(len(series.values) * (1 - share))
    rows = np.unique(np.linspace(first, len(series.values) - 1 - horizon, origins).astype(int))
    rows = rows[rows >= first]
    if len(rows) < 5:
        raise SettingError(f"{series.name} has too few rows to back-test --horizon {horizon}; give a longer series")
    say(f"LSTM learns {first:,} rows")
    fitted = fit_lstm(series, scaled, horizon, first + 1, seed, device)
    forecasts = {OURS: fitted.forecast(series, scaled, rows, horizon)}
    failed: dict[str, str] = {}
    for baseline in baselines(horizon, series.season):
        say(f"{baseline.name}: {len(rows)} origins")
        try:
            forecasts[baseline.name] = scaled.back(_roll(baseline, scaled.level, rows))
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            failed[baseline.name] = f"could not be fitted to this series ({error})"
    actual = series.values[rows[:, None] + np.arange(1, horizon + 1)]
    unit = naive_scale(series.values[: first + 1], series.season)
    regime = regimes(scaled.volatility[rows], scaled.volatility[: first + 1])
    table = [_row(name, quantiles, actual, unit, regime) for name, quantiles in forecasts.items()]
    lags = int(np.ceil(horizon / max(int(np.min(np.diff(rows))), 1)))
    ours = crps(forecasts[OURS], actual).mean(axis=1)
    for row in table[1:]:
        test = diebold_mariano(crps(forecasts[row["model"]], actual).mean(axis=1), ours, lags)
        row["dm"] = {"difference": test.difference, "statistic": test.statistic, "p": test.p}
    return Backtest(rows.tolist(), table, verdict(table, failed), failed)


def _roll(baseline: Baseline, level: F64, rows: np.ndarray) -> F64:
    refits = {int(part[0]) for part in np.array_split(rows, _REFITS) if len(part)}
    out = []
    for row in rows.tolist():
        history = level[: row + 1]
        if row in refits:
            baseline.fit(history)
        out.append(baseline.forecast(history))
    found = np.stack(out)
    if not np.isfinite(found).all():
        raise ArithmeticError("its forecast is not finite")
    return found


def _row(name: str, quantiles: F64, actual: F64, unit: float, regime: F64) -> dict[str, Any]:
    inside = covered(quantiles, actual)
    return {
        "model": name,
        "mase": float(np.abs(quantiles[..., MEDIAN] - actual).mean() / unit),
        "crps": float(crps(quantiles, actual).mean()),
        "coverage": float(inside.mean()),
        "coverage_by_regime": {
            label: {"origins": int((regime == k).sum()), "coverage": float(inside[regime == k].mean())}
            for k, label in enumerate(REGIMES)
            if (regime == k).any()
        },
    }


def verdict(rows: list[dict[str, Any]], failed: dict[str, str]) -> list[str]:
    """Say who wins, naive first of all."""
    ours, others = rows[0], rows[1:]
    out = []
    for row in others:
        if row["model"] in {"naive", "seasonal naive"} and (row["mase"] <= ours["mase"] or row["crps"] <= ours["crps"]):
            measures = [name.upper() for name in ("mase", "crps") if row[name] <= ours[name]]
            out.append(f"{row['model']} wins on {' and '.join(measures)} here")
    sure = [row["model"] for row in others if row["dm"]["p"] < 0.05 and row["dm"]["difference"] > 0]
    lost = [row["model"] for row in others if row["dm"]["p"] < 0.05 and row["dm"]["difference"] < 0]
    level = [row["model"] for row in others if row["dm"]["p"] >= 0.05]
    if sure:
        out.append(f"the LSTM's CRPS is lower than that of {', '.join(sure)} (Diebold-Mariano, p < .05)")
    if lost:
        out.append(f"the LSTM loses to {', '.join(lost)} (Diebold-Mariano, p < .05)")
    if level:
        out.append(f"no difference from {', '.join(level)} can be shown on so many origins")
    best = min(rows, key=lambda row: float(row["crps"]))
    out.append(f"lowest CRPS: {best['model']}")
    return out + [f"{name} {reason}" for name, reason in failed.items()]
