"""The report is one page that asks for nothing, with every table, goal, note and picture; wrong input is refused."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from stream.errors import SettingError
from training.cli_report import report
from training.protocols.table import Row, Table
from training.report import html

app = typer.Typer()
app.command()(report)


class Page(HTMLParser):
    """Collects what a browser would fetch, the open tags, and the texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def results(folder: Path) -> Path:
    bins = [{"rows": 90, "said": 0.01, "seen": 0.012}, {"rows": 9, "said": 0.4, "seen": 0.35}]
    table = Table(
        "ulb",
        {"latent": 6},
        [
            Row(
                "VAE <script>",
                "one class",
                "ours",
                {"auc": 0.961, "recall": 0.66},
                {"auc": (0.95, 0.97)},
                "lost & told",
            ),
            Row("PCA", "as published", "published", {"auc": 0.957}),
            Row("isolation forest", "one class", "control", {"auc": float("nan"), "recall": 0.4}),
        ],
        ("auc", "recall"),
        [{"goal": "AUC ≥ .957", "reached": 0.961, "met": True}, {"goal": "recall", "reached": 0.66, "met": False}],
        ["protocol of the book"],
        {"by_seed": {"1": {"auc": 0.96}}, "calibration": {"bins": bins}},
    )
    said: dict[str, Any] = table.as_dict() | {"quick": True, "seed": 7, "seconds": 1.5}
    said["rows"][2]["figures"]["auc"] = None
    (folder / "ulb.json").write_text(json.dumps(said))
    row = {
        "setting": "80 bp",
        "panel": {
            "ap": 0.8,
            "auc": 0.99,
            "review": {"precision_case": 0.7, "recall_case": 0.6, "alerts_per_10k": 40.0},
        },
        "stories": {"card testing": {"cases": 5, "caught": 0, "recall": 0.0}},
        "calibration": {"by_truth": {"slope": 1.1, "bins": bins}},
    }
    bank = {"protocol": "simulated", "bank": 900, "seed": 77, "seconds": 3.0, "rows": [row]}
    (folder / "bank.json").write_text(json.dumps(bank))
    return folder


def test_one_page_holds_everything_and_asks_for_nothing(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    arguments = ["--results", str(results(tmp_path)), "-o", str(out), "--json"]
    summary = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)
    text = out.read_text()
    page = Page(text)
    assert page.open == [] and summary["bytes"] == len(text.encode())
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert not re.search(r"https?://|@import|url\(|<script", text)
    assert summary["results"] == ["bank", "ulb"] and (summary["goals"], summary["goals_met"]) == (2, 1)
    assert summary["pictures"] == 4  # two figures' bars, two reliability diagrams
    told = " ".join(page.texts)
    for wanted in ("VAE <script>", "0.961", "0.950–0.970", "lost & told", "not met", "card testing", "cnn, version"):
        assert wanted in told
    assert "a quick run" in told and "seed 7" in told and "protocol of the book" in told


@pytest.mark.parametrize("content", ["", "[]", '{"protocol": "fdh"}', '{"rows": []}'])
def test_what_is_no_result_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(SettingError, match=r"other\.json is no result"):
        CliRunner().invoke(app, ["--results", str(tmp_path)], catch_exceptions=False)


def test_a_missing_folder_and_a_wrong_picture_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"GIF89a")
    for arguments, said in (
        (["--results", str(tmp_path / "no")], "is no folder"),
        (["--pictures", str(tmp_path)], "is no PNG"),
    ):
        with pytest.raises(SettingError, match=said):
            CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "r.html")], catch_exceptions=False)


def test_markdown_of_cards_becomes_html() -> None:
    told = html.markdown("# cnn, version 1\n\n- **Inputs**: `x` < 5\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    assert "<h3>cnn, version 1</h3>" in told and "<li><b>Inputs</b>: <code>x</code> &lt; 5</li>" in told
    assert "<td>2</td>" in told and told.count("<tr") == 2
