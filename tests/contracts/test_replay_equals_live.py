"""However a stream is cut, interleaved and outrun by labels and events, its features are those of the replay."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stream.replay
from stream.features import FAMILY_SLICES, HORIZON_MS
from stream.replay import History, Replay, Waiting
from tests.replay_live import Live, history_of


def differing(left: Any, right: Any) -> list[int]:
    """Columns in which two matrices differ by as much as a bit."""
    same = (left.view(np.uint32) == right.view(np.uint32)) | (np.isnan(left) & np.isnan(right))
    return np.flatnonzero(~same.all(axis=0)).tolist()


def fresh(seed: int = 1) -> History:
    """The same history each time, with flags nobody has filled."""
    return history_of(500, seed)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.sampled_from([1, 2]))
def test_rows_depend_on_no_cut_no_interleaving_and_no_speed(schedule: int, seed: int) -> None:
    X, S = Replay(fresh(seed)).rows()
    rng = random.Random(schedule)
    live = Live(fresh(seed), lambda below: rng.randrange(below) if below > 0 else 0).run()
    assert differing(X, live[0]) == []
    assert np.array_equal(S, live[1])


def test_histories_say_something_about_every_family() -> None:
    X, _ = Replay(fresh()).rows()
    for name, columns in FAMILY_SLICES.items():
        assert np.isfinite(X[:, columns]).any(axis=0).all(), name
        assert (np.nanstd(X[:, columns].astype(float), axis=0) > 0).any(), name


def test_wanted_rows_are_the_same_as_among_all() -> None:
    X, S = Replay(fresh()).rows()
    wanted = np.arange(len(X)) % 3 == 1
    few, steps = Replay(fresh()).rows(wanted)
    assert differing(X[wanted], few) == []
    assert np.array_equal(S[wanted], steps)


class Hasty(Waiting):
    """Shows profiles an hour too late."""

    def release(self, before: int) -> None:
        super().release(before - 1)


def _hasty(monkeypatch: pytest.MonkeyPatch) -> Replay:
    monkeypatch.setattr(stream.replay, "Waiting", Hasty)
    return Replay(fresh())


def _horizon(_: pytest.MonkeyPatch) -> Replay:
    return Replay(fresh(), HORIZON_MS // 60)


def _deaf(_: pytest.MonkeyPatch) -> Replay:
    history = fresh()
    return Replay(History(history.columns, history.partition, history.labels[2:], history.events))


def _one_partition(_: pytest.MonkeyPatch) -> Replay:
    history = fresh()
    return Replay(History(history.columns, None, history.labels, history.events))


@pytest.mark.parametrize("skew", [_hasty, _horizon, _deaf, _one_partition])
def test_comparison_sees_a_planted_skew(skew: Callable[[Any], Replay], monkeypatch: pytest.MonkeyPatch) -> None:
    X, _ = Replay(fresh()).rows()
    skewed, _ = skew(monkeypatch).rows()
    assert differing(X, skewed) != []
