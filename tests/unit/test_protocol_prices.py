"""The prices protocol on returns whose volatility is known: no look-ahead, honest tests, clear refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stream.errors import SettingError
from training.forecast.forecaster import Options
from training.protocols import prices
from training.protocols.prices_data import read_prices


def write_prices(path: Path, tickers: int = 6, days: int = 460) -> pd.DataFrame:
    random = np.random.default_rng(0)
    dates = pd.bdate_range("2020-01-01", periods=days)
    parts = []
    for k in range(tickers):
        width = 0.01 * np.where(np.arange(days) % 5 == 4, 3.0, 0.6)  # Fridays are wild, which EWMA cannot know
        close = 50 * np.exp(np.cumsum(width * random.normal(size=days)))
        opening, volume = np.roll(close, 1), random.integers(1000, 9000, days).astype(float)
        parts.append(
            pd.DataFrame({
                "ticker": f"T{k}", "Date": dates, "Open": opening, "High": np.maximum(close, opening) * 1.001,
                "Low": np.minimum(close, opening) * 0.999, "Close": close, "Adj Close": close, "Volume": volume,
            })
        )  # fmt: skip
    frame = pd.concat(parts, ignore_index=True)
    frame.to_parquet(path)
    return frame


def test_inputs_know_nothing_of_later_days(tmp_path: Path) -> None:
    frame = write_prices(tmp_path / "a.parquet")
    before = read_prices(tmp_path / "a.parquet", quick=False)
    late = frame["Date"] >= frame["Date"].unique()[400]
    frame.loc[late, ["Open", "High", "Low", "Close", "Adj Close", "Volume"]] *= 3.0
    frame.to_parquet(tmp_path / "b.parquet")
    after = read_prices(tmp_path / "b.parquet", quick=False)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one.inputs[:400], other.inputs[:400], atol=1e-5)
        np.testing.assert_allclose(one.volatility[:400], other.volatility[:400])
        assert not np.allclose(one.inputs[400], other.inputs[400])


def test_the_lstm_learns_what_ewma_cannot_and_the_table_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_prices(tmp_path / "prices.parquet")
    small = Options(hidden=8, window=8, steps=150, rate=1e-2, check_every=25)
    monkeypatch.setattr(prices, "CANDIDATES", {"a": small, "b": small})
    monkeypatch.setattr(prices, "read_prices", lambda path, quick: read_prices(path, quick=False))
    table = prices.run(tmp_path, quick=True, seed=1, say=lambda _: None)
    rows = {row.model: row.figures for row in table.rows}
    assert rows[prices.OURS]["CRPS %"] < 0.95 * rows[prices.BAR]["CRPS %"]
    assert rows[prices.OURS]["DM"] < -3
    assert table.goals[0]["met"]
    assert {row.source for row in table.rows} == {"ours", "control"}
    assert table.details["test_from"] > "2021-03"


def test_a_table_that_holds_no_prices_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Date,Close\n2024-01-01,3\n")
    with pytest.raises(SettingError, match="lacks Adj Close, High, Low, Open, Volume, ticker"):
        prices.run(path, quick=True, seed=1, say=print)
    write_prices(tmp_path / "short.parquet", days=50)
    with pytest.raises(SettingError, match="no ticker with 400 days"):
        prices.run(tmp_path / "short.parquet", quick=True, seed=1, say=print)
