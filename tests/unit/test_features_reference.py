"""Every family against its plain definition, on messy histories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import random_columns
from reference_features import features

from stream.advance import Book
from stream.events import Columns, Flag
from stream.features import FAMILIES, FAMILY_SLICES, FEATURES, HORIZON_MS, PROGRAM, Entity
from stream.features.registry import Feature
from stream.replay import features_of

DAY = 86_400_000


class Known(Book):
    """Tells the same rows whatever is asked, one after the other."""

    def __init__(self, rows: dict[str, Any]) -> None:
        super().__init__()
        self.rows, self.told = rows, dict.fromkeys(rows, 0)

    def look(self, entity: Entity, columns: Columns, clock_at: Any) -> Any:
        start = self.told[entity.name]
        self.told[entity.name] = stop = start + len(columns)
        return self.rows[entity.name][start:stop]


def told_of(n: int) -> dict[str, Any]:
    """Rows of merchants, terminals and accounts: counts, and milliseconds since events with two flags."""
    rng = np.random.default_rng(3)
    told = {e.name: np.round(rng.gamma(0.7, 40, (n, e.width))) for e in PROGRAM.given}
    ages = told["takeover"]
    ages[:, :5] *= 1_000_000
    ages[:, 6:] = rng.integers(0, 2, (n, 2))
    ages[rng.random(ages.shape) < 0.4] = np.nan
    ages[::5] = np.nan
    return told


@pytest.fixture(scope="module")
def compared() -> tuple[Any, Any, Any, Any]:
    columns, _ = random_columns(1600, cards=12, seed=3, days=70, disorder_s=2 * 86_400)
    columns.event_time[::97] -= 35 * DAY  # late
    columns.event_time[::53] -= 20 * DAY  # days late, within the horizon
    columns.amount_minor[:] = np.minimum(columns.amount_minor, 400_000)
    told, before = told_of(len(columns)), columns.flags.copy()
    expected, added = features(columns, told, HORIZON_MS)
    x, _, flags = features_of(columns, book=Known(told))
    wanted = np.array([[row.get(f.name, np.nan) for f in FEATURES] for row in expected])
    return x, wanted, flags & ~before, np.array(added)


def disagreements(x: Any, wanted: Any, features: tuple[Feature, ...]) -> list[str]:
    """Parity check: names of the features that differ anywhere by more than single precision and quantised logs."""
    low, high = np.array([f.low for f in features]), np.array([f.high for f in features])
    return [
        f.name
        for k, f in enumerate(features)
        if not np.allclose(x[:, k], np.clip(wanted[:, k], low[k], high[k]), rtol=1e-4, atol=4e-3, equal_nan=True)
    ]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_family_equals_its_definition(family: Any, compared: tuple[Any, Any, Any, Any]) -> None:
    x, wanted, _, _ = compared
    part = FAMILY_SLICES[family.name]
    assert disagreements(x[:, part], wanted[:, part], family.features) == []


def test_every_feature_varies_in_the_comparison(compared: tuple[Any, Any, Any, Any]) -> None:
    _, wanted, _, _ = compared
    assert [f.name for k, f in enumerate(FEATURES) if np.nanstd(wanted[:, k]) == 0] == []


def test_the_guard_flags_the_same_transactions(compared: tuple[Any, Any, Any, Any]) -> None:
    _, _, flags, added = compared
    np.testing.assert_array_equal(flags, added)
    assert {int(Flag.LATE), int(Flag.DUPLICATE)} <= set(added.tolist())


@pytest.mark.parametrize("name", [f.name for f in FEATURES])
def test_parity_check_sees_a_planted_skew(name: str, compared: tuple[Any, Any, Any, Any]) -> None:
    x, wanted, _, _ = compared
    column = [f.name for f in FEATURES].index(name)
    skewed = x.copy()
    feature = FEATURES[column]
    value = np.nan_to_num(skewed[5::7, column], nan=feature.low)
    skewed[5::7, column] = np.where(value > (feature.low + feature.high) / 2, value - 0.05, value + 0.05)
    assert disagreements(skewed, wanted, FEATURES) == [name]
