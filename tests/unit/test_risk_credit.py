"""`risk credit`: probabilities that mean something, reasons that point the right way, errors in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from stream.errors import SettingError
from training.cli_risk import app
from training.credit import Machine
from training.credit_figures import best_threshold, nested_cost
from training.credit_table import attributes

RUNNER = CliRunner()


def applicants(rows: int = 300, seed: int = 6) -> dict[str, list[object]]:
    rng = np.random.default_rng(seed)
    income = rng.lognormal(3, 0.5, rows)
    job = rng.choice(["clerk", "nurse", "driver"], rows)
    logit = -1.5 * (np.log(income) - 3) * 2 + np.where(job == "driver", 1.5, -0.8)
    bad = rng.random(rows) < 1 / (1 + np.exp(-logit))
    return {
        "customer_id": list(range(rows)),
        "income": [None if k % 25 == 0 else float(v) for k, v in enumerate(income)],
        "job": [str(v) for v in job],
        "noise": [float(v) for v in rng.normal(size=rows)],
        "outcome": ["bad" if b else "good" for b in bad],
    }


def write(path: Path, table: dict[str, list[object]]) -> Path:
    pa_csv.write_csv(pa.table(table), path)
    return path


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("credit")
    table = applicants()
    table["outcome"][:10] = [""] * 10
    file = write(folder / "a.csv", table)
    out, picture = folder / "risk.csv", folder / "c.png"
    asked = ["credit", str(file), "--target", "outcome", "--out", str(out), "--picture", str(picture), "--json"]
    result = RUNNER.invoke(app, asked, catch_exceptions=False)
    assert picture.read_bytes().startswith(b"\x89PNG")
    return json.loads(result.stdout) | {"table": table, "out": pa_csv.read_csv(out).to_pydict()}


def test_probabilities_rank_and_are_calibrated(answer: dict) -> None:
    assert answer["rows"] == 290
    low, high = answer["auc_interval"]
    assert 0.75 < low < answer["auc"] < high
    assert answer["calibration"]["brier_skill"] > 0.1
    assert 0.7 < answer["calibration"]["slope"] < 1.4
    assert answer["decision"]["cost"] < min(
        answer["decision"]["cost_accept_all"], answer["decision"]["cost_refuse_all"]
    )
    assert all(0 < row["probability"] < 1 for row in answer["judged"])


def test_reasons_name_what_was_planted_and_point_the_right_way(answer: dict) -> None:
    written = answer["out"]
    assert len(written["row"]) == 300
    assert set(written["outcome"][:10]) == {""}
    drivers = [k for k, job in enumerate(answer["table"]["job"]) if job == "driver"]
    told = [
        reason
        for k in drivers
        for reason in (written["reason_1"][k], written["reason_2"][k], written["reason_3"][k])
        if reason.startswith("job")
    ]
    assert np.mean(["raises" in reason for reason in told]) > 0.95
    first = [reason.split()[0] for reason in written["reason_1"]]
    assert np.mean([name in {"job", "income"} for name in first]) > 0.9


def test_another_file_is_judged_by_what_was_learnt(tmp_path: Path) -> None:
    file, new = write(tmp_path / "a.csv", applicants()), applicants(40, seed=9)
    new.pop("outcome")
    pq.write_table(pa.table(new), tmp_path / "new.parquet")
    asked = ["credit", str(file), "--target", "outcome", "--apply", str(tmp_path / "new.parquet"), "--json"]
    rows = json.loads(RUNNER.invoke(app, asked, catch_exceptions=False).stdout)["judged"]
    by_job: dict[object, list[float]] = {}
    for row, job in zip(rows, new["job"], strict=True):
        by_job.setdefault(job, []).append(row["probability"])
    assert np.mean(by_job["driver"]) > np.mean(by_job["nurse"]) + 0.1


def test_an_effect_is_the_margin_less_its_mean_over_others_values() -> None:
    columns, _ = attributes(applicants(80), "outcome")
    machine = Machine(columns, np.arange(80) % 2 * 1.0, seed=1)
    asked = [column.take(np.arange(5)) for column in columns]
    background = [column.take(np.arange(20, 29)) for column in columns]
    swapped = np.zeros((9, 5))
    for k in range(9):
        other = [asked[0], background[1].take(np.full(5, k)), asked[2]]
        swapped[k] = machine.margin(other)
    effects = machine.effects(asked, background)
    assert columns[1].name == "job"
    assert np.allclose(effects[:, 1], machine.margin(asked) - swapped.mean(axis=0), atol=1e-9)


def test_a_threshold_is_chosen_where_it_costs_least() -> None:
    y, p = np.array([0.0, 0, 0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.9])
    assert 0.3 < best_threshold(y, p, 5.0) < 0.4
    assert 0.5 < best_threshold(y, p, 0.5) < 0.9
    assert best_threshold(np.zeros(3), np.array([0.2, 0.3, 0.4]), 5.0) > 1.0
    costs = nested_cost(np.tile(y, 4), np.tile(p, 4), np.repeat(np.arange(4), 6), 5.0)
    assert costs["cost"] == pytest.approx(1 / 6)
    assert costs["cost_accept_all"] == pytest.approx(10 / 6)


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({}, ["--target", "nothing"], "--target nothing is no column"),
        ({}, [], "name the target with --target"),
        ({}, ["--target", "noise"], "different values"),
        ({"outcome": ["good"] * 300}, ["--target", "outcome"], "knows only good rows"),
        ({"outcome": ["bad"] * 12 + ["good"] * 288}, ["--target", "outcome"], "12 bad rows"),
        ({"outcome": ["up", "down"] * 150}, ["--target", "outcome"], "say which is bad with --bad"),
        (
            {"income": [1.0] * 300, "job": ["a"] * 300, "noise": [2.0] * 300},
            ["--target", "outcome"],
            "no column beside",
        ),
        ({}, ["--target", "outcome", "--out", "risk.txt"], "must end in .csv or .parquet"),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, change: dict, options: list[str], said: str) -> None:
    file = write(tmp_path / "a.csv", applicants() | change)
    with pytest.raises(SettingError, match=said) as error:
        RUNNER.invoke(app, ["credit", str(file), *options], catch_exceptions=False)
    assert "\n" not in str(error.value)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(bytes(range(256)) * 40)
    for name, said in (("picture.csv", "no CSV or Parquet table|holds no table"), ("absent.csv", "not a file")):
        with pytest.raises(SettingError, match=said) as error:
            RUNNER.invoke(app, ["credit", str(tmp_path / name)], catch_exceptions=False)
        assert str(error.value).isprintable()
