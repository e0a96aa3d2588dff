"""Leave one story out: train without a kind of fraud, then see how much of it is found at a bank nobody saw."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stream.errors import SettingError
from training.banks import feature_contract, open_panel, planted_causes, simulated_banks
from training.cases import count_cases
from training.evaluate import ranking
from training.judged import Fusion, Judged, score_rows, together
from training.samples import Samples, read_samples
from training.train import Options, Split, collect, train_panel

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which members learn from which banks, and where they are judged."""

    members: tuple[str, ...]
    train_banks: range
    cards: int
    days: int
    judged: tuple[int, ...]
    judged_cards: int
    prevalence_bp: float
    warm_up_days: float
    seed: int


def stories_of(text: str) -> list[str]:
    """The stories that ``--leave-out`` names.

    Raises
    ------
    SettingError
        There is none of that name.
    """
    known = list(planted_causes())
    if text == "all":
        return known
    if text not in known:
        raise SettingError(f"--leave-out {text} is no story; name one of all, {', '.join(known)}")
    return [text]


def leave_out(plan: Plan, stories: Sequence[str], say: Say = lambda _: None) -> dict[str, Any]:
    """Train one panel on everything and one without each story, and judge all on the same rows.

    Rows of the story that is left out are neither fraud nor genuine to training, calibration, fusion and cuts.

    Returns
    -------
    dict
        ``rows``: by story ``cases``, and with everything and without the story: ``recall`` by case at the panel's own
        review threshold, ``ap`` of the story's frauds against genuine rows, ``alerts_per_10k``.
    """
    begun = time.monotonic()
    options = Options(seed=plan.seed, warm_up_days=plan.warm_up_days, yardstick=False)
    with tempfile.TemporaryDirectory(prefix="fraudstream-leave-out-") as scratch:
        home = Path(scratch)
        made = simulated_banks(home, plan.train_banks, plan.cards, plan.days, plan.prevalence_bp, plan.seed)
        split = collect(made, len(plan.train_banks), options, say)
        rows = _judged_rows(plan, home)
        panels = {story: _panel(plan, _without(split, story), home / (story or "whole"), options, say)
                  for story in ("", *stories)}  # fmt: skip
        found = {story: _figures(models, rows) for story, models in panels.items()}
    return {
        "protocol": "leave-out",
        "members": list(plan.members),
        "banks": list(plan.judged),
        "seconds": round(time.monotonic() - begun, 1),
        "rows": [{"story": story, "with": found[""][story], "without": found[story][story]} for story in stories],
    }


def _without(split: Split, story: str) -> Split:
    kept = [part.take(part.story != story) if story else part for part in (split.train, split.validation, split.fit)]
    return Split(*kept)


def _panel(plan: Plan, split: Split, models: Path, options: Options, say: Say) -> Path:
    say(f"training without {models.name}" if models.name != "whole" else "training with every story")
    models.mkdir()
    train_panel(split, models, plan.members, code=feature_contract(), simulated=True, options=options, say=say)
    return models


def _judged_rows(plan: Plan, home: Path) -> list[Samples]:
    folder = home / "judged"
    made = simulated_banks(folder, plan.judged, plan.judged_cards, plan.days, plan.prevalence_bp, plan.seed + 1)
    return [
        read_samples(path, bank=bank, warm_up_days=plan.warm_up_days)
        for path, bank in zip(made, plan.judged, strict=True)
    ]


def _figures(models: Path, rows: Sequence[Samples]) -> dict[str, dict[str, float]]:
    panel, fusion = open_panel(models), Fusion(models)
    parts: list[Judged] = [score_rows(panel, some, int(some.event_time.min()), "amount", {}) for some in rows]
    logit = np.concatenate([fusion.fused(part.members, fusion.names) for part in parts])
    samples = together(parts).samples
    alert = logit >= fusion.cut(fusion.names)
    out = {}
    for story in planted_causes():
        mine = samples.fraud & (samples.story == story)
        among = mine | ~samples.fraud
        cases = count_cases(samples, alert, mine)
        out[story] = {
            "cases": cases.frauds,
            "recall": cases.recall,
            "ap": ranking(logit[among], mine[among])["ap"],
            "alerts_per_10k": 1e4 * float(alert.mean()),
        }
    return out
