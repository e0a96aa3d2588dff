"""`fraudstream evaluate` on simulated banks: every figure is there, pooled over banks, and options change the bank."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from stream.errors import SettingError
from training.cli import evaluate
from training.left_out import Plan, leave_out, stories_of

app = typer.Typer()
app.command()(evaluate)
SMALL = ["--cards", "120", "--days", "24", "--warm-up-days", "8", "--prevalence", "250", "--quick"]


def run(*options: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*options, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return run("--bank", "811,812", *SMALL)


def test_all_banks_together_are_the_sum_of_each(report: dict[str, Any]) -> None:
    (row,) = report["rows"]
    assert report["banks"] == [811, 812] and set(row["banks"]) == {"811", "812"}
    for count in ("fraud_cases", "alert_cases"):
        assert row["panel"]["review"][count] == sum(bank[count] for bank in row["banks"].values())
    low, high = row["intervals"]["panel.ap"]
    assert low <= row["panel"]["ap"] <= high


def test_each_member_is_left_out_and_compared(report: dict[str, Any]) -> None:
    (row,) = report["rows"]
    assert set(row["without"]) == set(row["detectors"])
    assert all(f"panel - panel without {name}.ap" in row["intervals"] for name in row["detectors"])


def test_money_segments_and_calibration_are_told(report: dict[str, Any]) -> None:
    (row,) = report["rows"]
    assert row["first_alert"]["rules"]["cards"] == row["first_alert"]["panel"]["cards"] > 0
    assert set(row["false_declines"]["panel"]) == {"0.25", "0.5", "0.75"}
    assert set(row["history"]) == {"0", "1-5", "6+"} and row["history"]["0"]["transactions"] >= 200
    assert sum(part["transactions"] for part in row["channel"].values()) == row["transactions"]
    assert row["calibration"]["by_reports"]["bins"] and -1 < row["calibration"]["by_truth"]["brier_skill"] < 1


def test_reasons_are_counted_by_story(report: dict[str, Any]) -> None:
    told = report["reasons"]
    assert told["deletion"]["alerts"] == sum(story["alerts"] for story in told["stories"].values()) > 0
    assert all(0 <= story["named"] <= 1 for story in told["stories"].values()) and len(told["overall_top"]) == 3


def test_one_seed_gives_one_table(report: dict[str, Any]) -> None:
    assert run("--bank", "811,812", *SMALL)["rows"] == report["rows"]


def test_other_fraudsters_take_other_money_and_what_nobody_reports_is_missing_in_reports_alone(
    report: dict[str, Any],
) -> None:
    (row,) = run("--bank", "811,812", *SMALL, "--refused", "0.6", "--adaptive", "1", "--unreported", "1")["rows"]
    assert row["first_alert"]["vae"]["money"] < 0.9 * report["rows"][0]["first_alert"]["vae"]["money"]
    told = row["calibration"]
    assert told["by_truth"]["observed"] > 0.5 * told["by_truth"]["expected"]
    assert told["by_reports"]["observed"] < 0.2 * told["by_truth"]["observed"]


def test_a_story_that_training_never_saw_is_judged_beside_one_it_saw() -> None:
    plan = Plan(("gbdt",), range(1, 4), 80, 24, (813,), 120, 250.0, 8.0, 1)
    report = leave_out(plan, ["impossible_travel"])
    (row,) = report["rows"]
    assert row["with"]["cases"] == row["without"]["cases"] > 0
    assert row["without"]["ap"] != row["with"]["ap"]


def test_an_unknown_story_is_refused() -> None:
    with pytest.raises(SettingError, match="bust_out"):
        stories_of("theft")


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(SettingError, match="0 to 1"):
        run("--bank", "811", *SMALL, "--unreported", "2")
