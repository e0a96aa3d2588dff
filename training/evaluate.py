"""Figures of a panel: by transaction, by case, by story, and beside the yardsticks that keep them honest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from stream.scoring.manifest import subset_key
from training.cases import count_cases
from training.fuse import Fused
from training.samples import F32, F64, Samples

Mask = npt.NDArray[np.bool_]
_AT_ONCE = 50_000  # rows whose windows are laid flat at a time


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


def boosting(train: Samples, *, seed: int) -> Callable[[Samples], F64]:
    """Fit gradient boosting on the panel's own inputs, features and windows: the yardstick; returns its scorer."""
    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.08, max_leaf_nodes=24, l2_regularization=1.0, max_bins=63, random_state=seed
    )
    model.fit(_flat(train), train.y)

    def score(rows: Samples) -> F64:
        parts = [slice(start, start + _AT_ONCE) for start in range(0, len(rows), _AT_ONCE)]
        return np.concatenate([np.asarray(model.decision_function(_flat(rows, part)), np.float64) for part in parts])

    return score


def _flat(samples: Samples, part: slice = slice(None)) -> F32:
    X, S = samples.X[part], samples.S[part]
    flat = np.concatenate([X, S.reshape(len(S), -1)], axis=1)
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
