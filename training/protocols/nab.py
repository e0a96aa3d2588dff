"""The Numenta Anomaly Benchmark: an LSTM that learns online, judged with NAB's threshold and with one fixed before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from training.detectors.base import F64
from training.forecast import network, online
from training.forecast.anomaly import score_series
from training.protocols import nab_choice, nab_data
from training.protocols.nab_choice import LEARNING, SCORING, THRESHOLD
from training.protocols.nab_data import Nab, read_nab
from training.protocols.nab_scoring import PROFILES, Sweep
from training.protocols.nab_vus import PUBLISHED, TSB_FILES, tsb_vus
from training.protocols.pieces import Piece, in_pieces
from training.protocols.table import Row, Source, Table

SEEDS = 4
GOALS = {"oracle": 71.0, "fixed": 65.0}
OURS = "LSTM + records"
_SMOOTH = 10


def run(data: Path, *, quick: bool, seed: int, say: Callable[[str], None]) -> Table:
    """Score every file once per seed and judge the scores.

    Parameters
    ----------
    data
        Folder with NAB; see `training.protocols.nab_data.read_nab`.
    quick
        Every sixth file and one seed.
    seed
        The first of the seeds.
    say
        Takes progress.
    """
    nab = read_nab(data, quick)
    seeds = list(range(seed, seed + (1 if quick else SEEDS)))
    say(f"{len(nab.files)} series, {len(seeds)} seeds; a seed takes one to two minutes of a core for all 58")
    pieces = [Piece(f"seed {one}", residuals_of, (data, quick, one, _digest(nab))) for one in seeds]
    answers = in_pieces("nab", pieces, (online, network, nab_choice, nab_data), say)
    residuals = [[np.array(one, np.float64) for one in answer["residuals"]] for answer in answers]
    return judge(nab, _prepared(nab), residuals, seeds, quick)


def residuals_of(data: Path, quick: bool, seed: int, digest: str) -> dict[str, Any]:
    """Run one seed's networks over every series; residuals to six digits.

    Parameters
    ----------
    data, quick, seed
        As for `run`.
    digest
        Of the values, so that an answer kept for other values is not taken for this one.
    """
    del digest
    found = online.online_residuals(_prepared(read_nab(data, quick)), LEARNING, seed)
    return {"residuals": [np.round(one, 6).tolist() for one in found]}


def _digest(nab: Nab) -> str:
    joined = hashlib.sha256()
    for file in nab.files:
        joined.update(file.name.encode() + file.values.tobytes() + file.hours.tobytes())
    return joined.hexdigest()[:16]


def _prepared(nab: Nab) -> list[online.Prepared]:
    return [online.prepare(file.values, file.hours, file.marked.probation) for file in nab.files]


def judge(
    nab: Nab, prepared: list[online.Prepared], residuals: list[list[F64]], seeds: list[int], quick: bool
) -> Table:
    """Score the residuals of each seed and make the table."""
    by_seed = [
        [score_series(p.target, r, p.probation, SCORING) for p, r in zip(prepared, found, strict=True)]
        for found in residuals
    ]
    without = [score_series(p.target, np.full(len(p.target), np.nan), p.probation, SCORING) for p in prepared]
    smooth = [[_smoothed(r) for r in found] for found in residuals]
    each = [_figures(nab, scores) for scores in by_seed]
    mean = {name: float(np.mean([figures[name] for figures in each])) for name in each[0]}
    spread = {name: _interval([figures[name] for figures in each]) for name in each[0]} if len(each) > 1 else {}
    together = [np.mean([scores[k] for scores in by_seed], axis=0) for k in range(len(nab.files))]
    rows = [
        Row(OURS, f"mean of {len(seeds)} seeds", "ours", mean, spread, f"fixed threshold {THRESHOLD:g}"),
        Row(OURS, "scores of all seeds averaged", "ours", _figures(nab, together)),
        Row("value records alone", "no forecaster", "control", _figures(nab, without)),
        *_tsb_rows(nab, by_seed[0], smooth[0]),
        *_published(nab),
    ]
    return Table(
        protocol="nab",
        chosen={"learning": asdict(LEARNING), "scoring": asdict(SCORING), "threshold": THRESHOLD},
        rows=rows,
        headings=("standard", "low FP", "low FN", "fixed standard", "fixed low FP", "fixed low FN", "VUS-PR"),
        goals=_goals(mean),
        notes=_notes(nab, quick),
        details={"seeds": seeds, "by_seed": each, "files": [file.name for file in nab.files]},
    )


def _figures(nab: Nab, scores: list[F64]) -> dict[str, float]:
    marked = [file.marked for file in nab.files]
    out: dict[str, float] = {}
    for name, profile in PROFILES.items():
        sweep = Sweep(marked, scores, profile)
        best, threshold = sweep.best()
        out[name], out[f"fixed {name}"] = best, sweep.at(THRESHOLD)
        if name == "standard":
            out["best threshold"] = threshold
    return out


def _published(nab: Nab) -> list[Row]:
    marked = [file.marked for file in nab.files]
    rows = []
    for detector, scores in nab.scores.items():
        again = {name: Sweep(marked, scores, profile).best()[0] for name, profile in PROFILES.items()}
        rows.append(Row(detector, "its published scores, our scorer", "yardstick", again))
    source: Source = "published"
    rows += [Row(name, "as published", source, figures) for name, figures in nab.results.items() if name != "null"]
    return sorted(rows, key=lambda row: (row.source, -row.figures.get("standard", 0.0)), reverse=False)


def _smoothed(residuals: F64) -> F64:
    """Mean residual of the last ten points, a score for every point rather than an alarm."""
    filled = np.nan_to_num(residuals)
    sums = np.cumsum(np.concatenate((np.zeros(_SMOOTH), filled)))
    return (sums[_SMOOTH:] - sums[:-_SMOOTH]) / _SMOOTH


def _tsb_rows(nab: Nab, alarms: list[F64], smooth: list[F64]) -> list[Row]:
    """VUS-PR on the files that TSB-AD took, with the standard error over files; our first seed."""
    rows = []
    kinds: list[tuple[str, Source, list[F64]]] = [
        (OURS, "ours", alarms),
        ("LSTM residuals, mean of 10 points", "ours", smooth),
        *((name, "yardstick", nab.scores[name]) for name in ("ARTime", "numenta") if name in nab.scores),
    ]
    for name, source, scores in kinds:
        found = np.array(list(tsb_vus(nab.files, scores).values()))
        if len(found) > 1:
            error = float(found.std(ddof=1) / np.sqrt(len(found)))
            setting = f"{len(found)} series of TSB-AD"
            note = f"standard error {error:.3f} over series"
            rows.append(Row(name, setting, source, {"VUS-PR": float(found.mean())}, note=note))
    if rows and len(found) == len(TSB_FILES):
        rows += [Row(name, "14 series of TSB-AD", "published", {"VUS-PR": value}) for name, value in PUBLISHED.items()]
    return rows


def _goals(mean: dict[str, float]) -> list[dict[str, Any]]:
    pairs = (
        ("standard profile, NAB's threshold", "standard", GOALS["oracle"]),
        (f"standard profile, threshold {THRESHOLD:g} fixed beforehand", "fixed standard", GOALS["fixed"]),
    )
    return [
        {"goal": f"{text} >= {goal:g}", "reached": round(mean[name], 2), "met": mean[name] >= goal}
        for text, name, goal in pairs
    ]


def _notes(nab: Nab, quick: bool) -> list[str]:
    notes = [
        "NAB chooses its one threshold with the labels; 'fixed' uses a threshold chosen on series that we plant.",
        "The recipe's shape was known from an earlier exploration that had seen NAB's labels (about 400 combinations); "
        "nothing was chosen on them here.",
        "'low FP' and 'random' may exceed the published figure by a little: all thresholds are tried here.",
    ]
    if quick:
        notes.append(f"Quick: {len(nab.files)} files and one seed; not comparable with published figures.")
    return notes


def _interval(values: list[float]) -> tuple[float, float]:
    half = 1.96 * float(np.std(values, ddof=1)) / float(np.sqrt(len(values)))
    return float(np.mean(values)) - half, float(np.mean(values)) + half
