"""Pieces of a page: escaped text, tables, Markdown of model cards, the page's own style."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #d5d9e0; --soft: #f4f6f9; --ours: #e5f0ff; --good: #12693a; --bad: #a32020; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3b414c; --soft: #23272e; --ours: #1d3350; --good: #6fd39b; --bad: #ff9a9a; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { margin-top: 2.5rem; border-bottom: 2px solid var(--line); }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; }
.wide { overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left; vertical-align: top; }
th { background: var(--soft); position: sticky; top: 0; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
td small { opacity: .75; white-space: nowrap; } tr.ours td { background: var(--ours); }
.met { color: var(--good); font-weight: 600; } .missed { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; } figure img { max-width: 100%; background: #fff; border: 1px solid var(--line); }
nav a { margin-right: 1rem; } details { margin: .6rem 0; } code { background: var(--soft); padding: 0 .2em; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; white-space: pre-wrap; font-size: .82rem; }
"""


def esc(value: object) -> str:
    """Text for a page."""
    return html.escape(str(value))


def number(value: Any) -> str:
    """A figure as a reader wants it; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"
    return str(value)


def cell(value: Any, interval: Any = None) -> str:
    """A table's cell; numbers to the right, with their interval where there is one."""
    text = esc(number(value))
    if interval:
        text += f" <small>{esc(number(interval[0]))}–{esc(number(interval[1]))}</small>"
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return f'<td class="n">{text}</td>' if numeric or value is None else f"<td>{text}</td>"


def table(headings: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table of ready cells; each row with its class."""
    head = "".join(f"<th>{esc(heading)}</th>" for heading in headings)
    body = "".join(f'<tr class="{esc(kind)}">{"".join(cells)}</tr>' for kind, cells in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def nested(groups: dict[str, Any]) -> str:
    """A table of groups of figures: {row: {figure: value}}; "" when there is no such thing in it."""
    rows = {name: figures for name, figures in groups.items() if isinstance(figures, dict)}
    flat = {name: {k: v for k, v in figures.items() if _plain(v)} for name, figures in rows.items()}
    headings = list(dict.fromkeys(key for figures in flat.values() for key in figures))
    if not headings or not flat:
        return ""
    told = [
        ("", [f"<td>{esc(name)}</td>", *(cell(figures.get(h)) for h in headings)]) for name, figures in flat.items()
    ]
    return table(["", *(heading.replace("_", " ") for heading in headings)], told)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, int | float | str)


def image(png: bytes, text: str) -> str:
    """A picture inside the page."""
    data = base64.b64encode(png).decode()
    shown = f'<img alt="{esc(text)}" src="data:image/png;base64,{data}">'
    return f"<figure>{shown}<figcaption>{esc(text)}</figcaption></figure>"


def listing(items: Iterable[str]) -> str:
    """A bullet list; "" when it is empty."""
    told = "".join(f"<li>{esc(item)}</li>" for item in items)
    return f"<ul>{told}</ul>" if told else ""


def markdown(text: str) -> str:
    """The Markdown of model cards: headings, paragraphs, bullets, tables, bold and code."""
    out: list[str] = []
    blocks = re.split(r"\n\s*\n", text.strip())
    for block in blocks:
        lines = block.splitlines()
        if lines[0].startswith("#"):
            level = min(len(lines[0]) - len(lines[0].lstrip("#")) + 2, 6)
            out.append(f"<h{level}>{_inline(lines[0].lstrip('# '))}</h{level}>")
            lines = lines[1:]
        if not lines:
            continue
        if all(line.startswith("|") for line in lines):
            cells = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
            body = [("", [f"<td>{_inline(part)}</td>" for part in row]) for row in cells[2:]]
            out.append(table(cells[0], body))
        elif all(line.startswith(("- ", "  ")) for line in lines):
            out.append("<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>")
        else:
            out.append(f"<p>{_inline(' '.join(lines))}</p>")
    return "".join(out)


def _inline(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", esc(text))
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)
