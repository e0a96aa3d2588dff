"""A tiny training from files to a panel that loads, and what its commands refuse."""

from __future__ import annotations

import datetime as dt
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
from stream.features import FEATURES_HASH
from training.cli import evaluate, train
from training.samples import read_samples

FIGURES = {"ap", "auc", "precision_case", "recall_case", "precision_tx", "recall_tx"}
app = typer.Typer()
app.command("train")(train)
app.command("evaluate")(evaluate)


def run(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("models")
    options = ["--banks", "1", "--cards", "150", "--days", "20", "--warm-up-days", "4", "--prevalence-bp", "200"]
    return out, run("train", "all", "--out", str(out), *options, "--json")


def test_training_reports_every_member_and_every_yardstick(trained: tuple[Path, dict[str, Any]]) -> None:
    rows = {row["model"]: row for row in trained[1]["rows"]}
    names = {"vae", "cnn", "svm", "gbdt"}
    assert names | {"panel"} | {f"panel without {name}" for name in names} <= set(rows)
    assert "boosting" in rows and any(name.startswith("best feature: ") for name in rows)
    assert set(rows["panel"]) >= FIGURES and 0 < rows["panel"]["ap"] <= 1


def test_what_training_wrote_loads_and_scores_an_unseen_bank(trained: tuple[Path, dict[str, Any]]) -> None:
    options = [
        "--bank",
        "40",
        "--cards",
        "80",
        "--days",
        "14",
        "--warm-up-days",
        "4",
        "--prevalence",
        "200,100",
        "--quick",
    ]
    report = run("evaluate", "--models", str(trained[0]), *options, "--json")
    assert [row["setting"] for row in report["rows"]] == ["200 bp", "100 bp"]
    for row in report["rows"]:
        assert set(row["detectors"]) == {"vae", "cnn", "svm", "gbdt"} and row["stories"]
        assert 0 <= row["panel"]["review"]["recall_case"] <= 1 and row["best_single_feature"]["name"]


def test_manifests_tell_where_models_come_from(trained: tuple[Path, dict[str, Any]]) -> None:
    for name in ("vae", "cnn", "svm", "gbdt"):
        folder = trained[0] / name / "1"
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["simulated"] and manifest["features_hash"] == FEATURES_HASH
        assert manifest["training"]["frauds"] > 0 and len(manifest["training"]["data_sha256"]) == 64
        assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


def test_training_one_detector_keeps_the_others_and_counts_versions_up(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    options = ["--banks", "1", "--cards", "150", "--days", "16", "--warm-up-days", "4", "--prevalence-bp", "200"]
    report = run("train", "svm", "--out", str(tmp_path), *options, "--json")
    assert report["models"] == {"vae": "1", "cnn": "1", "svm": "2", "gbdt": "1"} and report["fusion"] == "2"
    assert (tmp_path / "svm/1/model.onnx").read_bytes() == (trained[0] / "svm/1/model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "lstm"], "there is no detector lstm"),
        (["train", "all", "--days", "20"], "leaves nothing of --days 20"),
        (["train", "all", "--history", "nowhere"], "no transactions.parquet"),
        (["evaluate", "--protocol", "fdh"], "--protocol fdh needs its data"),
        (["evaluate", "--prevalence", "80;20"], "--prevalence 80;20 is no list"),
        (["evaluate", "--prevalence", "0"], "out of range"),
        (["evaluate", "--models", "nowhere"], "has no active.toml"),
    ],
)
def test_commands_refuse_in_one_sentence(arguments: list[str], said: str, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "m")] if arguments[0] == "train" else []
    with pytest.raises(SettingError) as caught:
        CliRunner().invoke(app, [*arguments, *out], catch_exceptions=False)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def history(folder: Path, labels: list[tuple[str, str]]) -> Path:
    start = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    days = range(6)
    pq.write_table(
        pa.table(
            {
                "transaction_id": [f"t{day}" for day in days],
                "event_time": [start + dt.timedelta(days=day) for day in days],
                "card_id": ["a", "b"] * 3,
                "merchant_id": ["m"] * 6,
                "amount": [10.0] * 6,
                "currency": ["EUR"] * 6,
            }
        ),
        folder / "transactions.parquet",
    )
    table: dict[str, list[object]] = {
        "transaction_id": [name for name, _ in labels],
        "card_id": ["a"] * len(labels),
        "verdict": [verdict for _, verdict in labels],
        "source": ["chargeback"] * len(labels),
        "event_time": [start] * len(labels),
        "decided_at": [start + dt.timedelta(days=40)] * len(labels),
    }
    pq.write_table(pa.table(table), folder / "labels.parquet")
    return folder


def test_a_later_verdict_wins_and_warm_up_is_left_out(tmp_path: Path) -> None:
    told = [("t2", "fraud"), ("t4", "fraud"), ("t4", "genuine"), ("t5", "fraud"), ("elsewhere", "fraud")]
    rows = read_samples(history(tmp_path, told), bank=3, warm_up_days=2)
    np.testing.assert_array_equal(rows.y, [1, 0, 0, 1])
    np.testing.assert_array_equal(rows.fraud, [True, False, False, True])
    assert len(np.unique(rows.card)) == 2 and (rows.card >= 3 << 40).all()


def test_a_history_within_its_warm_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="ends within the warm-up of 30 days"):
        read_samples(history(tmp_path, []), bank=0, warm_up_days=30)
