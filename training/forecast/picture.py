"""The fan: what was, and what may come."""

from __future__ import annotations

from pathlib import Path

from training.detectors.base import F64
from training.forecast.measures import LEVELS, MEDIAN
from training.forecast.series import Series

_BANDS = ((0.05, 0.95, 0.15), (0.1, 0.9, 0.2), (0.25, 0.75, 0.3))


def draw_fan(series: Series, quantiles: F64, path: Path, shown: int) -> None:
    """Draw the last rows and the quantiles of the next steps, (H, Q), into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    times = series.times[-shown:]
    axes.plot(times, series.values[-shown:], color="#1f2a44", linewidth=1.2, label=series.name)
    dates = series.times[-1:].append(series.after(len(quantiles)))
    last = float(series.values[-1])
    for low, high, alpha in _BANDS:
        edges = [[last, *quantiles[:, int(abs(LEVELS - level).argmin())].tolist()] for level in (low, high)]
        axes.fill_between(
            dates, edges[0], edges[1], color="#c2571a", alpha=alpha, linewidth=0, label=f"{high - low:.0%}"
        )
    axes.plot(dates, [last, *quantiles[:, MEDIAN].tolist()], color="#c2571a", linewidth=1.4, label="median")
    axes.set_ylabel(series.name)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    figure.autofmt_xdate(rotation=0, ha="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
