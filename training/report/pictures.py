"""Pictures of results: bars with their intervals, and reliability diagrams."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_COLOURS = {"ours": "tab:blue", "published": "tab:gray", "control": "tab:orange", "yardstick": "tab:olive"}
_MOST = 24


def bars(rows: Sequence[Mapping[str, Any]], heading: str) -> bytes | None:
    """Draw one figure of every row, the best 24, with intervals, as PNG; None when fewer than two have it."""
    from matplotlib.figure import Figure

    told = [row for row in rows if isinstance(row["figures"].get(heading), int | float)]
    if len(told) < 2:
        return None
    told = sorted(told, key=lambda row: -row["figures"][heading])[:_MOST][::-1]
    figure = Figure(figsize=(9, 0.9 + 0.3 * len(told)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(told):
        value, interval = row["figures"][heading], (row.get("intervals") or {}).get(heading)
        axes.barh(place, value, color=_COLOURS.get(row.get("source", "ours"), "tab:blue"), height=0.7)
        if interval:
            axes.plot(interval, [place, place], color="black", linewidth=1.2, marker="|")
    names = [f"{row['model']}, {row['setting']}"[:70] for row in told]
    axes.set_yticks(range(len(told)), names, fontsize=8)
    low = min(min([row["figures"][heading], *((row.get("intervals") or {}).get(heading) or [])]) for row in told)
    high = max(max([row["figures"][heading], *((row.get("intervals") or {}).get(heading) or [])]) for row in told)
    axes.set_xlim(min(0.0, low * 1.02), max(high * 1.02, 1e-9))
    axes.set_title(heading.replace("_", " "))
    present = dict.fromkeys(row.get("source", "ours") for row in told)
    handles = [axes.barh(0, 0, color=_COLOURS.get(source, "tab:blue")) for source in present]
    axes.legend(handles, list(present), loc="lower right", fontsize=8)
    return _png(figure)


def reliability(found: Mapping[str, Sequence[Mapping[str, float]]]) -> bytes:
    """Draw what was said against what was seen, one colour a name, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5.2), layout="constrained")
    axes = figure.subplots()
    lowest = 1.0
    for name, bins in found.items():
        points = [(part["said"], part["seen"]) for part in bins if part["said"] > 0 and part["seen"] > 0]
        if points:
            lowest = min(lowest, *(min(point) for point in points))
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, linewidth=1, label=name)
    axes.plot([lowest, 1], [lowest, 1], color="grey", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="probability said", ylabel="share of frauds seen")
    axes.legend(fontsize=8)
    return _png(figure)


def diagrams(value: Any, path: str = "") -> Iterator[tuple[str, list[dict[str, float]]]]:
    """Every list of {"said", "seen"} in a result, with the path to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from diagrams(inner, f"{path} {key}".strip())
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        if all({"said", "seen"} <= one.keys() and None not in one.values() for one in value):
            yield path.removesuffix(" bins"), value
        else:
            for number, inner in enumerate(value):
                yield from diagrams(inner, f"{path} {inner.get('setting', number)}")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()
