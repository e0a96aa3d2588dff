"""What a forecaster has to beat: each gives quantiles of the next steps from a history, on the models' scale."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from training.detectors.base import F64
from training.forecast.market import base_levels, ewma_volatility
from training.forecast.measures import LEVELS

_RECENT = 500


class Baseline:
    """Parameters are estimated by `fit`, seldom; `forecast` uses them with whatever history there is."""

    name: str

    def __init__(self, horizon: int, season: int) -> None:
        self.horizon, self.season = horizon, season

    def fit(self, history: F64) -> None:
        """Estimate parameters; nothing to do for most."""

    def forecast(self, history: F64) -> F64:
        """Quantiles at `LEVELS` after the history; (n,) to (H, Q)."""
        raise NotImplementedError


class _Errors(Baseline):
    """A point forecast with the errors that it made before."""

    def forecast(self, history: F64) -> F64:
        recent = history[-_RECENT:]
        rows = np.arange(self._needs(), len(recent))
        points = self._points(recent, rows)
        out = np.empty((self.horizon, len(LEVELS)))
        for h in range(1, self.horizon + 1):
            errors = recent[rows[:-h] + h] - points[:-h, h - 1]
            spread = np.quantile(errors, LEVELS) if len(errors) >= 10 else np.zeros(len(LEVELS))
            out[h - 1] = points[-1, h - 1] + spread
        return out

    def _needs(self) -> int:
        return 0

    def _points(self, history: F64, rows: np.ndarray) -> F64:
        raise NotImplementedError


class Naive(_Errors):
    """The last value."""

    name = "naive"

    def _points(self, history: F64, rows: np.ndarray) -> F64:
        return base_levels(history, rows, self.horizon, 1)


class SeasonalNaive(_Errors):
    """The value one season before."""

    name = "seasonal naive"

    def _needs(self) -> int:
        return self.season

    def _points(self, history: F64, rows: np.ndarray) -> F64:
        return base_levels(history, rows, self.horizon, self.season)


class Drift(_Errors):
    """The last value, going on with the mean change so far."""

    name = "drift"

    def _needs(self) -> int:
        return 1

    def _points(self, history: F64, rows: np.ndarray) -> F64:
        slope = (history[rows] - history[0]) / rows
        return np.asarray(history[rows][:, None] + slope[:, None] * np.arange(1, self.horizon + 1))


class Ewma(Baseline):
    """The last value with a normal spread: EWMA volatility times the root of the steps."""

    name = "EWMA volatility"

    def forecast(self, history: F64) -> F64:
        vol = float(ewma_volatility(np.diff(history[-_RECENT:]))[-1])
        return normal(np.full(self.horizon, history[-1]), vol * np.sqrt(np.arange(1, self.horizon + 1)))


class Garch(Baseline):
    """The last value with GARCH(1,1) variance and Student-t shocks (package arch)."""

    name = "GARCH(1,1)-t"

    def fit(self, history: F64) -> None:
        changes = np.diff(history[-_RECENT:])
        self._unit = float(changes.std()) or 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._params = self._model(changes).fit(disp="off", show_warning=False).params

    def forecast(self, history: F64) -> F64:
        from scipy import stats

        fixed = self._model(np.diff(history[-_RECENT:])).fix(self._params)
        variance = fixed.forecast(horizon=self.horizon, reindex=False).variance.to_numpy()[-1]
        freedom = max(float(self._params["nu"]), 2.1)
        shape = stats.t.ppf(LEVELS, freedom) * np.sqrt((freedom - 2) / freedom)
        return np.asarray(history[-1] + self._unit * np.sqrt(np.cumsum(variance))[:, None] * shape)

    def _model(self, changes: F64) -> Any:
        from arch import arch_model

        return arch_model(changes / self._unit, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)


class Ets(Baseline):
    """Exponential smoothing: damped trend, additive season where there is one (statsmodels)."""

    name = "ETS"

    def fit(self, history: F64) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._params = self._model(history[-_RECENT:]).fit(disp=False, maxiter=100).params

    def forecast(self, history: F64) -> F64:
        recent = history[-_RECENT:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            smoothed = self._model(recent).smooth(self._params)
            ahead = smoothed.get_prediction(start=len(recent), end=len(recent) + self.horizon - 1)
            deviation = np.sqrt(np.asarray(ahead.forecast_variance, np.float64))
            return normal(np.asarray(ahead.predicted_mean, np.float64), deviation)

    def _model(self, history: F64) -> Any:
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel

        seasonal = "add" if 1 < self.season <= 24 and len(history) > 3 * self.season else None
        periods = self.season if seasonal else None
        return ETSModel(
            pd.Series(history), error="add", trend="add", damped_trend=True, seasonal=seasonal, seasonal_periods=periods
        )


class Arima(Baseline):
    """ARIMA of the order with the least AIC among four (statsmodels)."""

    name = "ARIMA"
    orders = ((0, 1, 1), (1, 1, 1), (2, 1, 2), (2, 0, 1))

    def fit(self, history: F64) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fits = [self._model(history[-_RECENT:], order).fit(disp=False, maxiter=40) for order in self.orders]
        best = min(fits, key=lambda fit: float(fit.aic) if np.isfinite(fit.aic) else np.inf)
        self._order, self._params = self.orders[fits.index(best)], best.params

    def forecast(self, history: F64) -> F64:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ahead = self._model(history[-_RECENT:], self._order).filter(self._params).get_forecast(self.horizon)
        return normal(np.asarray(ahead.predicted_mean, np.float64), np.asarray(ahead.se_mean, np.float64))

    def _model(self, history: F64, order: tuple[int, int, int]) -> Any:
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        trend = "c" if order[1] == 0 else "n"
        return SARIMAX(history, order=order, trend=trend, enforce_stationarity=True)


def normal(mean: F64, deviation: F64) -> F64:
    """Quantiles of normal distributions; (H,) and (H,) to (H, Q)."""
    from scipy import stats

    return np.asarray(mean[:, None] + deviation[:, None] * stats.norm.ppf(LEVELS))


def baselines(horizon: int, season: int) -> list[Baseline]:
    """All of them; the seasonal one only where there is a season."""
    kinds: list[type[Baseline]] = [Naive, Drift, Ewma, Garch, Ets, Arima]
    if season > 1:
        kinds.insert(2, SeasonalNaive)
    return [kind(horizon, season) for kind in kinds]
