"""Tomorrow's return of many stocks: the LSTM beside EWMA volatility with the last value, judged by day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stream.errors import SettingError
from training.detectors.base import F64
from training.forecast.baselines import normal
from training.forecast.forecaster import LSTMForecaster, Options, Track
from training.forecast.market import ewma_volatility
from training.forecast.measures import LEVELS, covered, crps, diebold_mariano, regimes
from training.protocols.prices_data import Ticker, read_prices
from training.protocols.table import Row, Table

TRAIN_UNTIL, VALIDATE_UNTIL = 0.6, 0.8  # of the trading days; the rest is the test
CANDIDATES = {
    "small": Options(hidden=12, window=20, steps=400, rate=3e-3, decay=1e-2),
    "middle": Options(hidden=24, window=20, steps=400, rate=3e-3, decay=1e-2),
    "long": Options(hidden=24, window=60, steps=400, rate=3e-3, decay=1e-2),
}
DECAYS = (0.90, 0.92, 0.94, 0.96, 0.97, 0.98)
MEMBERS = 3
REGIMES = ("calm", "usual", "turbulent")
BAR = "EWMA volatility (.94) + last value, normal"
OURS = "LSTM on standardised returns"


def run(data: Path, *, quick: bool, seed: int, say: Callable[[str], None]) -> Table:
    """Choose on early days, test on later ones.

    Parameters
    ----------
    data
        File of prices; see `training.protocols.prices_data.read_prices`.
    quick
        Every sixth ticker, one candidate, one network.
    seed
        Of the networks.
    say
        Takes progress.
    """
    tickers = read_prices(data, quick)
    days = pd.DatetimeIndex(sorted(set().union(*(ticker.days for ticker in tickers))))
    cuts = (days[int(TRAIN_UNTIL * len(days))], days[int(VALIDATE_UNTIL * len(days))])
    say(f"{len(tickers)} tickers; trained before {cuts[0].date()}, chosen before {cuts[1].date()}, then tested")
    scores = _choose(tickers, cuts, dict(list(CANDIDATES.items())[1:2]) if quick else CANDIDATES, seed, say)
    chosen = min(scores, key=lambda name: scores[name])
    decay = _best_decay(tickers, cuts)
    models = _members(tickers, cuts, CANDIDATES[chosen], seed, 1 if quick else MEMBERS, say)
    test = [np.flatnonzero(ticker.days[:-1] >= cuts[1]) for ticker in tickers]
    forecasts = {OURS: _lstm(tickers, models, test), BAR: _ewma(tickers, test, 0.94)}
    if decay != 0.94:
        forecasts[f"EWMA volatility ({decay:g}) + last value, normal"] = _ewma(tickers, test, decay)
    forecasts["EWMA volatility (.94), shape of the training returns"] = _shaped(tickers, cuts, test)
    say("GARCH(1,1)-t, one per ticker")
    forecasts["GARCH(1,1)-t + last value"] = _garch(tickers, cuts, test)
    forecasts["naive: past returns as they were"] = _unscaled(tickers, cuts, test)
    return _table(tickers, test, forecasts, cuts, {"validation CRPS": scores, "chosen": chosen, "decay": decay}, quick)


def _tracks(tickers: list[Ticker], stop_train: pd.Timestamp, stop_hold: pd.Timestamp) -> list[Track]:
    tracks = []
    for ticker in tickers:
        target = np.append(ticker.returns[1:] / ticker.volatility[:-1], np.nan)
        # the row of day t brings day t + 1, which must lie in the same part
        after = np.append(ticker.days[1:], [pd.Timestamp.max])
        train, hold = (int((after < stop).sum()) for stop in (stop_train, stop_hold))
        tracks.append(Track(ticker.inputs, target[:, None], train, hold))
    return tracks


def _choose(
    tickers: list[Ticker],
    cuts: tuple[pd.Timestamp, pd.Timestamp],
    candidates: dict[str, Options],
    seed: int,
    say: Callable[[str], None],
) -> dict[str, float]:
    """Mean CRPS, per cent a day, of each candidate on the validation days; early stopping looks at earlier ones."""
    early = _earlier(tickers, cuts[0])
    rows = [np.flatnonzero((t.days[:-1] >= cuts[0]) & (t.days[1:] < cuts[1])) for t in tickers]
    scores = {}
    for name, options in candidates.items():
        model = LSTMForecaster(options, "cpu").fit(_tracks(tickers, early, cuts[0]), seed=seed)
        scores[name] = 100 * float(np.mean(_losses(tickers, rows, _lstm(tickers, [model], rows))))
        say(f"candidate {name}: validation CRPS {scores[name]:.4f} %")
    return scores


def _earlier(tickers: list[Ticker], stop: pd.Timestamp) -> pd.Timestamp:
    days = pd.DatetimeIndex(sorted(set().union(*(ticker.days for ticker in tickers))))
    before = days[days < stop]
    return before[int(0.8 * len(before))]


def _members(
    tickers: list[Ticker],
    cuts: tuple[pd.Timestamp, pd.Timestamp],
    options: Options,
    seed: int,
    count: int,
    say: Callable[[str], None],
) -> list[LSTMForecaster]:
    early = _earlier(tickers, cuts[1])
    out = []
    for member in range(count):
        say(f"network {member + 1} of {count}")
        one = replace(options)
        out.append(LSTMForecaster(one, "cpu").fit(_tracks(tickers, early, cuts[1]), seed=seed + member))
    return out


def _lstm(tickers: list[Ticker], models: list[LSTMForecaster], rows: list[np.ndarray]) -> list[F64]:
    out = []
    for ticker, at in zip(tickers, rows, strict=True):
        shape = np.mean([model.quantiles(ticker.inputs, at)[:, 0] for model in models], axis=0)
        out.append(ticker.volatility[at][:, None] * shape)
    return out


def _ewma(tickers: list[Ticker], rows: list[np.ndarray], decay: float) -> list[F64]:
    out = []
    for ticker, at in zip(tickers, rows, strict=True):
        vol = ewma_volatility(ticker.returns, decay)[at]
        out.append(normal(np.zeros(len(at)), np.maximum(vol, 1e-6)))
    return out


def _best_decay(tickers: list[Ticker], cuts: tuple[pd.Timestamp, pd.Timestamp]) -> float:
    rows = [np.flatnonzero(t.days[1:] < cuts[1])[60:] for t in tickers]
    losses = {decay: float(np.mean(_losses(tickers, rows, _ewma(tickers, rows, decay)))) for decay in DECAYS}
    return min(losses, key=lambda decay: losses[decay])


def _shaped(tickers: list[Ticker], cuts: tuple[pd.Timestamp, pd.Timestamp], rows: list[np.ndarray]) -> list[F64]:
    known = [(t.returns[1:] / t.volatility[:-1])[60:][t.days[61:] < cuts[1]] for t in tickers]
    shape = np.quantile(np.concatenate(known), LEVELS)
    return [ticker.volatility[at][:, None] * shape for ticker, at in zip(tickers, rows, strict=True)]


def _unscaled(tickers: list[Ticker], cuts: tuple[pd.Timestamp, pd.Timestamp], rows: list[np.ndarray]) -> list[F64]:
    out = []
    for ticker, at in zip(tickers, rows, strict=True):
        out.append(np.tile(np.quantile(ticker.returns[ticker.days < cuts[1]], LEVELS), (len(at), 1)))
    return out


def _garch(tickers: list[Ticker], cuts: tuple[pd.Timestamp, pd.Timestamp], rows: list[np.ndarray]) -> list[F64]:
    from arch import arch_model
    from scipy import stats

    out = []
    for ticker, at in zip(tickers, rows, strict=True):
        known = int((ticker.days < cuts[1]).sum())
        model = arch_model(100 * ticker.returns, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)
        params = model.fit(disp="off", show_warning=False, last_obs=known).params
        sigma = np.asarray(model.fix(params).conditional_volatility) / 100
        omega, alpha, beta, freedom = (float(params[name]) for name in ("omega", "alpha[1]", "beta[1]", "nu"))
        ahead = np.sqrt(omega / 1e4 + alpha * ticker.returns[at] ** 2 + beta * sigma[at] ** 2)
        freedom = max(freedom, 2.1)
        out.append(ahead[:, None] * stats.t.ppf(LEVELS, freedom) * np.sqrt((freedom - 2) / freedom))
    return out


def _losses(tickers: list[Ticker], rows: list[np.ndarray], forecasts: list[F64]) -> F64:
    parts = [crps(q, t.returns[at + 1]) for t, at, q in zip(tickers, rows, forecasts, strict=True)]
    return np.concatenate(parts)


def _table(
    tickers: list[Ticker],
    rows: list[np.ndarray],
    forecasts: dict[str, list[F64]],
    cuts: tuple[pd.Timestamp, pd.Timestamp],
    chosen: dict[str, Any],
    quick: bool,
) -> Table:
    if not sum(len(at) for at in rows):
        raise SettingError("the prices leave no day to test on; give a longer history")
    days = np.concatenate([t.days[at + 1].to_numpy() for t, at in zip(tickers, rows, strict=True)])
    past = [ticker.volatility[ticker.days < cuts[1]] for ticker in tickers]
    regime = np.concatenate(
        [regimes(t.volatility[at], known) for t, at, known in zip(tickers, rows, past, strict=True)]
    )
    losses = {name: 100 * _losses(tickers, rows, found) for name, found in forecasts.items()}
    by_day = {name: pd.Series(loss).groupby(days).mean().to_numpy() for name, loss in losses.items()}
    out, tests = [], {}
    for name, found in forecasts.items():
        actual = [t.returns[at + 1] for t, at in zip(tickers, rows, strict=True)]
        inside = np.concatenate([covered(q, y) for q, y in zip(found, actual, strict=True)])
        figures = {"CRPS %": float(losses[name].mean()), "80 % covers": float(inside.mean())}
        figures |= {f"in {label}": float(inside[regime == k].mean()) for k, label in enumerate(REGIMES)}
        if name != BAR:
            test = diebold_mariano(by_day[name], by_day[BAR], lags=5)
            tests[name] = test._asdict()
            figures |= {"DM": test.statistic, "p": test.p}
        if name != OURS:
            figures["LSTM's DM"] = diebold_mariano(by_day[OURS], by_day[name], lags=5).statistic
        out.append(Row(name, f"{len(tickers)} tickers, {len(by_day[name])} days", "ours" if name == OURS else "control",
                       figures, {"CRPS %": _by_day_interval(by_day[name])}))  # fmt: skip
    ours = out[0].figures
    counts = {label: int((regime == k).sum()) for k, label in enumerate(REGIMES)}
    worst = max((abs(ours[f"in {label}"] - 0.8), ours[f"in {label}"]) for label in REGIMES)[1]
    goals = [
        {
            "goal": "CRPS below EWMA volatility + last value (DM by day, p < .05)",
            "reached": f"DM {ours['DM']:.2f}, p {ours['p']:.2g}",
            "met": ours["DM"] < 0 and ours["p"] < 0.05,
        },
        {
            "goal": "80 % interval covers 75-85 % in each volatility regime",
            "reached": f"{worst:.3f} furthest",
            "met": 0.75 <= worst <= 0.85,
        },
    ]
    return Table(
        protocol="prices",
        chosen=chosen,
        rows=out,
        headings=("CRPS %", "DM", "p", "LSTM's DM", "80 % covers", *(f"in {label}" for label in REGIMES)),
        goals=goals,
        notes=_notes(cuts, losses, quick),
        details={"dm": tests, "test_from": str(cuts[1].date()), "rows": len(regime), "by_regime": counts},
    )


def _by_day_interval(by_day: F64) -> tuple[float, float]:
    half = 1.96 * float(by_day.std(ddof=1)) / float(np.sqrt(len(by_day)))
    return float(by_day.mean()) - half, float(by_day.mean()) + half


def _notes(cuts: tuple[pd.Timestamp, pd.Timestamp], losses: dict[str, F64], quick: bool) -> list[str]:
    best = min(losses, key=lambda name: float(losses[name].mean()))
    notes = [
        f"Trained and chosen before {cuts[1].date()}, tested from then on; one step ahead; the median of every model "
        "is near the last value, so the gain is in the width of the forecast, not in its direction.",
        "DM: daily means of the loss difference against EWMA (.94), Newey-West with 5 lags; negative is better. "
        "LSTM's DM: the LSTM against the model of that row.",
        f"Lowest CRPS: {best}.",
    ]
    return [*notes, "Quick: every sixth ticker and one network."] if quick else notes
