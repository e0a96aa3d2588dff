"""Draws the README's pictures from a demo's summary: latency of alerts, and scores of honest and fraudulent rows.

usage: python -m benchmarks.pictures .run/demo/summary.json docs/images
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

BLUE, RED, GREY = "#2b6cb0", "#c53030", "#4a5568"


def latency(summary: dict[str, Any], path: Path) -> None:
    """Share of alerts that are durable within so many milliseconds of their record."""
    histogram = summary["latency_histogram"]
    counts = np.array(histogram["counts"], float)
    share = np.cumsum(counts) / max(counts.sum(), 1)
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    axes.step(histogram["edges"][1:], share, where="post", color=BLUE)
    for name in ("p50", "p99"):
        axes.axvline(summary["latency_ms"][name], color=GREY, linestyle=":", linewidth=1)
        axes.text(summary["latency_ms"][name], 0.03, f" {name} {summary['latency_ms'][name]:.0f} ms", color=GREY)
    axes.set(
        xscale="log",
        xlabel="ms from the record in the log to its alert in the log",
        ylabel="share of alerts",
        ylim=(0, 1.02),
    )
    axes.set_title(f"{summary['alerts']:,} alerts at {summary['throughput_tps']:,.0f} transactions a second")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def scores(summary: dict[str, Any], path: Path) -> None:
    """Scores of honest and of fraudulent transactions, on a logarithmic count."""
    histogram = summary["score_histogram"]
    edges = np.array(histogram["edges"])
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    width = np.diff(edges)
    axes.bar(
        edges[:-1], np.maximum(histogram["honest"], 0.5), width, align="edge", color=BLUE, alpha=0.55, label="honest"
    )
    axes.bar(edges[:-1], np.maximum(histogram["fraud"], 0.5), width, align="edge", color=RED, alpha=0.6, label="fraud")
    if summary["review_threshold"]:
        axes.axvline(summary["review_threshold"], color=GREY, linestyle=":", label="review threshold")
    axes.set(yscale="log", xlabel="calibrated score of the panel", ylabel="transactions", xlim=(0, 1))
    axes.legend(frameon=False)
    plan = summary["plan"]
    axes.set_title(
        f"{summary['transactions']:,} transactions of a bank the models never saw, {plan['prevalence_bp']} bp fraud"
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(summary_file: Path, folder: Path) -> None:
    """Draw both pictures into a folder."""
    summary = json.loads(summary_file.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    latency(summary, folder / "latency.png")
    scores(summary, folder / "scores.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
