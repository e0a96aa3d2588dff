"""From results on disk to the page."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream.errors import SettingError
from training.report import html, pictures

Result = dict[str, Any]
_TITLES = {
    "fdh": "Fraud Detection Handbook",
    "adbench": "ADBench",
    "nab": "Numenta Anomaly Benchmark",
    "ulb": "European cards (ULB)",
    "german": "German credit",
    "prices": "Prices",
    "simulated": "Simulated banks that training never saw",
}


def read_results(folder: Path) -> dict[str, Result]:
    """Read every JSON file of a folder that `fraudstream evaluate --json` wrote, by name.

    Raises
    ------
    SettingError
        There is no such folder, or a file is no result.
    """
    if not folder.is_dir():
        raise SettingError(f"--results {folder} is no folder; put there what fraudstream evaluate --json prints")
    results: dict[str, Result] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            result = json.loads(path.read_bytes())
            results[path.stem] = {"protocol": str(result["protocol"]), "rows": list(result["rows"]), **result}
        except (OSError, ValueError, KeyError, TypeError):
            raise SettingError(
                f"{path} is no result of fraudstream evaluate --json; take it out of --results"
            ) from None
    return results


def build_page(
    results: Mapping[str, Result], models: Path | None, images: Sequence[Path], *, made: str, version: str
) -> str:
    """Build the page.

    Parameters
    ----------
    results
        As `read_results` gives them.
    models
        Models folder whose cards are shown; none when absent.
    images
        PNG files to show.
    made, version
        When, and by which version.
    """
    parts = {name: _section(name, result) for name, result in results.items()}
    goals = [(name, goal) for name, result in results.items() for goal in result.get("goals") or []]
    body = [
        "<h1>fraudstream: the models and their figures</h1>",
        f"<p>Version {html.esc(version)}, made {html.esc(made)}. Every table comes from "
        "fraudstream evaluate with the seed beside it; intervals are of 95 %.</p>",
        _contents(results, bool(images), models is not None),
        _goals(goals),
        *parts.values(),
        "<h2 id='pictures'>Pictures</h2>" if images else "",
        *(html.image(_bytes(path), path.stem.replace("_", " ").replace("-", " ")) for path in images),
        _cards(models) if models is not None else "",
    ]
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>fraudstream report</title>"
    style = f"<style>{html.STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}{style}</head><body>{''.join(body)}</body></html>\n"


def _title(result: Result) -> str:
    name: str = result["protocol"]
    return _TITLES.get(name, name)


def _contents(results: Mapping[str, Result], images: bool, cards: bool) -> str:
    links = [(name, f"{_title(result)} ({name})") for name, result in results.items()]
    links += [("pictures", "Pictures")] * images + [("cards", "Model cards")] * cards
    return "<nav>" + "".join(f"<a href='#{html.esc(to)}'>{html.esc(text)}</a>" for to, text in links) + "</nav>"


def _goals(goals: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    if not goals:
        return ""
    rows = [
        ("", [html.cell(name), html.cell(goal["goal"]), html.cell(goal["reached"]), _verdict(bool(goal["met"]))])
        for name, goal in goals
    ]
    met = sum(bool(goal["met"]) for _, goal in goals)
    return f"<h2>Goals: {met} of {len(goals)} met</h2>" + html.table(["result", "goal", "reached", ""], rows)


def _verdict(met: bool) -> str:
    return f"<td class='{'met' if met else 'missed'}'>{'met' if met else 'not met'}</td>"


def _section(name: str, result: Result) -> str:
    how = f"protocol {result['protocol']}, seed {result.get('seed', '–')}, {html.number(result.get('seconds'))} s"
    how += ", a quick run on a part of the data" if result.get("quick") else ""
    inner = _simulated(result) if "headings" not in result else _protocol(result)
    found = dict(pictures.diagrams(result))
    diagrams = html.image(pictures.reliability(found), "reliability: what was said, what was seen") if found else ""
    return f"<h2 id='{html.esc(name)}'>{html.esc(_title(result))}</h2><p>{html.esc(how)}</p>{inner}{diagrams}"


def _protocol(result: Result) -> str:
    headings = list(result["headings"])
    rows = []
    for row in result["rows"]:
        figures, intervals = row["figures"], row.get("intervals") or {}
        cells = [html.cell(figures[h], intervals.get(h)) if h in figures else "<td></td>" for h in headings]
        rows.append(
            (row["source"], [html.cell(row["model"]), html.cell(row["setting"]), html.cell(row["source"]), *cells])
        )
    drawn = [(heading, pictures.bars(result["rows"], heading)) for heading in headings[:3]]
    notes = [
        *result.get("notes", []),
        *(f"{r['model']}, {r['setting']}: {r['note']}" for r in result["rows"] if r.get("note")),
    ]
    chosen = json.dumps(result.get("chosen", {}), indent=1, ensure_ascii=False)
    return "".join([
        html.table(["model", "setting", "source", *headings], rows),
        *(html.image(png, f"{heading}, best rows first, 95 % intervals") for heading, png in drawn if png),
        html.listing(notes),
        f"<details><summary>chosen before the test set was opened</summary><pre>{html.esc(chosen)}</pre></details>",
        _details(result.get("details") or {}),
    ])  # fmt: skip


def _details(details: Mapping[str, Any]) -> str:
    out = ""
    for name, value in details.items():
        told = html.nested(value) if isinstance(value, dict) else ""
        out += f"<details><summary>{html.esc(name.replace('_', ' '))}</summary>{told}</details>" if told else ""
    return out


def _simulated(result: Result) -> str:
    """Rows by prevalence; each holds groups of figures, which are told as one table a group."""
    rows = []
    for row in result["rows"]:
        at, best = row["panel"].get("review", {}), row.get("best_single_feature", {})
        intervals = row.get("intervals") or {}
        cells = [
            html.cell(row["setting"]),
            html.cell(row["panel"].get("ap"), intervals.get("panel.ap")),
            html.cell(row["panel"].get("auc")),
            html.cell(at.get("precision_case"), intervals.get("panel.precision_case")),
            html.cell(at.get("recall_case"), intervals.get("panel.recall_case")),
            html.cell(at.get("alerts_per_10k")),
            html.cell(best.get("ap")),
        ]
        rows.append(("ours", cells))
    headings = ["prevalence", "AP", "AUC", "precision by case", "recall by case", "alerts / 10k", "best feature's AP"]
    out = html.table(headings, rows)
    for row in result["rows"]:
        groups = "".join(
            f"<h4>{html.esc(name.replace('_', ' '))}</h4>{told}"
            for name, value in row.items()
            if isinstance(value, dict) and (told := html.nested(value))
        )
        out += f"<details><summary>all figures at {html.esc(row['setting'])}</summary>{groups}</details>"
    reasons = html.nested(result.get("reasons") or {})
    return out + (f"<h4>planted causes among the reasons</h4>{reasons}" if reasons else "")


def _cards(models: Path) -> str:
    """The cards of a models folder, written anew from its artefacts."""
    from training.cards import write_cards

    with tempfile.TemporaryDirectory(prefix="fraudstream-report-") as scratch:
        texts = [path.read_text(encoding="utf-8") for path in write_cards(models, Path(scratch))]
    return "<h2 id='cards'>Model cards</h2>" + "".join(html.markdown(text) for text in texts)


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingError(f"the picture {path} cannot be read: {error.strerror}") from None
    if not data.startswith(b"\x89PNG"):
        raise SettingError(f"the picture {path} is no PNG file")
    return data
