"""With the shipped models, the reasons of an alert name the cause that the simulator planted."""

from __future__ import annotations

from collections import Counter

import numpy as np
from fakes import SOURCE, records, run, settings

from stream.advance import new_arena
from stream.events import Alert
from stream.features import FAMILY_SLICES, FEATURE_NAMES
from stream.panels import load_panel
from stream.pipeline import Pipeline
from training.data.simulator import Encoder, generate

FAMILY_OF = {FEATURE_NAMES[i]: name for name, where in FAMILY_SLICES.items() for i in range(where.start, where.stop)}
ENOUGH = 8  # alerts of a story before its share means anything


def families(alert: Alert) -> set[str]:
    return {FAMILY_OF[reason.feature] for reason in alert.reasons[:3] if reason.feature in FAMILY_OF}


def test_a_planted_cause_is_among_the_top_three_for_four_of_five_alerts_of_each_story() -> None:
    history = generate(bank_seed=8101, seed=5, cards=300, days=50, prevalence_bp=250)
    truth = {row["transaction_id"]: row for row in history.truth.to_pylist() if row["fraud"]}
    given = settings(decision={"review_threshold": 0.05})
    made = Pipeline(given, load_panel(given), "topic")
    made.open(SOURCE, new_arena(capacity=1024))
    values: list[bytes | None] = [*Encoder(history).values(np.arange(len(history)))]
    alerts = [alert for outcome in run(made, records(values), 2048) for alert in outcome.alerts]
    named: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for alert in alerts:
        row = truth.get(alert.transaction["transaction_id"])
        if row is not None:
            total[row["story"]] += 1
            named[row["story"]] += bool(families(alert) & set(row["cause"]))
    shares = {story: named[story] / total[story] for story in total if total[story] >= ENOUGH}
    assert len(shares) >= 4, total
    assert min(shares.values()) >= 0.8, shares
