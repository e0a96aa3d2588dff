"""Gaps are filled better than by means, known cells stay, types stay; and a comparison that is the same twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from stream.errors import SettingError
from training.cli_impute import impute
from training.impute import Imputer, Layout
from training.impute_compare import compare

app = typer.Typer()
app.command()(impute)
SMALL = {"nets": 1, "steps": 250}


def ring(rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Six columns of one angle, and a category of it: no column alone tells another one linearly."""
    rng = np.random.default_rng(3)
    angle = rng.uniform(0, 2 * np.pi, rows)
    waves = [np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle), 50 + 9 * np.sin(angle), angle * 0 + 7]
    return np.column_stack([*waves, (angle * 4 / np.pi) // 2]) + np.array([0.02] * 5 + [0, 0]) * rng.normal(
        size=(rows, 7)
    )


LAYOUT = Layout((0, 0, 0, 0, 0, 0, 4))


def test_hidden_cells_come_back_better_than_by_mean_and_category() -> None:
    told = compare(ring(1200), LAYOUT, seed=2, **SMALL)
    assert told["rmse"]["vae"] < 0.6 * told["rmse"]["mean"] and told["rmse"]["vae"] < told["rmse"]["iterative"]
    assert set(told["rmse"]) == {"vae", "mean", "median", "knn-5", "iterative"}
    assert told["right"]["vae"] > 0.7 > told["right"]["most frequent"]


def test_the_same_seed_fills_the_same() -> None:
    X = ring(200)
    X[::5, 0] = np.nan
    first, again = (Imputer(LAYOUT, nets=1, steps=60).fit(X, seed=4).fill(X) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first[np.isfinite(X)], X[np.isfinite(X)])


def test_a_file_keeps_its_types_and_its_known_cells(tmp_path: Path) -> None:
    X = ring(300)
    gap = np.random.default_rng(1).random(300) < 0.2
    table = pa.table(
        {
            "id": [f"customer number {row}" for row in range(300)],
            "wave": pa.array(X[:, 0], mask=gap),
            "count": pa.array((X[:, 4]).astype(np.int64), mask=gap),
            "active": pa.array(X[:, 1] > 0, mask=gap),
            "quarter": pa.array([f"q{int(q)}" for q in X[:, 6]], mask=gap),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    arguments = [str(tmp_path / "in.parquet"), "-o", str(tmp_path / "out.parquet"), "--steps", "100", "--nets", "1"]
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    report = json.loads(result.stdout)
    filled = pq.read_table(tmp_path / "out.parquet")
    assert result.exit_code == 0 and report["gaps"] == 4 * gap.sum() and report["left"] == ["id"]
    assert filled.schema.types == table.schema.types and all(column.null_count == 0 for column in filled.columns)
    for name in table.column_names:
        assert filled[name].filter(pa.array(~gap)) == table[name].filter(pa.array(~gap))


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("a,b\n" + "1,2\n" * 20, (), "needs something to do"),
        ("a,b\n1,2\n", ("-o", "out.csv"), "has 1 rows; at least 10"),
        ("a\n" + "2025-01-01\n" * 20, ("--compare",), "has no column of numbers"),
        ("a,b\n" + "1,2\n" * 20, ("-o", "out.xlsx"), "name a .csv or .parquet file"),
        ("a,b\n" + "1,2\n" * 20, ("-o", "out.csv", "--leave", "c"), "has no column 'c'"),
    ],
)
def test_what_cannot_be_filled_is_said(text: str, options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(SettingError, match=said.replace(".", r"\.")):
        CliRunner().invoke(app, [str(tmp_path / "in.csv"), *options], catch_exceptions=False)
