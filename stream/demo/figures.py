"""Precision and recall by case.

What is alerted is counted in alert cases: the alerts of one card within `case_hours` of event time, as in `case_id`.
What should be found is counted in fraud episodes: what one fraudster does to one card. An episode is caught when one of
its transactions is alerted; an alert case is right when one of its alerts is on a fraudulent transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Stream:
    """The live transactions, one entry each, first copies only.

    Attributes
    ----------
    case
        Number of the case that an alert on it would belong to, 0..c-1.
    episode
        Number of its fraud episode, -1 for honest ones.
    fraud
        Whether it is planted fraud.
    story
        Its story, "" for honest ones.
    """

    case: npt.NDArray[np.int64]
    episode: npt.NDArray[np.int64]
    fraud: npt.NDArray[np.bool_]
    story: list[str]

    @classmethod
    def of(cls, rows: list[dict[str, Any]], case_hours: float) -> Stream:
        """Number the cases of rows of the simulator's truth."""
        case = _numbered([(row["card"], int(row["event_time"] // (case_hours * HOUR_MS))) for row in rows])
        fraud = np.array([bool(row["fraud"]) for row in rows], np.bool_)
        episode = np.where(fraud, _numbered([(row["card"], row["fraud_case"]) for row in rows]), -1)
        return cls(case, episode, fraud, [row["story"] or "" for row in rows])


def _numbered(keys: list[tuple[Any, Any]]) -> npt.NDArray[np.int64]:
    numbers: dict[tuple[Any, Any], int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def by_case(stream: Stream, alerted: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Precision and recall by case and by transaction of a set of alerted transactions, (n,) bool."""
    hits = alerted & stream.fraud
    episodes, caught = np.unique(stream.episode[stream.fraud]), np.unique(stream.episode[hits])
    told_cases, right = np.unique(stream.case[alerted]), np.unique(stream.case[hits])
    return {
        "precision": _share(len(right), len(told_cases)),
        "recall": _share(len(caught), len(episodes)),
        "alert_cases": float(len(told_cases)),
        "fraud_cases": float(len(episodes)),
        "precision_transactions": _share(int(hits.sum()), int(alerted.sum())),
        "recall_transactions": _share(int(hits.sum()), int(stream.fraud.sum())),
    }


def by_story(stream: Stream, alerted: npt.NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Recall by episode for each story, zeros included."""
    story = np.array(stream.story)
    found = {}
    for name in sorted(set(stream.story) - {""}):
        mine = story == name
        cases, caught = np.unique(stream.episode[mine]), np.unique(stream.episode[mine & alerted])
        found[name] = {
            "cases": float(len(cases)),
            "caught": float(len(caught)),
            "recall": _share(len(caught), len(cases)),
        }
    return found


def best_single(
    stream: Stream, features: npt.NDArray[np.float32], names: tuple[str, ...], cases: int
) -> dict[str, float | str]:
    """The feature that, alone, alerts the same number of cases best: its precision and recall by case.

    Each feature is tried from above and from below; transactions are alerted in its order until ``cases`` cases are
    used up. It is picked with the labels of this very stream, so it flatters the single feature, not the panel.
    """
    best: dict[str, float | str] = {"feature": "none", "precision": 0.0, "recall": 0.0}
    for column, name in enumerate(names):
        for sign in (1.0, -1.0):
            value = np.where(np.isnan(features[:, column]), -np.inf, sign * features[:, column])
            order = np.argsort(-value, kind="stable")
            _, first = np.unique(stream.case[order], return_index=True)
            cut = np.sort(first)[min(cases, len(first)) - 1] + 1 if cases else 0
            alerted = np.zeros(len(order), np.bool_)
            alerted[order[:cut]] = True
            got = by_case(stream, alerted)
            if got["recall"] > float(best["recall"]):
                side = "high" if sign > 0 else "low"
                best = {"feature": f"{name} {side}", "precision": got["precision"], "recall": got["recall"]}
    return best


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
