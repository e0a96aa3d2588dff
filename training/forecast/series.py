"""Reading one series out of a CSV or Parquet file: order, gaps, step, weekends."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stream.errors import SettingError
from training.detectors.base import F64

_SHARE_PARSED = 0.99


@dataclass(frozen=True, slots=True)
class Series:
    """Values in order of time, as observed: a weekend or a gap is a longer step, never an invented value.

    Parameters
    ----------
    name
        Of the column.
    times, values
        (n,), strictly rising, and (n,) finite.
    step
        The usual distance between two rows.
    season
        Rows of a season, 1 where none is usual: 5 for trading days, 7 for days, 12 for months, 24 for hours.
    gaps
        Steps longer than usual, weekends of business days left out.
    dropped
        Rows that were left out: no value, no date, or a date seen before (the last row of a date counts).
    """

    name: str
    times: pd.DatetimeIndex
    values: F64
    step: pd.Timedelta
    season: int
    gaps: int
    dropped: int
    weekdays_only: bool

    def after(self, count: int) -> pd.DatetimeIndex:
        """Dates of the next `count` steps; over weekends where the series leaves them out."""
        last = self.times[-1]
        if self.weekdays_only:
            return pd.bdate_range(last + pd.Timedelta(days=1), periods=count)
        if self.season == 12 and self.step >= pd.Timedelta(days=28):
            return pd.DatetimeIndex([last + pd.DateOffset(months=k) for k in range(1, count + 1)])
        return pd.DatetimeIndex([last + self.step * k for k in range(1, count + 1)])


def read_series(path: Path, column: str, date: str | None = None) -> Series:
    """Read a column and its dates.

    Parameters
    ----------
    path
        CSV, or Parquet by its ending.
    column
        Values.
    date
        Dates; found by name or type when left out.

    Raises
    ------
    SettingError
        No such file or column, values that are no numbers, dates that do not parse, too few rows.
    """
    frame = _table(path)
    if column not in frame.columns:
        raise SettingError(f"--column {column} is not in {path.name}; it has {_names(frame)}")
    date = date or _date_column(frame, path)
    if date not in frame.columns:
        raise SettingError(f"--date {date} is not in {path.name}; it has {_names(frame)}")
    return make_series(column, _dates(frame[date], date), _numbers(frame[column], column))


def make_series(name: str, times: pd.DatetimeIndex, values: F64) -> Series:
    """Order, drop what is unusable, and find step and season.

    Raises
    ------
    SettingError
        Fewer than three rows are left.
    """
    frame = pd.DataFrame({"value": values}, index=times)
    usable = np.isfinite(frame["value"].to_numpy()) & ~frame.index.isna()
    kept = frame[usable].sort_index(kind="stable")
    kept = kept[~kept.index.duplicated(keep="last")]
    if len(kept) < 3:
        raise SettingError(f"column {name} has {len(kept)} usable rows; a forecast needs many more")
    index = pd.DatetimeIndex(kept.index)
    steps = np.diff(index.to_numpy()).astype("timedelta64[ns]")
    step = pd.Timedelta(np.median(steps.astype(np.int64)), unit="ns")
    daily = step == pd.Timedelta(days=1)
    weekdays = bool(daily and (index.dayofweek < 5).all())
    long = steps > 1.5 * step.to_timedelta64()
    if weekdays:
        long &= ~((index[:-1].dayofweek == 4) & (steps <= np.timedelta64(3, "D")))
    return Series(
        name=name,
        times=index,
        values=kept["value"].to_numpy(np.float64),
        step=step,
        season=_season(step, weekdays),
        gaps=int(long.sum()),
        dropped=len(frame) - len(kept),
        weekdays_only=weekdays,
    )


def _season(step: pd.Timedelta, weekdays: bool) -> int:
    if weekdays:
        return 5
    days = step / pd.Timedelta(days=1)
    if days < 0.9:
        return max(round(1 / days), 1)
    if days < 1.5:
        return 7
    if 6 < days < 8:
        return 52
    if 27 < days < 32:
        return 12
    return 4 if 85 < days < 95 else 1


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise SettingError(f"there is no file {path}; name a CSV or Parquet file")
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pd.read_parquet(path)
        return _csv(path)
    except (OSError, ValueError, csv.Error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SettingError(f"{path.name} cannot be read as a table ({reason}); give a CSV or Parquet file") from None


def _csv(path: Path) -> pd.DataFrame:
    """Take the separator that the first lines show; a single column shows none."""
    try:
        return pd.read_csv(path, sep=None, engine="python")
    except csv.Error:
        return pd.read_csv(path)


def _names(frame: pd.DataFrame) -> str:
    names = [str(name) for name in frame.columns]
    return ", ".join(names[:12]) + (" and more" if len(names) > 12 else "")


def _date_column(frame: pd.DataFrame, path: Path) -> str:
    for name in frame.columns:
        if pd.api.types.is_datetime64_any_dtype(frame[name]):
            return str(name)
    for name in frame.columns:
        if str(name).strip().lower() in {"date", "time", "datetime", "timestamp", "day", "month", "ds"}:
            return str(name)
    raise SettingError(f"{path.name} has no column that is named like a date; name it with --date ({_names(frame)})")


def _dates(column: pd.Series, name: str) -> pd.DatetimeIndex:
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.DatetimeIndex(column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz else column)
    text = column.astype("string").str.strip()
    parsed = pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601")
    if parsed.isna().mean() > 1 - _SHARE_PARSED:
        parsed = pd.to_datetime(text, errors="coerce", utc=True, format="mixed")
    bad = parsed.isna() & text.notna() & (text != "")
    if len(text) == 0 or bad.mean() > 1 - _SHARE_PARSED:
        sample = str(text[bad].iloc[0]) if bad.any() else ""
        raise SettingError(f"--date {name}: {int(bad.sum())} dates do not parse, such as {sample!r}; write 2024-01-31")
    return pd.DatetimeIndex(parsed.dt.tz_localize(None))


def _numbers(column: pd.Series, name: str) -> F64:
    numbers = pd.to_numeric(column, errors="coerce")
    bad = numbers.isna() & column.notna() & (column.astype("string").str.strip() != "")
    if bad.mean() > 1 - _SHARE_PARSED:
        raise SettingError(f"--column {name} is not numeric, such as {str(column[bad].iloc[0])!r}; name another column")
    return np.asarray(numbers, np.float64)
