"""How a terminal shows what simulated banks said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def show_banks(report: Mapping[str, Any]) -> None:
    """Print the figures at every prevalence, then what only the first prevalence tells."""
    console, rows = Console(), report["rows"]
    banks = ", ".join(str(bank) for bank in report["banks"])
    console.print(f"banks {banks}, seed {report['seed']}, never seen in training; {report['seconds']:,.0f} s")
    console.print(_grid("at the review threshold, all banks together", _HEADLINE, (_headline(row) for row in rows)))
    first = rows[0]
    at = first["setting"]
    if len(report["banks"]) > 1:
        console.print(_grid(f"each bank at {at}", _BANK, (_bank(n, f) for n, f in first["banks"].items())))
    console.print(_grid(f"beside the panel at {at}", _BESIDE, _beside(first)))
    console.print(_grid(f"by story at {at}", _STORY, _stories(first, report["reasons"])))
    console.print(_grid(f"by card history and channel at {at}", _SEGMENT, _segments(first)))
    console.print(
        _grid(f"before the first alert, and false declines, at {at}", _MONEY, _money(first)),
    )
    console.print(_grid(f"thresholds by money at {at}, a case costing 5", _WORTH, _worth(first)))
    console.print(_grid("what the probability is worth", _CALIBRATION, (c for row in rows for c in _calibration(row))))
    gone = report["reasons"]["deletion"]
    console.print(
        f"reasons: the logit falls by {_text(gone['top'])} without the reasons' features, changes by "
        f"{_text(gone['random'])} without random ones: ratio {_text(gone['ratio'], 1)} over {gone['alerts']} alerts; "
        f"most often named: {', '.join(report['reasons']['overall_top'])}"
    )


def show_left_out(report: Mapping[str, Any]) -> None:
    """Print recall of each story with and without it in training."""
    headings = ("story", "cases", "recall with", "recall without", "AP with", "AP without", "alerts / 10k without")
    rows = (_left_out(row["story"], row["with"], row["without"]) for row in report["rows"])
    members, banks = ", ".join(report["members"]), ", ".join(str(bank) for bank in report["banks"])
    title = f"trained without the story; panel of {members}, judged on {banks}; {report['seconds']:,.0f} s"
    Console().print(_grid(title, headings, rows))


_HEADLINE = ("prevalence", "precision by case", "recall by case", "AP", "AUC", "alerts / 10k")
_BANK = ("bank", "precision by case", "recall by case", "AP", "boosting's AP", "alerts / 10k")
_BESIDE = ("model", "AP", "panel minus it", "precision by case", "recall by case", "alerts / 10k")
_STORY = ("story", "cases", "caught", "recall", "alerts explained", "cause named", "overall top 3 names it")
_SEGMENT = ("rows", "transactions", "frauds", "AP", "precision", "recall", "alerts / 10k")
_MONEY = (
    "model",
    "cards alerted",
    "frauds before",
    "money before",
    "of all money",
    "false declines per 10k cards at 50 %",
)
_WORTH = ("threshold", "alerts / 10k", "cases", "saved", "net of cases")
_CALIBRATION = ("share of fraud", "against", "Brier skill", "slope", "expected", "observed", "observed / expected")


def _left_out(story: str, known: Mapping[str, float], unknown: Mapping[str, float]) -> list[str]:
    recall = [_text(known["recall"], 2), _text(unknown["recall"], 2)]
    alerts = _text(unknown["alerts_per_10k"], 1)
    return [story, f"{known['cases']}", *recall, _text(known["ap"]), _text(unknown["ap"]), alerts]


def _headline(row: Mapping[str, Any]) -> list[str]:
    panel, near = row["panel"], row["intervals"]
    at = panel["review"]
    return [
        row["setting"],
        _near(at["precision_case"], near["panel.precision_case"]),
        _near(at["recall_case"], near["panel.recall_case"]),
        _near(panel["ap"], near["panel.ap"]),
        _text(panel["auc"]),
        _text(at["alerts_per_10k"], 1),
    ]


def _bank(name: str, f: Mapping[str, float]) -> list[str]:
    shown = [f["precision_case"], f["recall_case"], f["ap"], f.get("boosting.ap", math.nan)]
    return [name, *(_text(value) for value in shown), _text(f["alerts_per_10k"], 1)]


def _beside(row: Mapping[str, Any]) -> Iterable[list[str]]:
    yield ["panel", _near(row["panel"]["ap"], row["intervals"]["panel.ap"]), "", *_cases(row["panel"]["review"])]
    without = {f"panel without {name}": figures for name, figures in row["without"].items()}
    for name, figures in {**without, **row["detectors"], **row["others"]}.items():
        ahead = row["panel"]["ap"] - figures["ap"]
        beyond = row["intervals"][f"panel - {name}.ap"]
        yield [name, _near(figures["ap"], row["intervals"][f"{name}.ap"]), _near(ahead, beyond), *_cases(figures)]


def _cases(figures: Mapping[str, float]) -> list[str]:
    return [_text(figures["precision_case"]), _text(figures["recall_case"]), _text(figures["alerts_per_10k"], 1)]


def _stories(row: Mapping[str, Any], reasons: Mapping[str, Any]) -> Iterable[list[str]]:
    for story, f in row["stories"].items():
        why = reasons["stories"].get(story, {"alerts": 0, "named": math.nan, "named_by_overall_top": math.nan})
        yield [
            story, f"{f['cases']}", f"{f['caught']}", _text(f["recall"], 2), f"{why['alerts']}", _text(why["named"], 2),
            _text(why["named_by_overall_top"], 2),
        ]  # fmt: skip


def _segments(row: Mapping[str, Any]) -> Iterable[list[str]]:
    known = {f"{name} earlier transactions (warm-up too)": figures for name, figures in row["history"].items()}
    for name, f in {**known, **row["channel"]}.items():
        shown = [_text(f["ap"]), _text(f["precision_tx"]), _text(f["recall_tx"]), _text(f["alerts_per_10k"], 1)]
        yield [name, f"{f['transactions']:,}", f"{f['frauds']:,}", *shown]


def _money(row: Mapping[str, Any]) -> Iterable[list[str]]:
    for name, f in row["first_alert"].items():
        declined = row["false_declines"].get(name, {}).get("0.5", math.nan)
        shown = [_text(f["alerted"], 2), _text(f["frauds"], 2), _text(f["money"], 0), _text(f["money_share"], 2)]
        yield [name, *shown, _text(declined, 1)]


def _worth(row: Mapping[str, Any]) -> Iterable[list[str]]:
    for name, f in row["worth"].items():
        yield [name, _text(f["alerts_per_10k"], 1), f"{f['cases']:,}", _text(f["saved"], 0), _text(f["net"], 0)]


def _calibration(row: Mapping[str, Any]) -> Iterable[list[str]]:
    labels = {"by_truth": "the truth", "by_reports": "reports", "prior_moved": "reports, moved to the known share"}
    for key, label in labels.items():
        f = row["calibration"][key]
        ratio = _near(f["ratio"], f["ratio_interval"])
        shown = [_text(f["brier_skill"]), _text(f["slope"], 2), _text(f["expected"], 0), f"{f['observed']}", ratio]
        yield [row["setting"], label, *shown]


def _near(value: float, interval: Sequence[float]) -> str:
    return f"{_text(value)} ({_text(interval[0])} to {_text(interval[1])})"


def _text(value: float, digits: int = 3) -> str:
    return f"{value:,.{digits}f}" if math.isfinite(value) else "–"


def _grid(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="left" if k == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table
