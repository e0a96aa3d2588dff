"""A single feature that is too good: by its values, by a value that only frauds have, by being there or missing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from training.audit.findings import Finding
from training.audit.table import F64, I64, Column, Mask, Sheet

AUC = 0.995  # alone, of values; two classes 3.6 standard deviations apart
AUC_CLEAN_CUT = 0.98  # enough when one cut finds CLEAN_RECALL of the frauds at 1 in 1,000 genuine rows
CLEAN_RECALL = 0.85
AUC_FLAG = 0.975  # of columns with at most three values
AUC_MISSING = 0.95
PURE_RECALL, PURE_RECALL_MISSING, PURE_FPR, LEAST = 0.3, 0.2, 5e-4, 10
_MOST_ROWS = 400_000
_REMEDY = "Find out when it is written; leave it out unless it is known before the decision"


class Alone(NamedTuple):
    """How well one column ranks the frauds, either way up; `clean` is the recall at 1 in 1,000 genuine rows."""

    auc: float
    ap: float
    clean: float


def auc_of(score: F64, fraud: Mask) -> float:
    """Area under the ROC curve; missing values rank lowest."""
    ranks = rankdata(np.where(np.isfinite(score), score, -np.inf))
    n1 = int(fraud.sum())
    return float((ranks[fraud].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(fraud) - n1)))


def judge(column: Column, fraud: Mask, seed: int = 0) -> Alone:
    """Rank by value up, by value down, and by the fraud rates of bins, which are taken from the other half of rows."""
    by_rate = _rates(_bins(column, fraud), fraud, seed)
    ways = [by_rate] if column.kind == "text" else [column.values, -column.values, by_rate]
    best = max(ways, key=lambda way: auc_of(way, fraud))
    score = np.where(np.isfinite(best), best, np.nanmin(best, initial=0.0) - 1)
    cut = np.quantile(score[~fraud], 0.999)
    return Alone(auc_of(best, fraud), float(average_precision_score(fraud, score)), float((score[fraud] > cut).mean()))


def check(sheet: Sheet) -> list[Finding]:
    """Every column alone."""
    chosen = _some_rows(sheet.y)
    fraud = sheet.y[chosen]
    findings: list[Finding] = []
    if fraud.sum() < LEAST:
        return findings
    for whole in sheet.columns:
        column = Column(whole.name, whole.values[chosen], whole.kind, whole.categories)
        missing = ~np.isfinite(column.values)
        if missing.any():
            findings += _by_missing(column.name, missing, fraud)
        if missing.all() or (findings[-1:] and findings[-1].column == column.name):
            continue
        findings += _by_value(column, fraud)
    return findings


def _by_value(column: Column, fraud: Mask) -> list[Finding]:
    seen = column.values[np.isfinite(column.values)]
    distinct = len(np.unique(seen[:100_000]))
    if distinct < 2 or (column.kind == "text" and distinct > 0.5 * len(seen)):
        return []
    alone = judge(column, fraud)
    few = distinct <= 3
    good = alone.auc >= (AUC_FLAG if few else AUC) or (alone.auc >= AUC_CLEAN_CUT and alone.clean >= CLEAN_RECALL)
    evidence = {"auc": alone.auc, "ap": alone.ap, "recall_at_1_per_mille": alone.clean}
    if good:
        what = f"alone it finds the frauds with AUC {alone.auc:.4f} and AP {alone.ap:.3f}"
        return [Finding("too_good", column.name, what, evidence, _REMEDY)]
    if distinct <= 50:
        return _pure_value(column, fraud, evidence)
    return []


def _pure_value(column: Column, fraud: Mask, evidence: dict[str, float]) -> list[Finding]:
    """A value that many frauds and hardly a genuine row have."""
    for value in np.unique(column.values[np.isfinite(column.values)]):
        here = column.values == value
        if _pure(here, fraud, PURE_RECALL):
            told = column.categories[int(value)] if column.kind == "text" else f"{value:g}"
            hit, wrong = int((here & fraud).sum()), int((here & ~fraud).sum())
            what = f"the value {told[:40]!r} is on {hit:,} frauds ({hit / fraud.sum():.0%}) and {wrong:,} genuine rows"
            figures = evidence | {"frauds": hit, "genuine": wrong}
            return [Finding("too_good", column.name, what, figures, _REMEDY)]
    return []


def _by_missing(name: str, missing: Mask, fraud: Mask) -> list[Finding]:
    auc = auc_of(missing.astype(np.float64), fraud)
    for state, here in (("filled", ~missing), ("missing", missing)):
        strength = 1 - auc if state == "filled" else auc
        if strength >= AUC_MISSING or _pure(here, fraud, PURE_RECALL_MISSING):
            what = (
                f"it is {state} on {(here & fraud).sum() / fraud.sum():.1%} of the frauds and "
                f"{(here & ~fraud).sum() / (~fraud).sum():.2%} of the genuine rows (AUC {strength:.3f})"
            )
            remedy = "Whether it is there tells the verdict: leave it out, or fill it as it is before the decision"
            return [Finding("missingness", name, what, {"auc": strength}, remedy)]
    return []


def _pure(here: Mask, fraud: Mask, recall: float) -> bool:
    hit, wrong = int((here & fraud).sum()), int((here & ~fraud).sum())
    return hit >= LEAST and hit >= recall * fraud.sum() and wrong <= PURE_FPR * (~fraud).sum() and wrong < 0.1 * hit


def _bins(column: Column, fraud: Mask) -> I64:
    """Bin of each row, 0 where missing; edges are quantiles of the frauds and of all."""
    known = np.isfinite(column.values)
    bins = np.zeros(len(known), np.int64)
    seen = column.values[known]
    if column.kind == "text" or len(np.unique(seen)) <= 64:
        bins[known] = 1 + np.unique(seen, return_inverse=True)[1]
        return bins
    steps = np.linspace(0, 1, 33)
    hit = column.values[known & fraud]
    edges = np.unique(np.concatenate([np.quantile(seen, steps), np.quantile(hit, steps) if len(hit) else []]))
    bins[known] = 1 + np.searchsorted(edges, seen, side="left")
    return bins


def _rates(bins: I64, fraud: Mask, seed: int) -> F64:
    """Fraud rate of each row's bin in the half of the rows that it is not in, shrunken to the base rate."""
    half = np.random.default_rng(seed).random(len(bins)) < 0.5
    out = np.empty(len(bins))
    for side in (half, ~half):
        count = np.bincount(bins[~side], minlength=bins.max() + 1)
        hits = np.bincount(bins[~side], fraud[~side], minlength=bins.max() + 1)
        out[side] = ((hits + 2 * fraud.mean()) / (count + 2))[bins[side]]
    return out


def _some_rows(fraud: Mask) -> I64:
    """All frauds, and as many genuine rows as are quickly judged."""
    if len(fraud) <= _MOST_ROWS:
        return np.arange(len(fraud))
    rng = np.random.default_rng(0)
    genuine = rng.permutation(np.flatnonzero(~fraud))[:_MOST_ROWS]
    return np.sort(np.concatenate([np.flatnonzero(fraud), genuine]))
