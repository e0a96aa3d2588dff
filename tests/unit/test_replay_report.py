"""Alerts against a file's own labels."""

from pathlib import Path

import msgspec

from training.data.mapping import Mapping
from training.data.replay import Labelled, Replay
from training.data.report import compare, render

DAY_ONE, DAY_TWO = 20_000, 20_001


def block(*rows: tuple[str, str, int, str]) -> Labelled:
    ids, cards, days, scenarios = zip(*rows, strict=True)
    return Labelled(list(ids), list(cards), list(days), [bool(name) for name in scenarios], list(scenarios))


FILE = [
    block(("a", "card 1", DAY_ONE, "burst"), ("b", "card 1", DAY_ONE, "burst"), ("c", "card 1", DAY_TWO, "")),
    block(("d", "card 2", DAY_ONE, "copy"), ("e", "card 2", DAY_ONE, ""), ("f", "card 3", DAY_ONE, "")),
]


def test_figures_by_transaction_case_and_scenario() -> None:
    report = compare({"b", "e", "f", "elsewhere"}, FILE)
    assert report["transactions"] == {
        "total": 6,
        "fraudulent": 3,
        "alerted": 3,
        "caught": 1,
        "precision": 0.3333,
        "recall": 0.3333,
    }
    # The false alarm e lies on the day and card of the fraud d: by case it is a hit.
    assert report["cases"] == {
        "total": 4,
        "fraudulent": 2,
        "alerted": 3,
        "caught": 2,
        "precision": 0.6667,
        "recall": 1.0,
    }
    assert report["scenarios"]["burst"]["recall"] == 0.5
    assert report["scenarios"]["copy"]["recall"] == 0.0
    assert report["scenarios"]["copy"]["case_recall"] == 1.0
    assert report["other_alerts"] == 1


def test_without_alerts_there_is_no_precision_and_recall_is_zero() -> None:
    report = compare(set(), FILE)
    assert report["transactions"]["precision"] is None
    assert report["transactions"]["recall"] == 0.0
    assert "precision none, recall 0.000" in render(report)
    assert "scenario burst" in render(report)


def test_labels_of_a_file_follow_its_mapped_rows(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("T,C,M,A,BAD,KIND\n2026-03-01,1,m,5,0,0\nnever,1,m,5,1,2\n2026-03-02,2,m,5,1,2\n")
    how = {
        "columns": {"event_time": "T", "card_id": "C", "merchant_id": "M", "amount": "A"},
        "constants": {"currency": "EUR"},
        "labels": {"truth": "BAD", "scenario": "KIND", "scenarios": {"2": "copied"}},
    }
    labelled = list(Replay(path, msgspec.convert(how, Mapping)).labelled())
    assert [
        (name, fraud, told) for b in labelled for name, fraud, told in zip(b.ids, b.fraud, b.scenario, strict=True)
    ] == [
        ("file-0", False, ""),
        ("file-2", True, "copied"),
    ]
