"""The bench of checkpoints, small: what it loads back is what was swept, and it prints each figure."""

from __future__ import annotations

import math

from benchmarks.state import describe, run


def test_it_measures_and_loads_back_what_it_swept(kafka: str) -> None:
    result = run(1_000, 3, 2_000, 1.5, False, kafka)
    assert result["equal"] is True
    figures = (
        "p99_added_ms",
        "throughput_cost",
        "bytes_per_minute",
        "log_over_live",
        "log_over_live_most",
        "load_mb_s",
    )
    assert all(math.isfinite(result[name]) for name in figures)
    assert 0 < result["throughput_cost"] + result["throughput_cost_sweeping"] + 1e-9 < 2
    assert result["bytes_per_minute"] > 60 / 1.5 * 1e5, "every sweep writes what was touched"
    assert result["log_over_live_least"] > 0.5
    assert len(describe(result)) == 10
