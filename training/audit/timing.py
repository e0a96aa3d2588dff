"""When things were known: labels before their time, labels counted before they arrived, columns filled in later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from training.audit.alone import auc_of
from training.audit.around import DAY, Around, some_entities
from training.audit.findings import Finding
from training.audit.table import F64, I64, Column, Mask, Sheet, as_times

SAME = 0.95  # rank correlation with a count of the frauds of an entity
_DELAYS = (0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 21.0, 30.0, 45.0, 60.0, 90.0)
_WIDTHS = (1.0, 7.0, 14.0, 28.0, 30.0, 90.0, 1e5)
_MOST_ROWS = 60_000
_FIX_LABELS = "Use the time at which the verdict was known, not that of the transaction"


def check_arrival(sheet: Sheet) -> list[Finding]:
    """Verdicts that were known before their transactions, or all at the same moment."""
    if sheet.label_time is None:
        return []
    lag = (sheet.label_time - sheet.time)[sheet.y]
    lag = lag[np.isfinite(lag)]
    if not len(lag):
        return []
    name, early, at_once = sheet.roles["label_time"], float((lag < 0).mean()), float((lag == 0).mean())
    if early >= 0.005:
        what = f"{early:.1%} of the frauds were known before their transaction, by up to {-lag.min() / DAY:,.1f} days"
        return [Finding("label_timing", name, what, {"share_before": early}, _FIX_LABELS)]
    if at_once >= 0.5:
        what = f"{at_once:.0%} of the frauds were known at the very moment of their transaction"
        return [Finding("label_timing", name, what, {"share_at_once": at_once}, _FIX_LABELS)]
    return []


def check_known_labels(sheet: Sheet, delay_days: float | None) -> list[Finding]:
    """Columns that count or average an entity's frauds sooner than their labels arrive."""
    findings: dict[str, Finding] = {}
    for name, entity in sheet.entities.items():
        around = Around.of(some_entities(entity, _MOST_ROWS), sheet.time)
        y = sheet.y[around.order].astype(np.float64)
        rows = np.flatnonzero(_near_fraud(around, y))
        if y.sum() < 20 or len(rows) < 100:
            continue
        late = None if sheet.label_time is None else sheet.label_time[around.order]
        counts = _counts(around, y, late, rows, sorted({*_DELAYS, delay_days or 0.0}))
        for column in sheet.columns:
            if column.kind == "number" and column.name not in findings:
                values = column.values[around.order][rows]
                findings |= _sooner(column.name, name, values, counts, delay_days)
    return list(findings.values())


Counts = dict[float, list[F64]]


def _near_fraud(around: Around, y: F64) -> Mask:
    """Rows with a fraud of their entity before them, and as many others, that the ranks are not all ties."""
    hit = around.total(y, around.begin, around.here) > 0
    rest = np.flatnonzero(~hit)
    share = min(1.0, hit.sum() / max(len(rest), 1))
    hit[rest] = np.random.default_rng(0).random(len(rest)) < share
    return hit


def _counts(around: Around, y: F64, late: F64 | None, rows: I64, delays: Sequence[float]) -> Counts:
    """Ranks of frauds known by a delay (days; -1: by the labels' own times), in windows, as counts and as rates."""
    out: Counts = {}
    for delay in delays:
        high = np.minimum(around.until(around.time - delay * DAY, inclusive=delay > 0), around.here)
        for width in _WIDTHS:
            low = np.minimum(around.until(around.time - (delay + width) * DAY), high)
            hits, seen = around.total(y, low, high)[rows], (high - low)[rows]
            out.setdefault(delay, []).extend([_unit(hits), _unit(hits / np.maximum(seen, 1))])
    if late is not None:
        out[-1.0] = _arrived(around, y, late, rows)
    return out


def _arrived(around: Around, y: F64, late: F64, rows: I64) -> list[F64]:
    """Frauds whose own label had arrived, counted over the entity's whole past."""
    frauds = np.flatnonzero((y > 0) & np.isfinite(late))
    hits = np.zeros(len(y))
    arrived = late - around.origin
    for fraud in frauds.tolist():
        later = slice(fraud + 1, around.stop[fraud])
        hits[later] += arrived[fraud] <= around.time[later]
    seen = (around.here - around.begin)[rows]
    return [_unit(hits[rows]), _unit(hits[rows] / np.maximum(seen, 1))]


