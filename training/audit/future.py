"""A feature that tells what the same entity will do, or what will become of it, better than the past explains."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from training.audit.alone import auc_of
from training.audit.around import DAY, Around, some_entities
from training.audit.findings import Finding
from training.audit.table import F64, I64, Column, Mask, Sheet

WINDOWS = {"1 h": DAY / 24, "6 h": DAY / 4, "1 d": DAY, "3 d": 3 * DAY, "7 d": 7 * DAY, "30 d": 30 * DAY}
PARTIAL = 0.7  # rank correlation with what comes, given what came
BEFORE = 0.9  # AUC one row before the first fraud
LEAST = 20
_MOST_ROWS, _HISTORY = 120_000, 5
_REMEDY = "Compute it from rows before the transaction alone"


def check(sheet: Sheet) -> list[Finding]:
    """Every column, by every entity; a column is told once."""
    findings: dict[str, Finding] = {}
    for name, entity in sheet.entities.items():
        around = Around.of(some_entities(entity, _MOST_ROWS), sheet.time)
        if len(around) < 200:
            continue
        for finding in [*_activity(sheet, around, name), *_before_fraud(sheet, around, name)]:
            findings.setdefault(finding.column, finding)
    return list(findings.values())


def _activity(sheet: Sheet, around: Around, name: str) -> list[Finding]:
    """Partial rank correlation with what follows; controls are what came before, the row itself and the clock."""
    amount = np.nan_to_num(sheet.amount[around.order]) if sheet.amount is not None else np.zeros(len(around))
    targets = _following(around, amount)
    old = around.here - around.begin >= _HISTORY
    found: dict[str, tuple[float, str]] = {}
    for target, (value, whole) in targets.items():
        rows = np.flatnonzero(old & whole & np.isfinite(value))[:: max(1, int((old & whole).sum()) // 20_000)]
        if len(rows) < 200 or len(np.unique(value[rows])) < 3:
            continue
        basis, _ = np.linalg.qr(_controls(sheet, around, amount)[rows])
        wanted = _residual(_ranks(value[rows]), basis)
        for column in sheet.columns:
            given = column.values[around.order][rows]
            if column.kind == "time" or np.isfinite(given).sum() < 0.2 * len(rows):
                continue
            got = _residual(_ranks(given), basis)
            strength = abs(float(got @ wanted)) if got.any() and wanted.any() else 0.0
            if strength >= max(PARTIAL, found.get(column.name, (0.0, ""))[0]):
                found[column.name] = (strength, target)
    return [
        Finding(
            "knows_future",
            column,
            f"given all that came before, it still tells {target} of the same {name} (rank correlation {strength:.2f})",
            {"partial_rank_correlation": strength},
            _REMEDY,
        )
        for column, (strength, target) in found.items()
    ]


def _following(around: Around, amount: F64) -> dict[str, tuple[F64, Mask]]:
    """What follows a row, and where the file goes on long enough to know it."""
    after = np.minimum(around.here + 1, len(around) - 1)
    followed = around.followed
    out = {"the time to the next row": (np.where(followed, around.time[after] - around.time, np.nan), followed)}
    if amount.any():
        out["the next amount"] = (np.where(followed, amount[after], np.nan), followed)
        for count in (2, 3, 5):
            stop = around.here + 1 + count
            inside = stop <= around.stop
            sums = around.total(amount, around.here + 1, np.minimum(stop, around.stop))
            out[f"the next {count} amounts"] = (sums, inside)
    end = around.time.max()
    for text, width in WINDOWS.items():
        stop = around.until(around.time + width, inclusive=True)
        whole = around.time + width <= end
        out[f"how many rows follow in {text}"] = ((stop - around.here - 1).astype(np.float64), whole)
        if amount.any():
            out[f"the amounts of the next {text}"] = (around.total(amount, around.here + 1, stop), whole)
    return out


def _controls(sheet: Sheet, around: Around, amount: F64) -> F64:
    """Ranks of what came before and of the row itself, its time of day and week, and how late in the file it is."""
    n = len(around)
    before = np.maximum(around.here - 1, around.begin)
    past = [around.time - around.time[before], around.here - around.begin, amount, sheet.y[around.order], around.time]
    life = np.maximum(around.time - around.time[around.begin], 1.0)
    past += [
        (around.here - around.begin) / life,
        around.total(amount, around.begin, around.here) / np.maximum(around.here - around.begin, 1),
        amount[before],
        *(around.total(amount, np.maximum(around.here - count, around.begin), around.here) for count in (2, 3, 5)),
    ]
    for width in WINDOWS.values():
        low = around.until(around.time - width)
        past += [around.here - low, around.total(amount, low, around.here)]
    day, week = (2 * np.pi * (sheet.time[around.order] % span) / span for span in (DAY, 7 * DAY))
    clock = [np.sin(day), np.cos(day), np.sin(2 * day), np.cos(2 * day), np.sin(week), np.cos(week)]
    table = [np.ones(n), *clock, *(_ranks(np.asarray(column, np.float64)) for column in past)]
    return np.column_stack(table)


def _ranks(values: F64) -> F64:
    known = np.isfinite(values)
    out = np.zeros(len(values))
    ranks = rankdata(values[known])
    out[known] = (ranks - ranks.mean()) / max(len(ranks), 1)
    return out


def _residual(values: F64, basis: F64) -> F64:
    rest = values - basis @ (basis.T @ values)
    size = float(np.linalg.norm(rest))
    # what the controls explain but for rounding has nothing left to compare
    return rest / size if size > 1e-6 * max(float(np.linalg.norm(values)), 1e-12) else np.zeros_like(rest)


def _before_fraud(sheet: Sheet, around: Around, name: str) -> list[Finding]:
    """Among rows of entities without a fraud so far: is the next row their first fraud?"""
    y = sheet.y[around.order].astype(np.float64)
    clean = around.total(y, around.begin, around.here + 1) == 0
    after = np.minimum(around.here + 1, len(around) - 1)
    asked = clean & around.followed
    rows = np.flatnonzero(asked)
    comes = y[after][rows] > 0
    if comes.sum() < LEAST or (~comes).sum() < LEAST:
        return []
    era = np.minimum((10 * np.argsort(np.argsort(around.time[rows])) // len(rows)), 9)
    out = []
    for column in sheet.columns:
        if column.kind == "time":
            continue
        auc = _by_era(column, around, rows, comes, era)
        if auc >= BEFORE:
            what = f"one row before the first fraud of a {name} it tells that the fraud will come (AUC {auc:.3f})"
            out.append(Finding("knows_future", column.name, what, {"auc_before": auc}, _REMEDY))
    return out


def _by_era(column: Column, around: Around, rows: I64, comes: Mask, era: I64) -> float:
    """AUC within tenths of the time, so that what merely grows with time tells nothing; the better of both ways."""
    value = column.values[around.order][rows]
    if column.kind == "text":
        return 0.0
    pairs = [((comes & (era == e)).sum() * (~comes & (era == e)).sum(), era == e) for e in range(10)]
    weights = np.array([count for count, _ in pairs], np.float64)
    if not weights.any():
        return 0.0
    scores = np.array([auc_of(value[here], comes[here]) if count else 0.5 for count, here in pairs])
    mean = float(weights @ scores / weights.sum())
    return max(mean, 1 - mean)
