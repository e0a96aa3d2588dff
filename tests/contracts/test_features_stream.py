"""What holds for all families at once: cuts, time's arrow, ranges."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from builders import columns_from, random_columns, state, taken

from stream.advance import Arena, Book, advance, new_arena
from stream.events import Columns
from stream.features import FEATURES
from stream.replay import features_of

HASHES = np.array([0, 1, 2**64 - 1, 2**32, 2**16], np.uint64)
CODES = np.array([0, 1, 7, 255])
COUNTRIES = np.array([0, 1, 677, 70_000, -1])
PLACES = np.array([np.nan, 0, 90, -90, 180, 1e30, np.inf])
AGES = np.array([np.nan, 0, -1e9, 1e30, np.inf])
EXTREMES = {
    "event_time": np.array([0, 1, 1_700_000_000_000, 4_102_444_800_000, 253_402_300_799_000, -5]),
    "local_time": np.array([-43_200_000, 0, 1_700_000_000_000, 4_102_444_800_000]),
    "amount_minor": np.array([0, 1, 10**17, 2**63 - 1, 4_294_967_296]),
    "mcc": np.array([-1, 0, 9999, 65_535, 2**31 - 1]),
    "flags": np.array([0, 4, 8, 16, 24]),
    **{name: HASHES for name in Columns.__slots__ if name.endswith("_key")},
    **dict.fromkeys(("type", "channel", "entry_mode", "three_ds", "cvv_result", "avs_result"), CODES),
    **{"country": COUNTRIES, "ip_country": COUNTRIES, "latitude": PLACES, "longitude": PLACES},
    **{"card_age_days": AGES, "account_age_days": AGES},
}


def run(columns: Columns, cuts: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, Arena]:
    """Features of a history computed in batches between the cuts."""
    arena, xs, ss, flags = new_arena(), [], [], []
    for start, stop in zip([0, *cuts], [*cuts, len(columns)], strict=True):
        batch = taken(columns, slice(start, stop))
        found = advance(arena, batch, Book())
        assert found is not None
        xs.append(found[0])
        ss.append(found[1])
        flags.append(batch.flags)
    return np.concatenate(xs), np.concatenate(ss), np.concatenate(flags), arena


@pytest.mark.parametrize("seed", range(4))
def test_features_do_not_depend_on_the_cut(seed: int) -> None:
    columns, _ = random_columns(700, cards=8, seed=seed)
    rng = np.random.default_rng(seed)
    whole = run(columns, [])
    for cuts in (list(range(1, 700)), sorted(rng.choice(np.arange(1, 700), 25, replace=False).tolist())):
        cut = run(columns, cuts)
        for one, other in zip(whole[:3], cut[:3], strict=True):
            assert one.tobytes() == other.tobytes()
        assert state(whole[3]) == state(cut[3])
        assert whole[3].watermark == cut[3].watermark


def test_replay_moves_the_state_as_live_does() -> None:
    columns, _ = random_columns(500, seed=5)
    live, replayed = new_arena(), new_arena()
    advance(live, taken(columns, slice(None)), Book())
    assert advance(replayed, taken(columns, slice(None)), Book(), update_only=True) is None
    assert state(live) == state(replayed)


@pytest.mark.parametrize("at", [0, 150, 399])
def test_the_past_never_sees_the_future(at: int) -> None:
    columns, _ = random_columns(400, cards=4, seed=9)
    other, _ = random_columns(400, cards=4, seed=10)
    changed = taken(columns, slice(None))
    for field in dataclasses.fields(Columns):
        getattr(changed, field.name)[at + 1 :] = getattr(other, field.name)[at + 1 :]
    x, s, _ = features_of(taken(columns, slice(None)))
    y, t, _ = features_of(changed)
    assert x[: at + 1].tobytes() == y[: at + 1].tobytes()
    assert s[: at + 1].tobytes() == t[: at + 1].tobytes()
    assert at == 399 or x.tobytes() != y.tobytes()


def test_no_transaction_sees_itself_in_its_history() -> None:
    small, large = columns_from(3), columns_from(3)
    large.amount_minor[2] = 10**9
    x, _, _ = features_of(small)
    y, _, _ = features_of(large)
    reads_the_amount = {"amount", "spend"}
    changed = {f.name for k, f in enumerate(FEATURES) if x[2, k] != y[2, k] and not np.isnan(x[2, k])}
    assert {name for name in changed if not any(word in name for word in reads_the_amount)} == set()


@pytest.mark.parametrize("seed", range(3))
def test_values_stay_in_range_whatever_comes(seed: int) -> None:
    rng, n = np.random.default_rng(seed), 3000
    values = {name: choices[rng.integers(0, len(choices), n)] for name, choices in EXTREMES.items()}
    x, s, _ = features_of(columns_from(n, **values | {"card_key": rng.integers(1, 4, n)}))
    low, high = np.array([f.low for f in FEATURES]), np.array([f.high for f in FEATURES])
    bad = ~np.isnan(x) & ~((x >= low) & (x <= high))
    assert sorted({FEATURES[k].name for k in np.nonzero(bad)[1]}) == []
    assert np.isfinite(s).all()
