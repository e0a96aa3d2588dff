"""Every entity at once: rows of one's own, rows that are given, and ids that are missing."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from builders import START, columns_from, random_columns, state, taken
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.advance import Arena, Book, advance, new_arena
from stream.entities.account import Events
from stream.entities.merged import Merged
from stream.entities.takeover import Takeover
from stream.events import Columns, Flag
from stream.features import FAMILIES, FAMILY_SLICES, PROGRAM
from stream.features.driver import Program
from stream.features.registry import Family

HISTORY, _ = random_columns(500, cards=9, seed=21, days=12)
LOCAL = {entity.name: entity.key for entity in PROGRAM.local}
BEYOND = [family for family in FAMILIES if family.entity in LOCAL and family.entity != "card"]


def book() -> Book:
    """Profiles that the partition fills itself, and account events of some customers."""
    takeover, n = Takeover(), 200
    rng = np.random.default_rng(5)
    keys = rng.integers(1, 6, n).astype(np.uint64), rng.integers(1, 10, n).astype(np.uint64)
    times = START + np.sort(rng.integers(0, 12 * 86_400_000, n))
    group, device = rng.integers(0, 5, n).astype(np.uint8), rng.integers(1, 4, n).astype(np.uint64)
    takeover.add(Events(*keys, rng.random(n) < 0.3, group, times, device))
    return Book(Merged(), takeover)


def run(columns: Columns, cuts: list[int]) -> tuple[bytes, bytes, bytes, dict[str, bytes], bytes]:
    """Features, sequences, flags, tables and open hours of a history computed in batches between the cuts."""
    arena, known = new_arena(), book()
    arena.open.partition = 0
    found, flags = [], []
    for start, stop in zip([0, *cuts], [*cuts, len(columns)], strict=True):
        batch = taken(columns, slice(start, stop))
        found.append(advance(arena, batch, known))
        flags.append(batch.flags)
    x, s = (np.concatenate([pair[k] for pair in found if pair]) for k in (0, 1))
    hours = [(b.hour, b.kinds.tobytes(), b.keys.tobytes(), b.counts.tobytes()) for b in arena.open.rows() if len(b)]
    return x.tobytes(), s.tobytes(), np.concatenate(flags).tobytes(), state(arena), repr(hours).encode()


@functools.cache
def whole() -> tuple[bytes, bytes, bytes, dict[str, bytes], bytes]:
    return run(HISTORY, [])


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, len(HISTORY) - 1), max_size=60))
def test_nothing_depends_on_the_cut(cuts: set[int]) -> None:
    assert run(HISTORY, sorted(cuts)) == whole()


def test_every_family_has_something_to_say_of_the_history() -> None:
    x = np.frombuffer(whole()[0], np.float32).reshape(len(HISTORY), -1)
    silent = [f.name for f in FAMILIES if not np.isfinite(x[:, FAMILY_SLICES[f.name]]).any()]
    assert silent == []


def features(columns: Columns, arena: Arena | None = None, known: Book | None = None) -> np.ndarray:
    found = advance(arena or new_arena(), columns, known or Book())
    assert found is not None
    return found[0]


@pytest.mark.parametrize("family", BEYOND, ids=lambda f: f.name)
def test_a_missing_id_has_neither_row_nor_features(family: Family) -> None:
    keys = np.array([0, 7, 0, 7], np.uint64)
    columns = columns_from(4, **{LOCAL[family.entity]: keys, "card_key": [1, 2, 3, 4]})
    arena = new_arena()
    x = features(columns, arena)[:, FAMILY_SLICES[family.name]]
    assert np.isnan(x[[0, 2]]).all()
    assert np.isfinite(x[3]).any()
    assert arena.tables[family.entity].live == 1


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.entity not in LOCAL], ids=lambda f: f.name)
def test_an_empty_book_leaves_given_features_missing(family: Family) -> None:
    assert np.isnan(
        features(columns_from(3, merchant_key=5, terminal_key=6, customer_key=7))[:, FAMILY_SLICES[family.name]]
    ).all()


@pytest.mark.parametrize("flag", [Flag.LATE, Flag.DUPLICATE, Flag.REVERSAL])
def test_what_must_not_count_counts_for_nobody(flag: Flag) -> None:
    ids = {"customer_key": 2, "device_key": 3, "ip_key": 4}
    twice = columns_from(2, card_key=1, transaction_key=[5, 5 if flag == Flag.DUPLICATE else 6], **ids)
    if flag == Flag.LATE:
        twice.event_time[1] -= 31 * 86_400_000
    twice.flags[1] = flag if flag == Flag.REVERSAL else 0
    once, both = new_arena(), new_arena()
    features(taken(twice, slice(0, 1)), once)
    features(twice, both)
    assert twice.flags[1] == flag
    differing = {name for name, rows in state(both).items() if rows != state(once)[name]}
    assert differing == ({"card"} if flag == Flag.REVERSAL else set())


def test_a_family_may_only_look_beside_itself_at_one_before() -> None:
    customer = next(family for family in FAMILIES if family.name == "customer")
    with pytest.raises(ValueError, match="family customer wants to see 'velocity'"):
        Program((customer,))
    with pytest.raises(ValueError, match="family customer is about 'planet', which is none of"):
        Program((dataclasses.replace(customer, entity="planet"),))
