"""The demo's verdict: what was lost, what was told, how well, how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from rich.table import Table

from stream.cliutil import emit_json
from stream.demo.figures import Stream, best_single, by_case, by_story
from stream.demo.judge import Expected, Told, expect, read_truth, told
from stream.demo.topic import read_all
from stream.features import FEATURE_NAMES

if TYPE_CHECKING:
    from stream.demo.run import Demo, Ran

SCORE_EDGES = [round(i / 40, 3) for i in range(41)]
LATENCY_EDGES_MS = [
    0.0,
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    15,
    20,
    25,
    30,
    40,
    50,
    75,
    100,
    150,
    200,
    300,
    500,
    1e3,
    2e3,
    5e3,
]


def conclude(demo: Demo, ran: Ran) -> bool:
    """Judge the run, print the summary, write summary.json.

    Returns
    -------
    bool
        Nothing lost, nothing extra, nothing twice, and the worker left cleanly.
    """
    demo.say("judging: recomputing every decision from the topic with an independent client …")
    source = read_all(ran.bootstrap, ran.settings.topics.transactions)
    seen = told(ran.bootstrap, ran.settings)
    expected = expect(ran.settings, source, ran.warm_until, seen)
    summary = _delivery(expected, seen) | _speed(ran, source, seen)
    summary |= _quality(ran, source, expected, seen)
    told_of = ("bank", "seed", "cards", "prevalence_bp", "warmup_days", "live_days", "speed")
    summary["plan"] = {name: getattr(demo.plan, name) for name in told_of}
    path = demo.plan.directory / "summary.json"
    emit_json(summary, path)
    demo.console.print(_table(summary))
    demo.console.print(f"summary: {path}", highlight=False)
    clean = ran.worker_code in (0, None)
    return clean and not any(summary[key] for key in ("lost", "extra", "duplicates"))


def _delivery(expected: Expected, seen: Told) -> dict[str, Any]:
    alerts, dead = set(seen.alerts), seen.dead
    return {
        "transactions": len(expected.places) + len(expected.dead),
        "alerts": len(alerts),
        "dead_letters": len(dead),
        "lost": len(expected.alerts - alerts) + len(expected.dead - dead),
        "either_way": len(expected.borderline),
        "extra": len(alerts - expected.alerts - expected.borderline) + len(dead - expected.dead),
        "duplicates": seen.repeats + seen.dead_repeats,
    }


def _speed(ran: Ran, source: dict[int, list[Any]], seen: Told) -> dict[str, Any]:
    sent = {(p, r.offset): r.timestamp for p, records in source.items() for r in records}
    latency = np.array([seen.appended[place] - sent[place] for place in seen.alerts], np.float64)
    quantiles = np.percentile(latency, [50, 99]) if len(latency) else np.zeros(2)
    live = [r.timestamp for p, records in source.items() for r in records if r.offset >= ran.warm_until[p]]
    seconds = max((max(live) - min(live)) / 1000, 1e-3) if live else 1.0
    return {
        "throughput_tps": len(live) / seconds,
        "latency_ms": {"p50": float(quantiles[0]), "p99": float(quantiles[1])},
        "latency_histogram": _histogram(latency, LATENCY_EDGES_MS),
        "first_alert_seconds": ran.first_alert_seconds,
    }


def _quality(ran: Ran, source: dict[int, list[Any]], expected: Expected, seen: Told) -> dict[str, Any]:
    truth = read_truth(ran.truth)
    by_place = {(p, r.offset): r.value for p, records in source.items() for r in records}
    rows, kept, alerted, taken = [], [], [], set()
    for index, place in enumerate(expected.places):
        name = msgspec.json.decode(by_place[place], type=_Named).transaction_id
        if name in truth and name not in taken:
            taken.add(name)
            rows.append(truth[name])
            kept.append(index)
            alerted.append(place in seen.alerts)
    stream = Stream.of(rows, ran.settings.decision.case_hours)
    told_mask = np.array(alerted, np.bool_)
    panel = by_case(stream, told_mask)
    single = best_single(stream, expected.features[kept], FEATURE_NAMES, int(panel["alert_cases"]))
    scores = expected.scores[kept]
    histogram = {"edges": SCORE_EDGES, "honest": _counts(scores[~stream.fraud]), "fraud": _counts(scores[stream.fraud])}
    review = min((float(alert["threshold"]) for alert in seen.alerts.values()), default=None)
    return {
        **panel,
        "stories": by_story(stream, told_mask),
        "best_single_feature": single,
        "review_threshold": review,
        "score_histogram": histogram,
    }


def _counts(scores: np.ndarray[Any, Any]) -> list[int]:
    return [int(n) for n in np.histogram(scores, SCORE_EDGES)[0]]


def _histogram(values: np.ndarray[Any, Any], edges: list[float]) -> dict[str, list[float]]:
    return {"edges": edges, "counts": [int(n) for n in np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]]}


class _Named(msgspec.Struct):
    transaction_id: str


def _table(summary: dict[str, Any]) -> Table:
    table = Table(title="What came of it", title_justify="left", show_header=False, min_width=78)
    table.add_column(style="dim")
    table.add_column()
    latency = summary["latency_ms"]
    single = summary["best_single_feature"]
    rows = [
        (
            "transactions scored live",
            f"{summary['transactions']:,} at {summary['throughput_tps']:,.0f} a second (paced)",
        ),
        ("alerts, dead letters", f"{summary['alerts']:,}, {summary['dead_letters']:,}"),
        ("lost, extra, told twice", f"{summary['lost']}, {summary['extra']}, {summary['duplicates']}"),
        ("not judged", f"{summary['either_way']} decisions that hang on how far the logs beside had been read"),
        ("record to durable alert", f"p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms"),
    ]
    if summary["first_alert_seconds"] is not None:
        rows.append(("first alert", f"{summary['first_alert_seconds']:.0f} s after the start"))
    counted = f"({summary['alert_cases']:.0f} cases alerted, {summary['fraud_cases']:.0f} frauds)"
    rows.append(("by case", f"recall {summary['recall']:.2f} at precision {summary['precision']:.2f} {counted}"))
    alone = f"recall {single['recall']:.2f} at precision {single['precision']:.2f} with as many cases"
    rows.append(("best single feature", f"{alone} ({single['feature']})"))
    for name, story in summary["stories"].items():
        found = f"({story['caught']:.0f} of {story['cases']:.0f})"
        rows.append((f"  {name.replace('_', ' ')}", f"recall {story['recall']:.2f} {found}"))
    for row in rows:
        table.add_row(*row)
    return table
