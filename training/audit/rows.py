"""Leaks of rows: twins on both sides of a cut in time, ids that come twice, an order that tells the verdict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.audit.alone import LEAST, auc_of
from training.audit.findings import Finding
from training.audit.table import I64, Column, Mask, Sheet

CUT = 0.7  # of the rows, in time
ORDER_AUC = 0.9
ERAS, ALONE = 20, 0.2  # of the time; share of the frauds


def check_twins(sheet: Sheet) -> list[Finding]:
    """Later rows that are equal to an earlier one in every column, more of them than chance gives."""
    cut = int(CUT * len(sheet.y))
    columns = [c for c in sheet.columns if c.kind != "time"]
    out = []
    if len(columns) >= 2:
        twin = _later_twins(columns, cut)
        chance = _later_twins(_shuffled(columns, sheet.y), cut)
        for told, here in (("rows", np.ones(len(twin), bool)), ("frauds", sheet.y[cut:])):
            seen, usual, of = int((twin & here).sum()), int((chance & here).sum()), int(here.sum())
            if seen >= 5 and seen >= (0.01 if told == "rows" else 0.06) * of and seen > 5 * usual + 5:
                what = f"{seen:,} of the {of:,} newest {told} are copies of older rows ({usual:,} would be by chance)"
                remedy = "Drop copies, and draw oversampled frauds after the split, from its training part"
                out.append(Finding("twins", "", what, {"copies": seen, "of": of, "by_chance": usual}, remedy))
                break
    for name, codes in sheet.ids.items():
        both = int(np.isin(codes[cut:], codes[:cut]).sum())
        if both >= max(5, 0.005 * (len(codes) - cut)):
            what = f"{both:,} of its values stand on both sides of a cut in time at {CUT:.0%} of the rows"
            remedy = "Keep one row per transaction, or split by it"
            out.append(Finding("twins", name, what, {"on_both_sides": both}, remedy))
    return out


def _hashes(columns: Sequence[Column]) -> I64:
    """A number for each row that equal rows share; missing equals missing."""
    mixed = np.zeros(len(columns[0].values), np.uint64)
    for column in columns:
        bits = np.where(np.isfinite(column.values), column.values + 0.0, np.nan).view(np.uint64)
        mixed = (mixed ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed.view(np.int64)


def _later_twins(columns: Sequence[Column], cut: int) -> Mask:
    hashes = _hashes(columns)
    return np.isin(hashes[cut:], hashes[:cut])


def _shuffled(columns: Sequence[Column], y: Mask) -> list[Column]:
    """Each column in an order of its own within either class: equal rows are then chance."""
    rng = np.random.default_rng(0)
    out = []
    for column in columns:
        values = column.values.copy()
        for here in (np.flatnonzero(y), np.flatnonzero(~y)):
            values[here] = values[rng.permutation(here)]
        out.append(Column(column.name, values, column.kind))
    return out


def check_order(sheet: Sheet) -> list[Finding]:
    """Frauds from times that have hardly a genuine row: whatever drifts with time tells them."""
    span = float(np.ptp(sheet.time))
    era = np.minimum((sheet.time - sheet.time[0]) / max(span, 1.0) * ERAS, ERAS - 1).astype(np.int64)
    frauds, rows = np.bincount(era, sheet.y, ERAS), np.bincount(era, minlength=ERAS)
    alone = (frauds >= 0.9 * rows) & (frauds >= 3)
    share = float(frauds[alone].sum() / sheet.y.sum())
    if share < ALONE or sheet.y.sum() < LEAST or sheet.y.mean() > 0.5:
        return []
    what = f"{share:.0%} of the frauds come from times in which there is hardly a genuine row"
    remedy = "Take frauds and genuine rows from the same days, and no time as a feature"
    return [Finding("order", sheet.roles["time"], what, {"share_of_frauds": share}, remedy)]


def order_note(sheet: Sheet) -> list[str]:
    """What to know of a file that is not in order of time and whose order tells the verdict."""
    by_place = auc_of(sheet.position.astype(np.float64), sheet.y)
    strength = max(by_place, 1 - by_place)
    if strength < ORDER_AUC or bool((np.diff(sheet.position) > 0).all()):
        return []
    return [
        f"the file is not in order of time, and the place in it tells frauds from genuine rows (AUC {strength:.3f}): "
        "sort it before rows are numbered, split or sampled by their order"
    ]
