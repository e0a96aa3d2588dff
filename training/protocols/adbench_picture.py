"""What a label is worth: figures against the share of anomalies that is labelled, ours beside the published."""

from __future__ import annotations

from pathlib import Path

from training.protocols.table import Row, Table

_SHARES = ("0%", "1%", "10%", "100%")
_LINES = {
    "ours": ("VAE", "VAE + forest", "VAE head", "few-label panel", "GBDT", "SVM"),
    "published": ("CatB", "DevNet", "XGBOD", "SVM", "GANomaly", "ECOD", "IForest"),
}


def draw(table: Table, path: Path) -> None:
    """Draw AUCROC and AUCPR, means over the ten tables and over the others, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (key, title) in enumerate(
        {
            "ten_auc": "ten tables, AUCROC",
            "ten_ap": "ten tables, AUCPR",
            "others_auc": "other tables, AUCROC",
            "others_ap": "other tables, AUCPR",
        }.items(),
        1,
    ):
        axes = figure.add_subplot(2, 2, place)
        for source, models in _LINES.items():
            for colour, model in enumerate(models):
                rows = [row for row in table.rows if row.source == source and row.model == model and key in row.figures]
                x = [_SHARES.index(row.setting.split()[0]) for row in rows]
                y = [row.figures[key] for row in rows]
                gaps = [_half(row, key) for row in rows]
                ours = source == "ours"
                axes.errorbar(
                    x, y, yerr=gaps, fmt="o-" if ours else "s:", alpha=1.0 if ours else 0.6, linewidth=2 if ours else 1,
                    label=model if ours else f"{model}, published", color=f"C{colour + (0 if ours else 3)}",
                )  # fmt: skip
        axes.set_xticks(range(4), _SHARES)
        axes.set(title=title, xlabel="anomalies labelled", ylabel="%")
        axes.grid(alpha=0.3)
        if place == 2:
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def _half(row: Row, key: str) -> float:
    low, high = row.intervals.get(key, (0.0, 0.0))
    return (high - low) / 2