def _sooner(name: str, entity: str, values: F64, counts: Counts, delay_days: float | None) -> dict[str, Finding]:
    given = _unit(np.where(np.isfinite(values), values, -1e18))
    if not given.any():
        return {}
    strength = {delay: max(abs(float(given @ one)) for one in many) for delay, many in counts.items()}
    allowed = 1e-9 if delay_days is None else delay_days
    legal = max(value for delay, value in strength.items() if delay < 0 or delay >= allowed)
    best = max(strength, key=lambda delay: strength[delay])
    # a count that is exact differs from a delayed one only in the days after a fraud: compare what is left to explain
    nearer = strength[best] >= legal + 0.03 or 1 - strength[best] < 0.25 * (1 - legal) - 1e-6
    if strength[best] < SAME or best < 0 or best >= allowed or not nearer:
        return {}
    what = (
        f"it is the frauds of the same {entity} counted {best:g} days after they happen (rank correlation "
        f"{strength[best]:.3f}; {legal:.3f} with those known by then)"
    )
    remedy = f"Count a fraud from the day its label arrives{'' if delay_days is not None else ' (--delay-days)'}"
    return {name: Finding("label_timing", name, what, {"rank_correlation": strength[best]}, remedy)}


def _unit(values: F64) -> F64:
    ranks = rankdata(values)
    ranks -= ranks.mean()
    size = float(np.linalg.norm(ranks))
    return ranks / size if size > 0 else np.zeros_like(ranks)


def check_times(sheet: Sheet) -> list[Finding]:
    """Columns that are times after the event, and columns that are filled in later."""
    out: list[Finding] = []
    for column in sheet.columns:
        found = _after(sheet, column)
        out += found or _filled_later(sheet, column)
    return out


def _after(sheet: Sheet, column: Column) -> list[Finding]:
    times = as_times(column) if column.kind != "number" else _epochs(sheet, column)
    if times is None:
        return []
    lag = times - sheet.time
    known = np.isfinite(lag)
    after = known & (lag > 5 * 60_000)
    if after.sum() < max(10, 0.01 * known.sum()):
        return []
    lags = lag[after]
    local = (np.abs(lags) <= 14 * 3.6e6) & (lags % 900_000 == 0)
    far = np.median(lags) > 180 * DAY and auc_of(known.astype(np.float64), sheet.y) < 0.6
    if local.mean() >= 0.99 or far:  # the merchant's local time; a date of expiry
        return []
    median = float(np.median(lags))
    long = f"{median / DAY:,.1f} days" if median >= DAY else f"{median / 60_000:,.0f} minutes"
    what = f"{after.sum():,} of its {known.sum():,} times lie after the transaction, by {long} in the median"
    remedy = "What is told later is not known at the decision: leave it out"
    return [Finding("time_shift", column.name, what, {"rows_after": float(after.sum())}, remedy)]


def _epochs(sheet: Sheet, column: Column) -> F64 | None:
    """A numeric column in milliseconds where it reads like times around those of the table."""
    seen = column.values[np.isfinite(column.values)]
    if len(seen) < 10 or sheet.time.max() < 1e11:
        return None
    for scale in (1e3, 1.0):
        around = (seen * scale > sheet.time.min() - 1825 * DAY) & (seen * scale < sheet.time.max() + 730 * DAY)
        if around.mean() > 0.99:
            return column.values * scale
    return None


def _filled_later(sheet: Sheet, column: Column) -> list[Finding]:
    filled = np.isfinite(column.values)
    cut = int(0.95 * len(filled))
    early, newest = float(filled[: int(0.8 * len(filled))].mean()), float(filled[cut:].mean())
    if len(filled) - cut < 50 or early < 0.3 or newest > 0.1 * early:
        return []
    what = f"it is filled on {early:.0%} of the older rows and on {newest:.1%} of the newest: it is filled in later"
    remedy = "Take its value as it stood at the decision, or leave it out"
    return [Finding("time_shift", column.name, what, {"filled_early": early, "filled_newest": newest}, remedy)]
