"""The models in this repository: they fit this code, and they are worth what is promised at a bank they never saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stream.panels import load_panel
from stream.resources import resource_path
from stream.settings import load
from training.cards import write_cards
from training.cli import evaluate

MODELS = resource_path("models")


def test_the_shipped_panel_fits_this_code_and_says_what_it_is() -> None:
    panel = load_panel(load(overrides={"models": {"device": "cpu"}}))
    assert panel.detectors == ("cnn", "gbdt", "svm", "vae") and panel.simulated
    assert panel.thresholds.review < panel.thresholds.step_up < panel.thresholds.decline


def test_every_shipped_file_is_small() -> None:
    for path in MODELS.rglob("*"):
        assert not path.is_file() or path.stat().st_size < 1_000_000, path


def test_at_another_bank_six_of_ten_frauds_are_found_and_half_of_the_cases_are_fraud() -> None:
    app = typer.Typer()
    app.command()(evaluate)
    options = [
        "--bank",
        "950",
        "--seed",
        "31",
        "--prevalence",
        "80",
        "--cards",
        "1000",
        "--days",
        "60",
        "--quick",
        "--json",
    ]
    result = CliRunner().invoke(app, options, catch_exceptions=False)
    (row,) = json.loads(result.stdout)["rows"]
    at = row["panel"]["review"]
    assert at["recall_case"] >= 0.6 and at["precision_case"] >= 0.5, at
    assert row["panel"]["ap"] > 2 * row["best_single_feature"]["ap"]
    assert set(row["stories"]) >= {"card_testing", "account_takeover", "terminal_compromise", "slow_skimming"}


def test_the_model_cards_tell_about_these_models(tmp_path: Path) -> None:
    shown = {path.name: path.read_text() for path in (MODELS.parent / "docs" / "model-cards").glob("*.md")}
    made = {path.name: path.read_text() for path in write_cards(MODELS, tmp_path)}
    assert shown == made, "run: fraudstream train all --replace"


@pytest.mark.parametrize("name", ["cnn", "gbdt", "svm", "vae"])
def test_a_card_names_inputs_labels_and_weak_spots(tmp_path: Path, name: str) -> None:
    write_cards(MODELS, tmp_path)
    text = (tmp_path / f"{name}.md").read_text()
    assert "**Inputs**" in text and "**Labels**" in text and "**Weak where**" in text and "simulated" in text
