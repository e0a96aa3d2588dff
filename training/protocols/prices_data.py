"""Daily prices of many tickers as tracks for the forecaster: returns in units of their own volatility."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stream.errors import SettingError
from training.detectors.base import F32, F64
from training.forecast.market import ewma_volatility

COLUMNS = ("Open", "High", "Low", "Close", "Adj Close", "Volume")
_LEAST_ROWS = 400
_QUARTER = 63  # trading days between two earnings reports


@dataclass(frozen=True, slots=True)
class Ticker:
    """One ticker; row t is known at the close of day t.

    Parameters
    ----------
    name, days
        Ticker and its trading days.
    returns
        (n,) log returns of the adjusted close, the first is 0.
    volatility
        (n,) EWMA volatility, decay .94, known at t.
    inputs
        (n, C) for the network.
    """

    name: str
    days: pd.DatetimeIndex
    returns: F64
    volatility: F64
    inputs: F32


def read_prices(path: Path, quick: bool) -> list[Ticker]:
    """Read a table with ticker, Date, Open, High, Low, Close, Adj Close and Volume.

    Parameters
    ----------
    path
        Parquet or CSV file, or a folder with one Parquet file.
    quick
        Every sixth ticker.

    Raises
    ------
    SettingError
        Columns are missing, or no ticker has rows enough.
    """
    if path.is_dir():
        found = sorted(path.glob("*.parquet"))
        if len(found) != 1:
            raise SettingError(f"--data {path} holds {len(found)} Parquet files; name the one with the prices")
        path = found[0]
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, parse_dates=["Date"])
    missing = sorted({"ticker", "Date", *COLUMNS} - set(frame.columns))
    if missing:
        raise SettingError(f"--data {path} lacks {', '.join(missing)}; prices need ticker, Date, {', '.join(COLUMNS)}")
    groups = [(str(name), group) for name, group in frame.groupby("ticker", observed=True, sort=True)]
    groups = [(name, group.dropna().sort_values("Date")) for name, group in groups]
    groups = [(name, group) for name, group in groups if len(group) >= _LEAST_ROWS][:: 6 if quick else 1]
    if not groups:
        raise SettingError(f"--data {path} has no ticker with {_LEAST_ROWS} days")
    alone = {name: _own(group) for name, group in groups}
    market = _market(alone)
    return [_ticker(name, own, market) for name, own in alone.items()]


def _own(group: pd.DataFrame) -> pd.DataFrame:
    """What a ticker's own rows tell by the close of each day."""
    out = pd.DataFrame(index=pd.DatetimeIndex(group["Date"]))
    close, high, low = (group[name].to_numpy(np.float64) for name in ("Close", "High", "Low"))
    adjusted = np.log(group["Adj Close"].to_numpy(np.float64))
    out["r"] = np.diff(adjusted, prepend=adjusted[:1])
    usual = float(np.std(out["r"].to_numpy()[:250])) or 0.01
    vol = np.maximum(ewma_volatility(out["r"].to_numpy()), 0.1 * usual)
    out["vol"] = vol
    before = np.concatenate((vol[:1], vol[:-1]))
    out["z"] = out["r"] / before
    out["size"] = out["z"].abs()
    squares = out["r"] ** 2
    for halflife in (3, 40, 120):
        slow = np.sqrt(squares.ewm(halflife=halflife).mean().to_numpy()) + 1e-5
        out[f"vol{halflife}"] = np.log(slow / vol)
    reach = np.log(np.maximum(high / np.maximum(low, 1e-9), 1.0))
    out["range"] = reach / before
    out["ranges"] = np.log((pd.Series(reach).ewm(halflife=6).mean().to_numpy() + 1e-5) / vol)
    opening = group["Open"].to_numpy(np.float64)
    out["gap"] = np.log(opening / np.concatenate((opening[:1], close[:-1]))) / before
    volume = pd.Series(np.log1p(group["Volume"].to_numpy(np.float64)))
    out["volume"] = (volume - volume.ewm(halflife=20).mean()).to_numpy()
    for quarters in (1, 4):
        # reports come a quarter apart: how large tomorrow's move was then
        at = out["size"].shift(_QUARTER * quarters - 1)
        out[f"report{quarters}"] = at.rolling(5, center=False, min_periods=1).max().fillna(1.0)
        near = out["size"].shift(_QUARTER * quarters - 3)
        out[f"near{quarters}"] = near.rolling(5, min_periods=1).max().fillna(1.0)
    big = out["size"].to_numpy() > 3
    since = np.arange(len(big)) - np.maximum.accumulate(np.where(big, np.arange(len(big)), -_QUARTER))
    phase = 2 * np.pi * since / _QUARTER
    out["since"], out["phase sin"], out["phase cos"] = np.minimum(since / _QUARTER, 2), np.sin(phase), np.cos(phase)
    return out


def _market(alone: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What all tickers together tell by the close of each day."""
    z = pd.DataFrame({name: own["z"] for name, own in alone.items()})
    market = pd.DataFrame({"market": z.mean(axis=1), "breadth": z.abs().mean(axis=1)})
    quick, slow = (np.sqrt((market["market"] ** 2).ewm(halflife=h).mean()) + 1e-5 for h in (5, 60))
    market["market vol"] = np.log(quick / slow)
    return market


def _ticker(name: str, own: pd.DataFrame, market: pd.DataFrame) -> Ticker:
    days = pd.DatetimeIndex(own.index)
    week = 2 * np.pi * days.dayofweek.to_numpy() / 5
    columns = [own[column].to_numpy() for column in own.columns if column not in {"r", "vol"}]
    columns += [market.loc[days, column].to_numpy() for column in market.columns]
    inputs = np.column_stack((*columns, np.sin(week), np.cos(week)))
    clean = np.clip(np.nan_to_num(inputs), -8, 8).astype(np.float32)
    return Ticker(name, days, own["r"].to_numpy(), own["vol"].to_numpy(), clean)
