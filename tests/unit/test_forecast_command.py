"""`fraudstream forecast` as its user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from stream.errors import SettingError
from training.cli_forecast import forecast

app = typer.Typer()
app.command()(forecast)


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "stock_price.csv"
    close = 20 * np.exp(np.cumsum(0.01 * np.random.default_rng(0).normal(size=220)))
    pd.DataFrame({"Date": pd.bdate_range("2024-01-01", periods=220), "Close": close}).to_csv(path, index=False)
    return path


def test_quantiles_with_dates_and_a_picture(prices: Path, tmp_path: Path) -> None:
    picture = tmp_path / "out" / "fan.png"
    options = ["--horizon", "3", "--picture", str(picture), "--device", "cpu", "--json"]
    result = CliRunner().invoke(app, [str(prices), "--column", "Close", *options])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [step["date"] for step in report["forecast"]] == ["2024-11-04", "2024-11-05", "2024-11-06"]
    last = float(pd.read_csv(prices)["Close"].iloc[-1])
    for step in report["forecast"]:
        assert 0.8 * last < step["q05"] < step["q50"] < step["q95"] < 1.25 * last
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_without_json_the_table_is_printed(prices: Path) -> None:
    result = CliRunner().invoke(app, [str(prices), "--column", "Close", "--horizon", "2", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "from the last value" in result.output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--column", "Open", "--horizon", "3"], "--column Open is not in stock_price.csv"),
        (["--column", "Close", "--horizon", "150"], "shorter horizon"),
        (["--column", "Close", "--horizon", "3", "--device", "tpu"], "--device tpu is unknown"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(prices: Path, options: list[str], says: str) -> None:
    result = CliRunner().invoke(app, [str(prices), *options])
    assert isinstance(result.exception, SettingError)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)
