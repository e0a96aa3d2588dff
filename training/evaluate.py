"""Figures of a panel: by transaction, by case, by story, and beside the yardsticks that keep them honest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from stream.scoring import Panel
from stream.scoring.manifest import subset_key
from training.cases import count_cases
from training.fuse import Fused
from training.samples import F32, F64, Samples

Mask = npt.NDArray[np.bool_]
_BATCH = 2048


def ranking(score: F64, fraud: Mask) -> dict[str, float]:
    """Average precision and area under the ROC curve by transaction; NaN where one class is absent."""
    if not 0 < fraud.sum() < len(fraud):
        return {"ap": float("nan"), "auc": float("nan")}
    return {"ap": float(average_precision_score(fraud, score)), "auc": float(roc_auc_score(fraud, score))}


def at_cut(samples: Samples, alert: Mask, fraud: Mask) -> dict[str, float]:
    """Precision and recall by transaction and by case, and alerts per 10,000 transactions."""
    right, cases = int((alert & fraud).sum()), count_cases(samples, alert, fraud)
    return {
        "precision_tx": right / max(int(alert.sum()), 1),
        "recall_tx": right / max(int(fraud.sum()), 1),
        "precision_case": cases.precision,
        "recall_case": cases.recall,
        "alert_cases": cases.cases,
        "fraud_cases": cases.frauds,
        "alerts_per_10k": cases.alerts_per_10k,
    }


def best_single_feature(samples: Samples, names: Sequence[str], fraud: Mask) -> tuple[str, float]:
    """Find the feature that ranks best alone, in either direction, and its average precision."""
    best = ("", 0.0)
    for j, name in enumerate(names):
        column = samples.X[:, j].astype(np.float64)
        for signed in (column, -column):
            filled = np.where(np.isfinite(signed), signed, np.nanmin(signed) if np.isfinite(signed).any() else 0.0)
            ap = ranking(filled, fraud)["ap"]
            if ap > best[1]:
                best = (name, ap)
    return best


def boosting(train: Samples, rows: Samples, *, seed: int) -> F64:
    """Score rows by gradient boosting on the panel's own inputs, features and windows: the yardstick, (n,)."""
    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.08, max_leaf_nodes=24, l2_regularization=1.0, max_bins=63, random_state=seed
    )
    model.fit(_flat(train), train.y)
    return np.asarray(model.decision_function(_flat(rows)), np.float64)


def _flat(samples: Samples) -> F32:
    flat = np.concatenate([samples.X, samples.S.reshape(len(samples), -1)], axis=1)
    flat[:, np.isnan(flat).all(axis=0)] = 0.0  # scikit-learn refuses columns without a value
    return flat


def training_table(fused: Fused, samples: Samples, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Judge every detector, the panel, and the panel without each member, on cross-fitted logits."""
    rows: dict[str, dict[str, float]] = {}
    everyone = subset_key(names)
    settings = {name: name for name in names} | {"panel": everyone}
    if len(names) > 1:
        settings |= {f"panel without {name}": subset_key([n for n in names if n != name]) for name in names}
    for label, key in settings.items():
        logit, rule = fused.logits[key], fused.subsets[key]
        alert = logit >= np.log(rule.review / (1 - rule.review))
        rows[label] = ranking(logit, samples.fraud) | at_cut(samples, alert, samples.fraud)
    return rows


def score_panel(panel: Panel, samples: Samples) -> tuple[F64, dict[str, F64]]:
    """Score rows as the worker does: fused logit (n,) and every detector's calibrated score (n,)."""
    logit = np.empty(len(samples))
    scores = {name: np.empty(len(samples)) for name in panel.detectors}
    for start in range(0, len(samples), _BATCH):
        part = slice(start, start + _BATCH)
        got = panel.score(samples.X[part], samples.S[part])
        logit[part] = got.logit
        for j, name in enumerate(got.names):
            scores[name][part] = got.scores[:, j]
    return logit, scores


def judge(panel: Panel, samples: Samples, feature_names: Sequence[str]) -> dict[str, Any]:
    """Judge a loaded panel on rows that nothing was chosen on, by the truth.

    Returns
    -------
    dict
        ``panel`` (figures at each threshold), ``detectors``, ``best_single_feature``, ``stories`` (recall by case at
        the review threshold, zeros included), ``calibration`` (slope, expected and observed frauds among alerts).
    """
    logit, scores = score_panel(panel, samples)
    probability = 1.0 / (1.0 + np.exp(-np.clip(logit, -60, 60)))
    cuts = panel.thresholds
    name, ap = best_single_feature(samples, feature_names, samples.fraud)
    alert = probability >= cuts.review
    return {
        "transactions": len(samples),
        "frauds": int(samples.fraud.sum()),
        "prevalence_bp": 1e4 * float(samples.fraud.mean()),
        "panel": ranking(logit, samples.fraud)
        | {step: at_cut(samples, probability >= getattr(cuts, step), samples.fraud) for step in cuts._fields},
        "detectors": {key: ranking(value, samples.fraud) for key, value in scores.items()},
        "best_single_feature": {"name": name, "ap": ap},
        "stories": story_recall(samples, alert),
        "calibration": {
            "expected_frauds_among_alerts": float(probability[alert].sum()),
            "observed_frauds_among_alerts": int(samples.fraud[alert].sum()),
        },
    }


def story_recall(samples: Samples, alert: Mask) -> dict[str, dict[str, float]]:
    """Recall by case of every story in the rows."""
    out: dict[str, dict[str, float]] = {}
    for story in sorted(set(np.unique(samples.story).tolist()) - {""}):
        figures = count_cases(samples, alert, samples.fraud & (samples.story == story))
        out[story] = {"cases": figures.frauds, "caught": figures.caught, "recall": figures.recall}
    return out


def flatten(table: Mapping[str, Mapping[str, float]], keep: Sequence[str] = ("ap", "auc")) -> dict[str, float]:
    """Put a table into one level of names, as manifests keep it: ``panel.ap``."""
    return {f"{label}.{figure}": row[figure] for label, row in table.items() for figure in keep if figure in row}
