"""The forecaster: learns, repeats itself, sees no future, and is the same as ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from stream.errors import SettingError
from training.forecast.backtest import OURS, backtest, fit_lstm, verdict
from training.forecast.baselines import Arima
from training.forecast.forecaster import LSTMForecaster, Options, Track, device_of, windows_of
from training.forecast.market import better_base, inputs_of, scale, track_of
from training.forecast.measures import LEVELS, MEDIAN, crps
from training.forecast.series import Series, make_series

QUICK = Options(hidden=8, window=12, batch=32, steps=120, check_every=20)


def weekly(n: int = 300, seed: int = 0) -> Series:
    """A season of seven days and noise, two weeks of it missing."""
    random = np.random.default_rng(seed)
    days = pd.date_range("2023-01-01", periods=n + 14)
    days = days.delete(np.arange(n // 3, n // 3 + 14))
    return make_series("v", days, 50 + 10 * np.sin(2 * np.pi * np.arange(n) / 7) + random.normal(size=n))


@pytest.fixture(scope="module")
def learnt() -> tuple[LSTMForecaster, Track]:
    random = np.random.default_rng(0)
    width = np.where(np.arange(1200) // 40 % 2 == 0, 0.3, 3.0)
    inputs = np.column_stack((np.log(width), random.normal(size=1200))).astype(np.float32)
    targets = (width * random.normal(size=1200))[:, None]
    track = Track(inputs, targets, 800, 1000)
    return LSTMForecaster(QUICK, "cpu").fit([track], seed=1), track


def test_it_learns_how_wide_to_be(learnt: tuple[LSTMForecaster, Track]) -> None:
    model, track = learnt
    rows = np.arange(1000, 1200)
    found = model.quantiles(track.inputs, rows)[:, 0]
    actual = track.targets[rows, 0]
    plain = np.tile(np.quantile(track.targets[:800, 0], LEVELS), (200, 1))
    assert crps(found, actual).mean() < 0.9 * crps(plain, actual).mean()
    assert (np.diff(found, axis=-1) > 0).all()


def test_onnx_gives_the_same_quantiles(learnt: tuple[LSTMForecaster, Track], tmp_path: Path) -> None:
    model, track = learnt
    model.to_onnx(tmp_path / "f.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "f.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 7):
        rows = np.arange(500, 500 + count)
        windows = windows_of(track.inputs, rows, QUICK.window).numpy()
        (found,) = session.run(["quantiles"], {"x": windows})
        np.testing.assert_allclose(found, model.quantiles(track.inputs, rows), atol=1e-4)


def test_one_seed_gives_one_network(learnt: tuple[LSTMForecaster, Track]) -> None:
    model, track = learnt
    again = LSTMForecaster(QUICK, "cpu").fit([track], seed=1)
    np.testing.assert_array_equal(
        again.quantiles(track.inputs, np.arange(50)), model.quantiles(track.inputs, np.arange(50))
    )


def test_what_comes_later_changes_neither_inputs_nor_targets_before() -> None:
    series = weekly()
    later = series.values.copy()
    later[200:] += np.linspace(5, 30, 100)
    other = make_series("v", series.times, later)
    first, second = (track_of(one, scale(one.values), 5, 7, 200) for one in (series, other))
    np.testing.assert_allclose(first.inputs[:199], second.inputs[:199], atol=1e-5)
    np.testing.assert_allclose(first.targets[:195], second.targets[:195], atol=1e-9)
    assert np.isnan(first.targets[first.train - 1, 1:]).all()
    assert np.isnan(first.targets[199]).all()


def test_a_season_is_used_where_it_pays() -> None:
    series = weekly()
    assert better_base(scale(series.values).level, 5, 7, 200) == 7
    walk = np.cumsum(np.random.default_rng(0).normal(size=300))
    assert better_base(walk, 5, 7, 200) == 1


def test_the_backtest_beats_naive_on_a_season_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arima, "orders", ((0, 1, 1),))
    monkeypatch.setattr("training.forecast.backtest._REFITS", 1)
    found = backtest(weekly(), 3, origins=10, seed=1, device="cpu")
    rows = {row["model"]: row for row in found.rows}
    assert set(rows) == {OURS, "naive", "drift", "seasonal naive", "EWMA volatility", "GARCH(1,1)-t", "ETS", "ARIMA"}
    assert rows[OURS]["crps"] < 0.5 * rows["naive"]["crps"]
    assert rows["naive"]["dm"]["p"] < 0.05
    assert any("lower than that of naive" in sentence for sentence in found.verdict)
    assert min(found.origins) >= 225


def test_a_forecast_of_a_flat_series_stays_flat() -> None:
    series = make_series("v", pd.date_range("2023-01-01", periods=200), np.full(200, 7.0))
    scaled = scale(series.values)
    fitted = fit_lstm(series, scaled, 2, 200, 1, "cpu")
    found = fitted.forecast(series, scaled, np.array([199]), 2)
    np.testing.assert_allclose(found[0, :, MEDIAN], 7.0, atol=0.1)
    assert np.isfinite(inputs_of(series, scaled)).all()


def test_the_verdict_names_naive_where_it_wins() -> None:
    test = {"difference": -0.1, "statistic": -3.0, "p": 0.01}
    rows = [{"model": OURS, "mase": 1.1, "crps": 2.0}, {"model": "naive", "mase": 1.0, "crps": 1.9, "dm": test}]
    text = verdict(rows, {})
    assert text[0] == "naive wins on MASE and CRPS here"
    assert "loses to naive" in text[1]


def test_too_short_a_series_and_a_missing_device_are_refused() -> None:
    with pytest.raises(SettingError, match="shorter horizon"):
        backtest(weekly(80), 5, device="cpu")
    with pytest.raises(SettingError, match="CUDA"):
        device_of("cuda")
