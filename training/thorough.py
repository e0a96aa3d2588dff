"""All figures of a panel on rows that nothing was chosen on, beside each member, each subset, rules and yardsticks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from training import bootstrap, money, reliability
from training.bootstrap import Blocks, Statistic
from training.calibrate import sigmoid
from training.evaluate import at_cut, ranking, story_recall
from training.judged import Fusion, Judged
from training.samples import F64, Mask
from training.segments import segment

STEPS = ("review", "step_up", "decline")


def thorough(judged: Judged, fusion: Fusion, *, repeats: int, seed: int) -> dict[str, Any]:
    """Compute every figure of one bank, or of several put together, at the panel's own thresholds.

    Parameters
    ----------
    judged
        Rows with scores, warm-up included.
    fusion
        Of the panel that scored them.
    repeats, seed
        Of the bootstrap by card × day.

    Returns
    -------
    dict
        ``panel`` (figures at each threshold), ``detectors``, ``without`` (each member left out), ``others``
        (yardsticks, at the panel's number of alerts), ``best_single_feature``, ``intervals`` (95 %, with paired
        differences), ``stories``, ``first_alert``, ``false_declines``, ``worth``, ``history``, ``channel``,
        ``calibration``.
    """
    rows = judged.take(~judged.warm)
    samples, fraud, names = rows.samples, rows.samples.fraud, fusion.names
    logit = fusion.fused(rows.members, names)
    alert = logit >= fusion.cut(names)
    scores, alerts = {"panel": logit}, {"panel": alert}
    for name in names:
        scores[name] = fusion.fused(rows.members, [name])
        alerts[name] = scores[name] >= fusion.cut([name])
    if len(names) > 1:
        for name in names:
            rest = [other for other in names if other != name]
            scores[f"panel without {name}"] = fusion.fused(rows.members, rest)
            alerts[f"panel without {name}"] = scores[f"panel without {name}"] >= fusion.cut(rest)
    for name, score in rows.others.items():
        scores[name] = score
        alerts[name] = _top(score, int(alert.sum()))
    blocks = Blocks(samples, repeats=repeats, seed=seed)
    figures = {name: ranking(score, fraud) | at_cut(samples, alerts[name], fraud) for name, score in scores.items()}
    feature = next(name for name in rows.others if name.startswith("feature "))
    return {
        "transactions": len(samples),
        "frauds": int(fraud.sum()),
        "prevalence_bp": 1e4 * float(fraud.mean()),
        "panel": ranking(logit, fraud)
        | {step: at_cut(samples, logit >= fusion.cut(names, step), fraud) for step in STEPS},
        "detectors": {name: figures[name] for name in names},
        "without": {name: figures[f"panel without {name}"] for name in names if len(names) > 1},
        "others": {name: figures[name] for name in rows.others},
        "best_single_feature": {"name": feature.removeprefix("feature "), "ap": figures[feature]["ap"]},
        "intervals": _intervals(rows, scores, alerts, blocks),
        "stories": story_recall(samples, alert),
        "first_alert": _first_alerts(rows, alerts),
        "false_declines": {
            name: money.false_declines(samples, rows.money, score, fraud) for name, score in scores.items()
        },
        "worth": money.worth(samples, rows.money, logit, fraud, fusion.cut(names)),
        "history": _history(judged, fusion),
        "channel": {name: segment(samples, logit, alert, mask) for name, mask in rows.channel.items()},
        "calibration": _calibration(judged, logit, alert, fusion.file.prior, blocks),
    }


def _top(score: F64, number: int) -> Mask:
    """Alert the highest scores, as many as a number; ties by order."""
    chosen = np.zeros(len(score), bool)
    chosen[np.argsort(-score, kind="stable")[:number]] = True
    return chosen


def _intervals(rows: Judged, scores: Mapping[str, F64], alerts: Mapping[str, Mask], blocks: Blocks) -> dict[str, Any]:
    samples, fraud = rows.samples, rows.samples.fraud
    statistics: dict[str, Statistic] = {
        f"{name}.ap": bootstrap.average_precision(score, fraud, blocks.of) for name, score in scores.items()
    }
    for name in scores:
        if name == "panel" or name in rows.members:
            statistics[f"{name}.precision_case"] = bootstrap.case_precision(samples, alerts[name], fraud, blocks.of)
            statistics[f"{name}.recall_case"] = bootstrap.case_recall(samples, alerts[name], fraud, blocks.of)
    pairs = {f"panel - {name}.ap": ("panel.ap", f"{name}.ap") for name in scores if name != "panel"}
    return dict(blocks.intervals(statistics, pairs))


def _first_alerts(rows: Judged, alerts: Mapping[str, Mask]) -> dict[str, Any]:
    every = {"rules": rows.rules, **{name: alert for name, alert in alerts.items() if "without" not in name}}
    fraud = rows.samples.fraud
    return {
        name: money.before_first_alert(rows.samples, rows.money, alert, fraud)
        | {
            "alerts_per_10k": 1e4 * float(alert.mean()),
            "precision_tx": float(fraud[alert].mean()) if alert.any() else 0,
        }
        for name, alert in every.items()
    }


def _history(judged: Judged, fusion: Fusion) -> dict[str, Any]:
    """By what the engine has seen of the card; the warm-up is in, an engine that has just started knows nobody."""
    logit = fusion.fused(judged.members, fusion.names)
    alert = logit >= fusion.cut(fusion.names)
    return {name: segment(judged.samples, logit, alert, mask) for name, mask in judged.history.items()}


def _calibration(judged: Judged, logit: F64, alert: Mask, prior: float, blocks: Blocks) -> dict[str, Any]:
    """As shipped by truth and by reports, and moved to the share of fraud that the warm-up's reports tell."""
    rows = ~judged.warm
    fraud, told = judged.samples.fraud[rows], judged.samples.y[rows] > 0
    here = reliability.known_share(judged.samples, judged.warm)
    moved = reliability.shifted(logit, prior, here)
    cut = float(logit[alert].min()) if alert.any() else np.inf
    return {
        "by_truth": reliability.reliability(logit, fraud, alert, blocks),
        "by_reports": reliability.reliability(logit, told, alert, blocks),
        "prior_moved": {"to": here} | reliability.reliability(moved, told, moved >= cut, blocks),
        "expected_frauds_among_alerts": float(sigmoid(logit)[alert].sum()),
        "observed_frauds_among_alerts": int(fraud[alert].sum()),
    }
