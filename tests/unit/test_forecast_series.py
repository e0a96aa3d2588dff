"""Series as people have them: gaps, weekends, several spellings of dates, and what cannot be a series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stream.errors import SettingError
from training.forecast.series import make_series, read_series


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_rows_are_ordered_and_what_is_unusable_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "day,v\n2024-01-03,3\n2024-01-01,1\n2024-01-02,\n2024-01-03,4\n2024-01-05,5\n")
    series = read_series(path, "v", "day")
    assert series.values.tolist() == [1.0, 4.0, 5.0]
    assert series.dropped == 2
    assert (np.diff(series.times.to_numpy()) > np.timedelta64(0)).all()


def test_weekends_are_no_gaps_and_forecasts_skip_them() -> None:
    days = pd.bdate_range("2024-01-01", periods=60).delete([20, 21])
    series = make_series("close", days, np.arange(58.0))
    assert (series.season, series.gaps, series.weekdays_only) == (5, 1, True)
    friday = make_series("close", pd.bdate_range("2024-01-01", "2024-03-01"), np.arange(45.0))
    assert [str(day.date()) for day in friday.after(2)] == ["2024-03-04", "2024-03-05"]


@pytest.mark.parametrize(
    ("frequency", "season", "following"),
    [
        ("h", 24, "2024-01-03 12:00:00"),
        ("MS", 12, "2029-01-01"),
        ("D", 7, "2024-03-01"),
        ("5min", 288, "2024-01-01 05:00:00"),
    ],
)
def test_step_and_season_are_found(frequency: str, season: int, following: str) -> None:
    times = pd.date_range("2024-01-01", periods=60, freq=frequency)
    series = make_series("v", times, np.arange(60.0))
    assert series.season == season
    assert series.after(1)[0] == pd.Timestamp(following)


@pytest.mark.parametrize("spelling", ["%Y-%m-%d", "%d %b %Y", "%Y-%m-%dT%H:%M:%SZ", "%m/%d/%Y"])
def test_dates_are_read_as_people_write_them(tmp_path: Path, spelling: str) -> None:
    days = pd.date_range("2024-01-10", periods=40)
    rows = "\n".join(f"{day.strftime(spelling)};{k}.5" for k, day in enumerate(days))
    series = read_series(write(tmp_path / "a.csv", f"Date;Close\n{rows}\n"), "Close")
    assert list(series.times) == list(days)
    assert series.values[3] == 3.5


@pytest.mark.parametrize(
    ("column", "date", "says"),
    [
        ("Open", None, "--column Open is not in a.csv; it has Date, Close, Name"),
        ("Close", "Day", "--date Day is not in a.csv"),
        ("Name", None, "--column Name is not numeric, such as 'x'"),
        ("Close", "Name", "dates do not parse, such as 'x'"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(tmp_path: Path, column: str, date: str | None, says: str) -> None:
    path = write(tmp_path / "a.csv", "Date,Close,Name\n" + "".join(f"2024-01-{k:02d},{k},x\n" for k in range(1, 20)))
    with pytest.raises(SettingError, match=says):
        read_series(path, column, date)


def test_a_file_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no file"):
        read_series(tmp_path / "none.csv", "v")
    with pytest.raises(SettingError, match="cannot be read as a table"):
        read_series(write(tmp_path / "empty.csv", ""), "v")
    with pytest.raises(SettingError, match="0 usable rows"):
        read_series(write(tmp_path / "blank.csv", "date,v\n2024-01-01,\n"), "v")
    with pytest.raises(SettingError, match="name it with --date"):
        read_series(write(tmp_path / "dateless.csv", "a,v\n1,2\n3,4\n"), "v")
