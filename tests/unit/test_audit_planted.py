"""The audit finds every kind of planted leak, by name, and says nothing about the honest columns beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.audit_tables import DAY, Bank, leaks_of

Leak = Callable[[Bank], Any]

FEATURES: dict[str, tuple[str, Leak]] = {
    "a noisy copy of the verdict": ("too_good", lambda b: b.y + b.rng.normal(0, 0.15, len(b.y))),
    "a status that only closed cases have": (
        "too_good",
        lambda b: np.where(b.y & (b.rng.random(len(b.y)) < 0.6), "closed", "open"),
    ),
    "an amount that only refunded frauds have": (
        "missingness",
        lambda b: np.where(b.y & (b.rng.random(len(b.y)) < 0.6), b.amount, np.nan),
    ),
    "the card's fraud rate over the file": (
        "whole_file",
        lambda b: b.per_card(lambda t, y, a: np.full(len(t), y.mean())),
    ),
    "the card's mean amount over the file": (
        "whole_file",
        lambda b: b.per_card(lambda t, y, a: np.full(len(t), a.mean())),
    ),
    "the next amount": ("knows_future", lambda b: b.per_card(lambda t, y, a: np.append(a[1:], np.nan))),
    "rows of the next two days": (
        "knows_future",
        lambda b: b.per_card(lambda t, y, a: np.searchsorted(t, t + 2 * DAY) - np.arange(len(t))),
    ),
    "a window around the row": (
        "knows_future",
        lambda b: b.per_card(lambda t, y, a: np.searchsorted(t, t + 3 * DAY) - np.searchsorted(t, t - 3 * DAY)),
    ),
    "frauds of the next week": (
        "knows_future",
        lambda b: b.per_card(lambda t, y, a: [(y & (t > now) & (t < now + 7 * DAY)).sum() for now in t]),
    ),
    "frauds counted as they happen": (
        "label_timing",
        lambda b: b.per_card(lambda t, y, a: np.cumsum(y) - y),
    ),
    "a time of change": (
        "time_shift",
        lambda b: (b.time + b.rng.integers(0, 30 * DAY, len(b.y))).astype("datetime64[ms]"),
    ),
    "filled in later": (
        "time_shift",
        lambda b: np.where(b.time > np.quantile(b.time, 0.9), np.nan, b.rng.normal(0, 1, len(b.y))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FEATURES)
def test_a_planted_feature_is_found_and_nothing_else(name: str, tmp_path: Path) -> None:
    kind, leak = FEATURES[name]
    bank = Bank(seed=len(name))
    bank.columns["planted"] = leak(bank)
    found = leaks_of(bank.columns, tmp_path)
    assert [(finding.kind, finding.column) for finding in found] == [(kind, "planted")]
    assert "planted" in found[0].line() and found[0].remedy


def test_copies_of_frauds_in_the_newer_rows_are_found(tmp_path: Path) -> None:
    bank = Bank(seed=2)
    rows = np.concatenate([np.arange(len(bank.y)), bank.rng.permutation(np.flatnonzero(bank.y))[:40]])
    columns = {name: np.asarray(values)[rows] for name, values in bank.columns.items()}
    columns["event_time"][len(bank.y) :] += np.timedelta64(25, "D")
    columns["transaction_id"] = [f"n{number}" for number in range(len(rows))]
    assert "twins" in {finding.kind for finding in leaks_of(columns, tmp_path)}


@pytest.mark.parametrize("lag", [-2 * DAY, 0])
def test_verdicts_known_too_soon_are_found(lag: int, tmp_path: Path) -> None:
    bank = Bank(seed=3)
    bank.columns["decided_at"] = (bank.time + lag).astype("datetime64[ms]")
    assert [finding.column for finding in leaks_of(bank.columns, tmp_path)] == ["decided_at"]


def test_frauds_and_others_from_different_times_are_found(tmp_path: Path) -> None:
    bank = Bank(seed=4)
    early = bank.time < np.quantile(bank.time, 0.6)
    columns = {name: np.asarray(values)[early ^ bank.y] for name, values in bank.columns.items()}
    assert "order" in {finding.kind for finding in leaks_of(columns, tmp_path)}
