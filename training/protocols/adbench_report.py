"""Rows, goals and notes of the anomaly benchmark: means over tables, intervals over seeds, published rows beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student

from training.protocols.adbench_data import LABELS, LEFT_OUT, SEEDS, TEN, Published, published_mean
from training.protocols.adbench_detectors import HEADLINE
from training.protocols.table import Row

Cells = dict[tuple[float, str, str, int], tuple[float, float]]
_GROUPS = ("ten", "others", "of23")
_SHOWN = {
    0.0: ("ECOD", "IForest", "PCA", "CBLOF", "OCSVM", "DeepSVDD"),
    0.01: ("CatB", "DevNet", "PReNet", "XGBOD", "GANomaly", "SVM"),
    0.1: ("CatB", "XGBOD", "DevNet", "PReNet", "GANomaly", "SVM"),
    1.0: ("CatB", "XGBOD", "RF", "LGB", "SVM"),
}
_CONTROLS = {"isolation forest", "extra trees", "boosting"}


def group(name: str, found: Sequence[str]) -> list[str]:
    """Tables of a group that are there: the ten of the goals, all others, or the others without two large ones."""
    if name == "ten":
        return [table for table in found if table in TEN]
    others = [table for table in found if table not in TEN]
    return others if name == "others" else [table for table in others if table not in LEFT_OUT]


def means(cells: Cells, share: float, model: str, names: Sequence[str], seeds: Sequence[int]) -> np.ndarray[Any, Any]:
    """Mean over tables by seed, (seeds, 2)."""
    return np.array([np.mean([cells[share, model, name, seed] for name in names], axis=0) for seed in seeds])


def rows(cells: Cells, theirs: Published, found: Sequence[str]) -> list[Row]:
    """Our rows and the published ones, setting by setting."""
    out: list[Row] = []
    for share in LABELS:
        models = dict.fromkeys(key[1] for key in cells if key[0] == share)
        out.extend(_ours(cells, share, model, found) for model in models)
        by_group = {g: published_mean(theirs, share, group(g, found)) for g in _GROUPS}
        for algorithm in _SHOWN[share]:
            figures = {}
            for g in _GROUPS:
                if algorithm in by_group[g]:
                    figures[f"{g}_auc"], figures[f"{g}_ap"] = by_group[g][algorithm]
            if figures:
                out.append(Row(algorithm, f"{share:.0%} of labels", "published", figures, note=""))
    return out


def _ours(cells: Cells, share: float, model: str, found: Sequence[str]) -> Row:
    seeds = sorted({key[3] for key in cells if key[:2] == (share, model)})
    figures, intervals, same = {}, {}, []
    for g in _GROUPS:
        names = group(g, found)
        if not names:
            continue
        by_seed = means(cells, share, model, names, seeds)
        for k, name in enumerate((f"{g}_auc", f"{g}_ap")):
            figures[name] = float(by_seed[:, k].mean())
            if len(seeds) > 2:
                half = student.ppf(0.975, len(seeds) - 1) * by_seed[:, k].std(ddof=1) / len(seeds) ** 0.5
                intervals[name] = (figures[name] - half, figures[name] + half)
        if set(SEEDS) < set(seeds):
            own = means(cells, share, model, names, SEEDS).mean(axis=0)
            same.append(f"{g} {own[0]:.1f}/{own[1]:.1f}")
    note = f"on the published seeds 1, 2, 3 alone: {', '.join(same)}" if same else ""
    source = "control" if model in _CONTROLS else "ours"
    return Row(model, f"{share:.0%} of labels, {len(seeds)} seeds", source, figures, intervals, note)  # type: ignore[arg-type]


def goals(cells: Cells, theirs: Published, found: Sequence[str]) -> list[dict[str, Any]]:
    """Hold our rows against what was to be reached; only when all tables of a goal are there."""
    ten, others = group("ten", found), group("others", found)
    out = []

    def best(share: float, model: str, names: Sequence[str]) -> tuple[float, float]:
        seeds = sorted({key[3] for key in cells if key[:2] == (share, model)})
        auc, ap = means(cells, share, model, names, seeds).mean(axis=0)
        return float(auc), float(ap)

    def goal(text: str, reached: tuple[float, float], met: bool) -> None:
        out.append({"goal": text, "reached": f"{reached[0]:.1f} / {reached[1]:.1f}", "met": met})

    if len(ten) == len(TEN):
        for share, model, auc, ap in ((0.0, "VAE", 83.5, 49.0), (1.0, "GBDT", 97.5, 85.0), (1.0, "SVM", 95.7, 82.8)):
            got = best(share, model, ten)
            goal(f"ten, {share:.0%}: {model} at least {auc} / {ap}", got, got[0] >= auc and got[1] >= ap)
        for share, auc, ap in ((0.01, 89.2, 62.7), (0.1, 94.4, 75.9)):
            got = best(share, HEADLINE[share], ten)
            goal(f"ten, {share:.0%}: {HEADLINE[share]} at least {auc} or {ap}", got, got[0] >= auc or got[1] >= ap)
    if len(others) == 25:
        for g in ("others", "of23"):
            names = group(g, found)
            for share, rival, model in ((0.0, "IForest", "VAE + forest"), (0.1, "CatB", HEADLINE[0.1])):
                bar = published_mean(theirs, share, names).get(rival)
                if bar is not None:
                    got = best(share, model, names)
                    text = f"{len(names)} others, {share:.0%}: {model} at least {rival} {bar[0]:.1f} / {bar[1]:.1f}"
                    goal(text, got, got[0] >= bar[0] and got[1] >= bar[1])
    return out


def notes(found: Sequence[str], quick: bool, seed: int, has_published: bool) -> list[str]:
    """What a reader must know."""
    out = [
        "mean over tables of AUCROC / AUCPR of test rows in %; intervals over seeds (Student), of the mean over tables",
        "named beforehand: VAE without labels (VAE + forest where forests win), few-label panel at 1 and 10 %",
        f"--seed {seed} is not used: the benchmark fixes its splits by seeds of its own",
    ]
    if quick:
        out.append("--quick: seed 1 alone, so no intervals")
    if not has_published:
        out.append(
            "published figures (adbench_published*.csv.gz) are not beside the tables, so no row and goal needs them"
        )
    if len(group("ten", found)) < len(TEN):
        out.append(f"of the ten tables {len(group('ten', found))} are there: their means are not comparable")
    return out
