"""The benchmark's yardstick counts what the compiled loop counts, and its report has the keys scripts rely on."""

from __future__ import annotations

import numpy as np

from benchmarks.features import DAY, START, NumpyVelocity, _columns, describe, run
from stream.advance import Book, advance, new_arena
from stream.features import FEATURE_NAMES
from stream.replay import part


def test_numpy_yardstick_computes_the_same_windows() -> None:
    rng = np.random.default_rng(1)
    columns = _columns(rng, 400, START, 3 * DAY)
    columns.flags[:] = 0
    columns.type[:] = 1
    arena, rival = new_arena(), NumpyVelocity(5)
    columns.card_key[:] = rng.integers(1, 6, 400)
    ours, theirs = [], []
    for k in range(400):
        one = part(columns, k, k + 1)
        theirs.append(rival.batch(one)[0])
        found = advance(arena, one, Book())
        assert found is not None
        ours.append(found[0][0])
    windows = ("5m", "1h", "24h", "7d", "30d")
    names = [f"card_{what}_{w}" for w in windows for what in ("tx_count", "amount_sum")]
    index = [FEATURE_NAMES.index(name) for name in names]
    np.testing.assert_allclose(np.array(theirs), np.array(ours)[:, index], rtol=1e-5, atol=1e-6)


def test_report_has_its_keys() -> None:
    found = run(cards=(50,), batches=(8, 64), history=2)
    assert set(found["cards"]["50"]["us_per_event"]) == {"8", "64"}
    assert found["cards"]["50"]["bytes_per_card"] == found["bytes_per_card"]
    assert found["cards"]["50"]["state_bytes"] >= 50 * sum(found["bytes"][name] for name in ("card", "device"))
    assert found["ratio_numpy"] > 0
    assert any("50 cards, batch     8" in line for line in describe(found))
