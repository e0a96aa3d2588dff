"""A feature is one function and one line; a family is one more entry; both run through the same loop."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest
from builders import columns_from

from stream.advance import Book, advance, new_arena
from stream.features import FAMILIES, FEATURES, SEQUENCE_CHANNELS, SEQUENCE_STEPS, amount
from stream.features.driver import Program
from stream.features.kernel import Event, kernel
from stream.features.registry import Family, Feature


@kernel
def _cents(state: Any, event: Event, view: Any) -> float:
    return float(event.amount % 100)


CENTS = Feature("amount_cents", "cents", 0, 99, "cents of the amount", "AMOUNT_CENTS", "{value} cents", _cents)
TALLY = np.dtype([("seen", np.int64)])


class View(NamedTuple):
    seen: int


@kernel
def _look(state: Any, event: Event) -> View:
    return View(state.seen)


@kernel
def _update(state: Any, event: Event) -> None:
    state.seen += 1


@kernel
def _seen(state: Any, event: Event, view: View) -> float:
    return float(view.seen)


SEEN = Feature("seen", "transactions", 0, 3, "transactions before", "SEEN", "{value} before", _seen)


@pytest.fixture(scope="module")
def extended() -> Program:
    wider = dataclasses.replace(amount.FAMILY, features=(*amount.FEATURES, CENTS))
    return Program((wider, Family("tally", (SEEN,), TALLY, _look, _update)))


def run(program: Program) -> np.ndarray:
    columns = columns_from(6, amount_minor=[1050, 1099, 2000, 301, 499, 705])
    x = np.empty((6, len(program.features)), np.float32)
    s = np.empty((6, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS)), np.float32)
    advance(new_arena(program), columns, Book(), out=(x, s), program=program)
    return x


def test_new_feature_is_computed_beside_the_others(extended: Program) -> None:
    names = [f.name for f in extended.features]
    x = run(extended)
    np.testing.assert_array_equal(x[:, names.index("amount_cents")], [50, 99, 0, 1, 99, 5])
    old = run(Program(FAMILIES))
    np.testing.assert_array_equal(x[:, : len(amount.FEATURES)], old[:, : len(amount.FEATURES)])


def test_new_family_keeps_its_own_state_and_range(extended: Program) -> None:
    x = run(extended)
    np.testing.assert_array_equal(x[:, -1], [0, 1, 2, 3, 3, 3])


def test_hash_tells_models_of_the_change(extended: Program) -> None:
    assert extended.hash != Program(FAMILIES).hash
    assert len(extended.features) != len(FEATURES)
