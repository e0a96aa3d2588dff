"""The audit finds nothing where there is nothing: honest features, strong ones too, and simulated histories."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from stream.cli import main
from stream.features import FEATURE_NAMES
from stream.replay import Replay
from tests.unit.audit_tables import DAY, Bank, leaks_of
from training.audit import histories, kernels
from training.data.simulator import generate


@pytest.mark.parametrize(
    ("seed", "shape"),
    [
        (21, {}),
        (22, {"strong": 2.6}),
        (23, {"rows": 6000, "cards": 600}),
        (24, {"rows": 1500, "cards": 40, "strong": 3}),
    ],
)
def test_honest_tables_are_quiet(seed: int, shape: dict[str, Any], tmp_path: Path) -> None:
    assert leaks_of(Bank(seed, **shape).columns, tmp_path) == []


def test_labels_used_after_they_arrived_are_honest(tmp_path: Path) -> None:
    bank = Bank(seed=31)
    known = bank.time + DAY + bank.rng.exponential(8 * DAY, len(bank.y)).astype(np.int64)
    bank.columns["decided_at"] = known.astype("datetime64[ms]")
    bank.columns["frauds_known"] = [
        int((bank.y & (bank.card == card) & (known <= now)).sum())
        for card, now in zip(bank.card, bank.time, strict=True)
    ]
    bank.columns["expires"] = (bank.time + 900 * DAY).astype("datetime64[ms]")
    assert leaks_of(bank.columns, tmp_path) == []


def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str]:
    monkeypatch.setattr(sys, "argv", ["fraudstream", "audit", "leakage", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    told = capfd.readouterr()
    return stopped.value.code, told.out or told.err


def test_a_simulated_history_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    start = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)
    generate(bank_seed=61, seed=5, cards=60, days=30, prevalence_bp=150, start=start).write(tmp_path)
    code, out = run(monkeypatch, capfd, str(tmp_path), "--json")
    report = json.loads(out)
    assert (code or 0, report["findings"]) == (0, [])
    assert report["frauds"] > 10 and "change of the future, by the engine's features" in report["checked"]


class _Knowing(Replay):
    """Features of which one holds the amounts of the whole history."""

    def rows(self, *_: Any) -> Any:
        X, S = super().rows()
        X[:, 3] = float(self._history.columns.amount_minor.sum())
        return X, S


def test_a_past_that_knows_its_future_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)
    generate(bank_seed=62, seed=5, cards=20, days=8, prevalence_bp=150, start=start).write(tmp_path)
    history, _ = histories.read(tmp_path)
    monkeypatch.setattr(kernels, "Replay", _Knowing)
    assert [finding.column for finding in kernels.check(history)[0]] == [FEATURE_NAMES[3]]


def test_leaks_give_an_exit_code_of_their_own_and_a_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bank = Bank(seed=41)
    table = pa.table(bank.columns | {"is_fraud": np.where(bank.y, "yes", "no"), "case": bank.y.astype(int)})
    pa_csv.write_csv(table.rename_columns({"event_time": "when"}), tmp_path / "table.csv")
    code, out = run(monkeypatch, capfd, str(tmp_path / "table.csv"), "--time", "when")
    assert code == 3 and [line for line in out.splitlines() if line.startswith("LEAK too_good: case:")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--label", "verdict"), "has no column 'verdict' for --label"),
        (("--entity", "shop"), "has no column 'shop'"),
        (("--time-unit", "weeks"), "--time-unit weeks is unknown"),
        (("--label", "one"), "no rows of both classes"),
    ],
)
def test_what_cannot_be_audited_is_said_in_a_sentence(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "table.csv").write_text("event_time,is_fraud,one\n2025-01-01,0,0\n2025-01-02,1,0\n")
    code, out = run(monkeypatch, capfd, str(tmp_path / "table.csv"), *arguments)
    assert code == 2 and said in out
