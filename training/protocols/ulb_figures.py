"""Figures on the ULB subset: ranking, recall at few false alarms, precision at the true share of frauds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
PREVALENCE = 492 / 284_807


def one_class_figures(genuine: F64, fraud: F64, first_day: Mask) -> dict[str, float]:
    """Figures from scores of genuine test rows and of frauds, higher = riskier."""
    return {
        "auc": _auc(genuine, fraud),
        "auc_day1": _auc(genuine, fraud[first_day]),
        "recall_01": recall_at(genuine, fraud, 0.001),
        "recall_1": recall_at(genuine, fraud, 0.01),
        "recall_01_day1": recall_at(genuine, fraud[first_day], 0.001),
        "ap_prevalence": precision_at_prevalence(genuine, fraud),
    }


def supervised_figures(y: F64, score: F64, first_day: Mask) -> dict[str, float]:
    """The same figures from scores of rows with labels y (n,)."""
    return one_class_figures(score[y == 0], score[y > 0], first_day[y > 0])


def recall_at(genuine: F64, fraud: F64, share: float) -> float:
    """Share of frauds above the score that at most this share of genuine rows exceeds."""
    allowed = int(share * len(genuine))
    cut = np.sort(genuine)[::-1][allowed]
    return float((fraud > cut).mean())


def precision_at_prevalence(genuine: F64, fraud: F64) -> float:
    """Average precision with genuine rows weighed so that frauds are as rare as in the full table."""
    y = np.concatenate([np.zeros(len(genuine)), np.ones(len(fraud))])
    weight = np.where(y > 0, 1.0, len(fraud) * (1 - PREVALENCE) / PREVALENCE / len(genuine))
    return float(average_precision_score(y, np.concatenate([genuine, fraud]), sample_weight=weight))


def _auc(genuine: F64, fraud: F64) -> float:
    y = np.concatenate([np.zeros(len(genuine)), np.ones(len(fraud))])
    return float(roc_auc_score(y, np.concatenate([genuine, fraud])))
