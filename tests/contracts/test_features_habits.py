"""What is usual for a card is told as it stood before the transaction, whatever follows and however the log was cut."""

from __future__ import annotations

import numpy as np
import pytest
from builders import columns_from, random_columns, state, taken

from stream.advance import Arena, Book, advance, new_arena
from stream.events import Columns
from stream.features import FEATURE_NAMES, PROGRAM

HOUR = 3_600_000
START = 1_700_000_000_000


def told(columns: Columns, cuts: list[int]) -> tuple[np.ndarray, Arena]:
    """What was usual before each transaction, (n, d), of a history computed in batches between the cuts."""
    arena, found = new_arena(), []
    for start, stop in zip([0, *cuts], [*cuts, len(columns)], strict=True):
        batch = taken(columns, slice(start, stop))
        habits = np.full((len(batch), len(PROGRAM.habits)), 7e7, np.float32)
        advance(arena, batch, Book(), habits=habits)
        found.append(PROGRAM.usual(habits))
    return np.concatenate(found), arena


def of(values: np.ndarray, name: str) -> np.ndarray:
    return values[:, FEATURE_NAMES.index(name)]


@pytest.mark.parametrize("seed", range(3))
def test_habits_do_not_depend_on_the_cut(seed: int) -> None:
    columns, _ = random_columns(600, cards=6, seed=seed)
    whole, arena = told(columns, [])
    cut = sorted(np.random.default_rng(seed).choice(np.arange(1, 600), 40, replace=False).tolist())
    for cuts in (list(range(1, 600)), cut):
        other, again = told(columns, cuts)
        assert other.tobytes() == whole.tobytes()
        assert state(again) == state(arena)
    habits = whole[:, PROGRAM.habits]
    assert (np.isnan(habits) | ((habits >= 0) & (habits < 1e9))).all()
    assert len(np.unique(of(whole, "amount"))) > 400


def test_asking_for_habits_changes_neither_features_nor_state() -> None:
    columns, _ = random_columns(300, cards=5, seed=4)
    other, arena, asked = taken(columns, slice(None)), new_arena(), new_arena()
    silent = advance(arena, other, Book())
    loud = advance(asked, columns, Book(), habits=np.empty((300, len(PROGRAM.habits)), np.float32))
    assert silent and loud and [a.tobytes() for a in silent] == [a.tobytes() for a in loud]
    assert state(arena) == state(asked)


def test_a_habit_is_what_came_before_alone() -> None:
    columns = columns_from(4, event_time=START + 24 * HOUR * np.arange(4), amount_minor=[1000, 2000, 9000, 400])
    values, _ = told(columns, [])
    np.testing.assert_array_equal(of(values, "amount"), np.array([np.nan, 10, 15, 40], np.float32))
    np.testing.assert_array_equal(of(values, "card_tx_count_24h"), np.array([np.nan, 1, 1, 1], np.float32))
    np.testing.assert_array_equal(of(values, "card_tx_count_7d"), np.array([np.nan, 7, 7, 7], np.float32))
    np.testing.assert_array_equal(of(values, "card_amount_sum_24h"), np.array([np.nan, 10, 15, 40], np.float32))
    np.testing.assert_array_equal(of(values, "card_attempt_count_1h")[1:], np.full(3, 1 / 24, np.float32))


def test_constants_and_nothing_fill_the_other_columns() -> None:
    values, _ = told(columns_from(2, card_key=[1, 2]), [])
    assert np.isnan(values[:, PROGRAM.habits]).all()
    np.testing.assert_array_equal(of(values, "amount_vs_mean"), [1, 1])
    np.testing.assert_array_equal(of(values, "merchant_new"), [0, 0])
    assert np.isnan(of(values, "amount_vs_max")).all()


def test_habits_of_another_shape_are_refused() -> None:
    arena, columns = new_arena(), columns_from(3)
    with pytest.raises(ValueError, match=r"habits must be of shape \(3, "):
        advance(arena, columns, Book(), habits=np.empty((2, len(PROGRAM.habits)), np.float32))
