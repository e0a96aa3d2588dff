"""The drill that kills: short, on the session's broker, with a panel whose decisions depend on state alone."""

from __future__ import annotations

from pathlib import Path

from stream.drill import Plan, run
from tests.kafka.worker_process import HistoryPanel


def test_a_killed_worker_comes_back_with_the_state_it_would_have_had(kafka: str, tmp_path: Path) -> None:
    said: list[str] = []
    plan = Plan(
        "kill",
        tmp_path / "drill",
        rounds=2,
        rate=500,
        cards=300,
        bootstrap=kafka,
        compare_state=True,
        worker=("tests.kafka.worker_process",),
        panel=HistoryPanel(),
        by_rules=False,
    )
    result = run(plan, said.append)
    found = result.as_dict()
    assert result.ok, found
    assert found["state_equal"] and found["state_rows"] > 300 and found["state_from_checkpoint"] > 0.5, found
    assert found["labels"] > 10 and found["labels_behind"] == 0, found
    assert found["alerts"] > 50 and len(found["recoveries"]) == 2 and len(said) == 3
