"""Who was silent for a horizon begins anew; and forgetting whom nobody can meet again changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from builders import START, columns_from, random_columns, state, taken

from stream.advance import Arena, Book, advance, new_arena
from stream.events import Columns
from stream.features import HORIZON_MS, PROGRAM

DAY = 86_400_000
IDS = {"customer_key": 2, "device_key": 3, "ip_key": 4}


def fed(columns: Columns, arena: Arena) -> bytes:
    found = advance(arena, columns, Book())
    assert found is not None
    return found[0].tobytes()


def test_a_card_silent_for_a_horizon_is_a_new_one() -> None:
    columns = columns_from(2, event_time=[START, START + HORIZON_MS + 1], **IDS)
    both, alone = new_arena(), new_arena()
    x = fed(columns, both)
    assert x[len(x) // 2 :] == fed(taken(columns, slice(1, 2)), alone)
    assert state(both) == state(alone)


def test_a_card_silent_for_less_is_known() -> None:
    columns = columns_from(2, event_time=[START, START + HORIZON_MS], **IDS)
    x = fed(columns, new_arena())
    assert x[len(x) // 2 :] != fed(taken(columns, slice(1, 2)), new_arena())


def test_others_move_the_clock_past_a_silent_card() -> None:
    """A transaction within a horizon of its card's last, but two behind the clock, is late and finds nothing."""
    times = [START, START + 2 * HORIZON_MS + 1, START + DAY]
    columns = columns_from(3, event_time=times, card_key=[1, 2, 1], **{name: [2, 7, 2] for name in IDS})
    arena = new_arena()
    x = np.frombuffer(fed(columns, arena), np.float32).reshape(3, -1)
    lone = np.frombuffer(fed(taken(columns, slice(2, 3)), new_arena()), np.float32)
    np.testing.assert_array_equal(x[2], lone)
    card = arena.tables["card"]
    assert card.rows["seen"][: card.used].tolist() == [0, times[1]]


@pytest.mark.parametrize("seed", range(3))
def test_taking_outlived_rows_from_memory_changes_no_result(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns, _ = random_columns(900, cards=60, seed=seed, days=400, disorder_s=3 * 86_400)
    kept, swept, freed = new_arena(), new_arena(), 0
    for start in range(0, 900, 30):
        batch = taken(columns, slice(start, start + 30))
        assert fed(taken(columns, slice(start, start + 30)), kept) == fed(batch, swept)
        for entity in PROGRAM.local:
            freed += swept.tables[entity.name].evict(swept.watermark - 2 * HORIZON_MS, int(rng.integers(0, 50)))
    assert freed > 50
    assert kept.watermark == swept.watermark
