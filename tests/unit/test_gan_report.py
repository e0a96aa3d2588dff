"""The report on one checkpoint, and the commands that make and judge it."""

from __future__ import annotations

import json
from pathlib import Path

import gan_small
import pytest
from typer.testing import CliRunner

from stream.errors import SettingError
from training.cli_gan import app
from training.gan.report import private
from training.gan.store import save


def test_one_command_judges_a_checkpoint_and_draws_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.gan.report.SEEDS", 1)
    monkeypatch.setattr("training.gan.report.TRAIN_ROWS", 1500)
    save(gan_small.model(), tmp_path / "model")
    options = ["--history", str(gan_small.history()), "--model", str(tmp_path / "model"), "--seed", "0", "--json"]
    options += ["--warm-up", "0.1", "--pictures", str(tmp_path)]
    result = CliRunner().invoke(app, ["report", *options], catch_exceptions=False)
    told = json.loads(result.stdout)
    made, other = told["quality"]["generated"], told["quality"]["other_half"]
    assert made["boosting_auc"]["mean"] > other["boosting_auc"]["mean"]  # twenty updates are no training
    assert made["ks_mean"] > other["ks_mean"] and made["coverage"] < other["coverage"]
    assert {goal["goal"]: goal["met"] for goal in told["goals"]}["no copies"]
    assert (tmp_path / "gan_training.png").stat().st_size > 5_000 < (tmp_path / "gan_quality.png").stat().st_size


def test_a_planted_overfit_and_copies_are_caught() -> None:
    figures = private(gan_small.material(), gan_small.model(), 0)
    assert figures["planted_overfit"]["closest_share"] > 0.95 and figures["planted_overfit"]["membership_tpr"] > 0.9
    assert figures["planted_copies"]["copies"] == figures["planted_copies"]["records"] > 0
    assert figures["model"]["copies"] == 0 and figures["model"]["membership_tpr"] < 0.1


def test_transactions_come_from_a_saved_model(tmp_path: Path) -> None:
    save(gan_small.model(), tmp_path / "model")
    options = [
        "-n",
        "300",
        "--fraud-share",
        "0.1",
        "-o",
        str(tmp_path / "made.jsonl"),
        "--model",
        str(tmp_path / "model"),
    ]
    result = CliRunner().invoke(app, ["transactions", *options, "--json"], catch_exceptions=False)
    told = json.loads(result.stdout)
    assert (told["transactions"], told["fraudulent"]) == (300, 30)
    assert len((tmp_path / "made.jsonl").read_text().splitlines()) == 300 and Path(told["mapping"]).is_file()


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["transactions", "-o", "made.csv"], "-o"),
        (["ring", "--loss", "hinge"], "--loss"),
        (["report", "--history", "nowhere"], "--history"),
    ],
)
def test_nonsense_is_one_sentence(command: list[str], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        CliRunner().invoke(app, command, catch_exceptions=False)


def test_the_ring_command_counts_what_converged(tmp_path: Path) -> None:
    options = ["--seeds", "1", "--rounds", "10", "--optimizer", "adam", "--pictures", str(tmp_path), "--json"]
    told = json.loads(CliRunner().invoke(app, ["ring", *options], catch_exceptions=False).stdout)
    assert {row["loss"] for row in told["rows"]} == {"wgan-gp", "bce"}
    assert all(row["converged"] == 0 for row in told["rows"]) and (tmp_path / "gan_ring.png").is_file()
