"""ADBench's tables at 0, 1, 10 and 100 % of labels, beside its published algorithms.

Seeds 1, 2 and 3 are the published splits; where labels are few, seven more show how much luck of the draw there is.
No detector was chosen on these tables, and each has one configuration for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from training.detectors import table_vae
from training.protocols import adbench_data, adbench_detectors
from training.protocols.adbench_data import LABELS, SEEDS, TEN, load, published, split, tables
from training.protocols.adbench_detectors import CHOSEN, with_all, with_few, without_labels
from training.protocols.adbench_report import Cells, goals, notes, rows
from training.protocols.pieces import Piece, in_pieces
from training.protocols.table import Table

F64 = npt.NDArray[np.float64]
MORE_SEEDS = tuple(range(1, 11))


def run(data: Path, *, quick: bool, seed: int, say: Callable[[str], None]) -> Table:
    """Fit every detector on every table and seed; the splits' own seeds are fixed by the benchmark.

    Raises
    ------
    SettingError
        The folder holds no such table, or one that cannot be read.
    """
    found = tables(data)
    chosen = SEEDS[:1] if quick else MORE_SEEDS
    pieces = [Piece(f"{name}, seed {s}", measure, (path, s)) for s in chosen for name, path in found.items()]
    answers = in_pieces("adbench", pieces, (adbench_data, adbench_detectors, table_vae), say)
    cells: Cells = {}
    for piece, answer in zip(pieces, answers, strict=True):
        name, at = piece.name.rsplit(", seed ", 1)
        for key, figures in answer.items():
            share, model = key.split(" ", 1)
            cells[float(share), model, name, int(at)] = (figures[0], figures[1])
    theirs = published(data)
    return Table(
        protocol="adbench",
        chosen=CHOSEN,
        rows=rows(cells, theirs, list(found)),
        headings=("ten_auc", "ten_ap", "others_auc", "others_ap", "of23_auc", "of23_ap"),
        goals=goals(cells, theirs, list(found)),
        notes=notes(list(found), quick, seed, bool(theirs)),
        details=_details(cells),
    )


def measure(path: Path, seed: int) -> dict[str, list[float]]:
    """Fit all detectors on one table under one seed: "share model" -> AUCROC and AUCPR of its test rows, in %."""
    part = split(*load(path), seed)
    outlook, scores = without_labels(part)
    by_share = {0.0: scores}
    for share in LABELS[1:3]:
        by_share[share] = with_few(part, outlook, share)
    if seed in SEEDS:
        by_share[1.0] = with_all(part)
    return {
        f"{share:g} {model}": _figures(part.test_y, score)
        for share, by_model in by_share.items()
        for model, score in by_model.items()
    }


def _figures(y: F64, score: F64) -> list[float]:
    return [100 * float(roc_auc_score(y, score)), 100 * float(average_precision_score(y, score))]


def _details(cells: Cells) -> dict[str, Any]:
    """Figures by table for pictures: share -> model -> table -> mean over its seeds."""
    out: dict[str, dict[str, dict[str, list[float]]]] = {}
    for share, model, name in sorted({key[:3] for key in cells}):
        values = np.mean([value for key, value in cells.items() if key[:3] == (share, model, name)], axis=0)
        out.setdefault(f"{share:g}", {}).setdefault(model, {})[name] = [round(float(v), 2) for v in values]
    return {"tables": out, "ten": list(TEN)}
