"""Pictures of a generator: curves, real beside generated, the ring and how often it converged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.gan.build import Material
from training.gan.ring import MODES, RADIUS, Run, centres
from training.gan.store import Model

_REAL, _MADE = "#1f5f8b", "#d1495b"


def _axes(rows: int, columns: int, height: float = 2.8) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, columns, figsize=(3.4 * columns, height * rows), squeeze=False)
    return figure, axes


def _write(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def draw_report(model: Model, material: Material, told: dict[str, Any], folder: Path, seed: int) -> None:
    """Draw ``gan_training.png`` and ``gan_quality.png``."""
    _draw_curves(model.curves, folder / "gan_training.png")
    _draw_quality(model, material, told, folder / "gan_quality.png", seed)


def _draw_curves(curves: dict[str, list[float]], path: Path) -> None:
    figure, axes = _axes(1, 4)
    parts = (
        (("critic",), "critic's loss"),
        (("generator",), "generator's loss"),
        (("gradient_norm",), "gradient norm (goal 1)"),
        (("moments",), "distance of moments"),
    )
    for axis, (names, title) in zip(axes[0], parts, strict=True):
        for name in names:
            axis.plot(curves["step"], curves[name], color=_REAL, linewidth=0.9)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("update of the generator", fontsize=8)
    axes[0][3].set_yscale("log")
    _write(figure, path)


def _draw_quality(model: Model, material: Material, told: dict[str, Any], path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    held = material.held_out_windows(16)
    held = held.take(np.sort(rng.permutation(len(held))[:2000]))
    made = model.sampler.draw(held.habits, held.fraud, held.before, rng)
    figure, axes = _axes(1, 4)
    numbers = [material.coder.numbers(x.reshape(-1, x.shape[-1])) for x in (held.steps, made)]
    for axis, (at, title) in zip(
        axes[0], ((0, "log10 gap, s"), (1, "hour in the card's own"), (2, "log amount")), strict=False
    ):
        for values, color, label in zip(numbers, (_REAL, _MADE), ("held out", "generated"), strict=True):
            column = np.log10(values[at] / 1000) if at == 0 else values[at]
            axis.hist(column, 60, density=True, histtype="step", color=color, label=label)
        axis.set_title(title, fontsize=9)
    axes[0][0].legend(fontsize=7)
    names = list(told["quality"]["generated"]["ks"].items())[:12][::-1]
    other = told["quality"]["other_half"]["ks"]
    axis = axes[0][3]
    axis.barh([name for name, _ in names], [value for _, value in names], color=_MADE, label="generated")
    axis.barh(
        [name for name, _ in names], [other.get(name, 0.0) for name, _ in names], color=_REAL, label="other real half"
    )
    axis.set_title("largest KS after the kernels", fontsize=9)
    axis.tick_params(axis="y", labelsize=6)
    axis.legend(fontsize=7)
    _write(figure, path)


def draw_ring(runs: list[Run], folder: Path) -> None:
    """Draw ``gan_ring.png``: samples, modes and curves of each loss and optimiser."""
    kinds = list(dict.fromkeys((run.loss, run.optimizer) for run in runs))
    figure, axes = _axes(4, len(kinds), 2.5)
    for column, kind in zip(axes.T, kinds, strict=True):
        part = [run for run in runs if (run.loss, run.optimizer) == kind]
        first = part[0]
        column[0].scatter(*first.samples[:1500].T, s=1, color=_MADE)
        column[0].scatter(*centres().T, s=30, facecolors="none", edgecolors=_REAL)
        column[0].set_xlim(-1.6 * RADIUS, 1.6 * RADIUS)
        column[0].set_ylim(-1.6 * RADIUS, 1.6 * RADIUS)
        converged = sum(run.converged for run in part)
        column[0].set_title(f"{kind[0]}, {kind[1]}: {converged} of {len(part)} converged", fontsize=8)
        for run in part:
            rounds = run.curves["round"]
            column[1].plot(rounds, run.curves["modes"], color=_REAL, linewidth=0.6, alpha=0.6)
            column[2].plot(rounds, run.curves["accuracy"], color=_REAL, linewidth=0.6, alpha=0.6)
            column[3].plot(rounds, run.curves["gradient_norm"], color=_REAL, linewidth=0.6, alpha=0.6)
        column[1].set_ylim(-0.3, MODES + 0.3)
        column[2].set_ylim(0.3, 1.02)
        column[3].set_yscale("log")
    for axis, title in zip(axes[:, 0], ("samples", "modes found", "critic's accuracy", "gradient norm"), strict=True):
        axis.set_ylabel(title, fontsize=8)
    _write(figure, folder / "gan_ring.png")
