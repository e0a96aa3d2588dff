"""A feature that was computed on the whole file: every row of an entity or category has the file's own figure of it."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from training.audit.findings import Finding
from training.audit.table import F64, I64, Mask, Sheet

RANK = 0.98
_REMEDY = "Compute it from rows before each transaction, or on the training part alone"


def check(sheet: Sheet) -> list[Finding]:
    """Every numeric column, by every entity and every category with few values."""
    findings: list[Finding] = []
    told: set[str] = set()
    for name, codes in _keys(sheet).items():
        figures = _figures(sheet, codes)
        rows = np.flatnonzero(codes >= 0)
        for column in sheet.columns:
            if column.name in told | {name} or column.kind != "number":
                continue
            seen = _matches(column.values[rows], codes[rows], figures)
            if seen:
                what = f"every row of a {name} holds {seen} over the whole file, later rows included"
                findings.append(Finding("whole_file", column.name, what, {}, _REMEDY))
                told.add(column.name)
    return findings


def _keys(sheet: Sheet) -> dict[str, I64]:
    keys = dict(sheet.entities)
    for column in sheet.columns:
        known = np.isfinite(column.values)
        if column.kind == "time" or not known.any():
            continue
        values = column.values[known]
        whole = column.kind == "text" or bool((values == np.round(values)).all())
        distinct = len(np.unique(values)) if whole else 0
        if 2 < distinct <= (len(values) // 3 if column.kind == "text" else 1000):
            codes = np.full(len(known), -1, np.int64)
            codes[known] = np.unique(values, return_inverse=True)[1]
            keys[column.name] = codes
    return keys


def _figures(sheet: Sheet, codes: I64) -> dict[str, F64]:
    """The file's own figures by group (g,)."""
    known = codes >= 0
    groups = codes[known]
    count = np.bincount(groups).astype(np.float64)
    frauds = np.bincount(groups, sheet.y[known]).astype(np.float64)
    safe = np.maximum(count, 1)
    out: dict[str, F64] = {"the fraud rate": frauds / safe, "the number of frauds": frauds, "the number of rows": count}
    if sheet.amount is not None:
        amount = np.nan_to_num(sheet.amount[known])
        sums = np.bincount(groups, amount).astype(np.float64)
        out |= {"the mean amount": sums / safe, "the sum of the amounts": sums}
    return out


def _matches(values: F64, groups: I64, figures: dict[str, F64]) -> str:
    """The figure that the column repeats, "" when it repeats none; it must be one value per group."""
    seen = np.isfinite(values)
    if seen.sum() < 0.5 * len(values):
        return ""
    values, groups = values[seen], groups[seen]
    size = len(next(iter(figures.values())))
    count = np.bincount(groups, minlength=size)
    centre = np.bincount(groups, values, minlength=size) / np.maximum(count, 1)
    scale = max(float(np.std(centre[count > 0])), 1e-12)
    strays = np.bincount(groups, np.abs(values - centre[groups]) > 1e-6 * scale, minlength=size) > 0
    several = count > 1
    if several.sum() < 3 or np.mean(strays[several]) > 0.5:
        return ""
    for name, figure in figures.items():
        levels, counts = np.unique(figure[several], return_counts=True)
        # where most groups have no fraud, a column that is 0 nearly everywhere agrees with them by chance
        telling = several & (figure != levels[np.argmax(counts)])
        if len(levels) < 3 or telling.sum() < 3 or np.mean(strays[telling]) > 0.02:
            continue
        if _equal(centre[telling], figure[telling]) and _equal(centre[several], figure[several]):
            return name
        if name == "the fraud rate" and _smoothed(centre, figures, telling):
            return f"{name}, shrunken"
        if "fraud" in name and _ranked_alike(centre[several], figure[several]):
            return name
    return ""


def _smoothed(centre: F64, figures: dict[str, F64], telling: Mask) -> bool:
    """Whether the values are (frauds + m p) / (rows + m) with one m for all groups, p the base rate of the file."""
    hits, count = figures["the number of frauds"], figures["the number of rows"]
    prior = hits.sum() / count.sum()
    off = telling & (np.abs(centre - prior) > 1e-9)
    if off.sum() < 5:
        return False
    strength = float(np.median((hits - centre * count)[off] / (centre - prior)[off]))
    return strength > 0 and _equal(centre[count > 0], ((hits + strength * prior) / (count + strength))[count > 0])


def _equal(one: F64, other: F64) -> bool:
    return bool(np.mean(np.abs(one - other) <= 1e-4 * np.abs(other) + 1e-9) >= 0.95)


def _ranked_alike(one: F64, other: F64) -> bool:
    """In the same order, for enough groups with a fraud that chance does not explain it."""
    if (other > 0).sum() < 15 or len(np.unique(one)) < 3:
        return False
    return abs(float(spearmanr(one, other).statistic)) >= RANK
