"""Figures by card history and by channel."""

from __future__ import annotations

import numpy as np

from stream.features import FEATURE_NAMES, SEQUENCE_CHANNELS
from training.evaluate import ranking
from training.samples import F64, Mask, Samples

_PRESENT = next(i for i, channel in enumerate(SEQUENCE_CHANNELS) if channel.name == "present")
_CHANNELS = {"online": "is_ecom", "cash machine": "is_atm", "mail or telephone": "is_moto"}


def by_history(samples: Samples) -> dict[str, Mask]:
    """Rows whose card has 0, 1 to 5, or 6 and more transactions behind it, as far as the engine has seen them."""
    past = samples.S[:, :-1, _PRESENT].sum(axis=1)
    return {"0": past < 0.5, "1-5": (past > 0.5) & (past < 5.5), "6+": past > 5.5}


def by_channel(samples: Samples) -> dict[str, Mask]:
    """Rows by channel; what has none of its own is a terminal in a shop or unknown."""
    column = {name: samples.X[:, FEATURE_NAMES.index(feature)] for name, feature in _CHANNELS.items()}
    groups = {name: values > 0.5 for name, values in column.items()}
    unknown = np.isnan(column["online"])
    shop = ~unknown & ~np.logical_or.reduce([*groups.values()])
    return {**groups, "shop": shop, "unknown": unknown}


def segment(samples: Samples, logit: F64, alert: Mask, rows: Mask) -> dict[str, float]:
    """Ranking, and precision and recall by transaction at the alerts, among some rows; by the truth."""
    fraud = samples.fraud & rows
    alerts, right = int((alert & rows).sum()), int((alert & fraud).sum())
    return {
        "transactions": int(rows.sum()),
        "frauds": int(fraud.sum()),
        **ranking(logit[rows], samples.fraud[rows]),
        "precision_tx": right / alerts if alerts else float("nan"),
        "recall_tx": right / int(fraud.sum()) if fraud.any() else float("nan"),
        "alerts_per_10k": 1e4 * alerts / max(int(rows.sum()), 1),
    }
