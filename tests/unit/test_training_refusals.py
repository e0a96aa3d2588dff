"""What training refuses, through the command as a user calls it: one sentence on stderr, an exit code other than 0."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.cli import main
from training.banks import feature_contract
from training.matrices import load_parts, save_parts
from training.samples import Samples

N = 400
START = 1_735_689_600_000


def transactions() -> dict[str, Any]:
    rng = np.random.default_rng(4)
    return {
        "transaction_id": [f"t{row}" for row in range(N)],
        "event_time": (START + np.sort(rng.integers(0, 20 * 86_400_000, N))).astype("datetime64[ms]"),
        "card_id": [f"c{row % 20}" for row in range(N)],
        "merchant_id": [f"m{row % 7}" for row in range(N)],
        "amount": rng.gamma(2.0, 20.0, N),
        "currency": ["EUR"] * N,
    }


def labels(rows: list[int]) -> dict[str, Any]:
    times = transactions()["event_time"][rows]
    return {
        "transaction_id": [f"t{row}" for row in rows],
        "card_id": [f"c{row % 20}" for row in rows],
        "verdict": pa.array(["fraud"] * len(rows), pa.string()),
        "source": pa.array(["chargeback"] * len(rows), pa.string()),
        "event_time": times,
        "decided_at": times + np.timedelta64(30, "D"),
    }


def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["fraudstream", "train", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert stopped.value.code == 2 and last.startswith("fraudstream: ")
    assert "Traceback" not in last
    return last


@pytest.mark.parametrize(
    ("table", "frauds", "options", "said"),
    [
        ({}, [], (), "has no transaction that is labelled as fraud"),
        ({}, list(range(N)), (), "has no genuine transaction"),
        ({}, list(range(0, N, 60)), ("--min-frauds", "40"), "fewer than the 40 of --min-frauds"),
        ({"event_time": None}, [3], (), "lacks the column event_time"),
        (
            {"event_time": transactions()["event_time"][::-1]},
            [3],
            (),
            "is not sorted by event_time: row 1 and 398 more",
        ),
        ({"event_time": np.array(["2025-01-01"] * (N - 1) + ["soon"])}, [3], (), "row 399: event_time"),
    ],
)
def test_training_refuses_a_history_it_cannot_learn_from(
    table: dict[str, Any],
    frauds: list[int],
    options: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    columns = {name: values for name, values in (transactions() | table).items() if values is not None}
    pq.write_table(pa.table(columns), tmp_path / "transactions.parquet")
    pq.write_table(pa.table(labels(frauds)), tmp_path / "labels.parquet")
    arguments = ["--history", str(tmp_path), "--warm-up-days", "1", "--out", str(tmp_path / "models"), *options]
    assert said in refused(monkeypatch, capfd, *arguments)
    assert not list((tmp_path / "models").iterdir())


def matrix(rows: int) -> Samples:
    code = feature_contract()
    rng = np.random.default_rng(1)
    times = np.arange(rows, dtype=np.int64)
    return Samples(
        rng.normal(size=(rows, len(code.names))).astype(np.float32),
        rng.normal(size=(rows, 16, len(code.channels))).astype(np.float32),
        (times % 3 == 0).astype(np.float64), times % 3 == 0, times, times % 5, times * 0, times * 0 - 1,
        np.full(rows, "", "U24"),
    )  # fmt: skip


def test_matrices_come_back_as_they_were(tmp_path: Path) -> None:
    kept = matrix(30)
    save_parts(tmp_path / "m.npz", {"train": kept}, feature_contract())
    again = load_parts(tmp_path / "m.npz", feature_contract())["train"]
    assert again.sha256() == kept.sha256() and again.story.tolist() == kept.story.tolist()


@pytest.mark.parametrize(
    ("other", "said"),
    [({"version": "0"}, "hold features of version 0"), ({"digest": "f" * 64}, "(ffffffffffff), but this fraudstream")],
)
def test_matrices_of_other_features_are_refused(
    other: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    parts = {"train": matrix(60), "validation": matrix(60), "fit": matrix(60)}
    code = feature_contract()
    save_parts(tmp_path / "m.npz", parts, dataclasses.replace(code, **other))
    arguments = ["--matrices", str(tmp_path / "m.npz"), "--simulated", "--out", str(tmp_path / "models")]
    assert said in refused(monkeypatch, capfd, *arguments)


def test_a_file_that_holds_no_matrices_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.npz").write_bytes(b"no zip")
    arguments = ["--matrices", str(tmp_path / "m.npz"), "--real", "--out", str(tmp_path / "models")]
    assert "cannot be read" in refused(monkeypatch, capfd, *arguments)
