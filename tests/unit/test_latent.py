"""The map: no label in it, the same twice, purity as defined, a picture on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.latent import draw, map_of, neighbour_purity
from training.samples import Samples


def samples(rows: int = 1500, seed: int = 1) -> Samples:
    """Honest rows on a ring, frauds inside it: the plane of PCA is six other columns' noise."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(rows) < 0.1
    angle, radius = rng.uniform(0, 2 * np.pi, rows), np.where(fraud, 0.1, 1.0) + rng.normal(0, 0.03, rows)
    waves = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)] * 3)
    X = np.column_stack([waves + rng.normal(0, 0.05, waves.shape), rng.normal(size=(rows, 2))]).astype(np.float32)
    X[rng.random(X.shape) < 0.05] = np.nan
    number = np.arange(rows, dtype=np.int64)
    story = np.where(fraud, "inside", "").astype("U24")
    return Samples(
        X, np.zeros((rows, 2, 1), np.float32), fraud.astype(float), fraud, number, number, number * 0, number * 0, story
    )


def test_purity_counts_neighbours_of_the_own_kind() -> None:
    apart = np.concatenate([np.zeros((30, 2)), np.ones((30, 2))]) + np.random.default_rng(0).normal(0, 0.01, (60, 2))
    fraud = np.arange(60) >= 30
    assert neighbour_purity(apart, fraud) == 1.0
    mixed = neighbour_purity(np.random.default_rng(1).normal(size=(600, 2)), np.arange(600) % 2 == 0)
    assert 0.45 < mixed < 0.55


def test_the_map_shows_later_rows_and_is_the_same_twice(tmp_path: Path) -> None:
    rows = samples()
    first, again = (map_of(rows, seed=3, steps=150) for _ in range(2))
    np.testing.assert_array_equal(first.vae, again.vae)
    late = rows.fraud[rows.event_time >= np.quantile(rows.event_time, 0.6)]
    assert first.fraud.sum() == late.sum() and len(first.fraud) == 2 * late.sum()
    assert first.purity["vae"] > 0.75
    draw(first, tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_labels_do_not_move_the_map() -> None:
    rows = samples()
    other: Any = dataclasses.replace(rows, y=1 - rows.y)
    np.testing.assert_array_equal(map_of(rows, seed=3, steps=60).vae, map_of(other, seed=3, steps=60).vae)


def test_too_few_frauds_are_refused() -> None:
    rows = samples()
    with pytest.raises(ValueError, match="has 0 frauds; a map needs 20"):
        map_of(dataclasses.replace(rows, fraud=rows.fraud & (rows.event_time < 400)), seed=1, steps=60)
