"""Rows of a bank as everything scored them: what figures are computed from, without features and windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from stream.profile import CARDS
from stream.rules import rules_of
from stream.scoring import Panel
from stream.scoring.manifest import FusionFile, SubsetFusion, read_contract, subset_key
from stream.scoring.panel import read_active
from training import segments
from training.calibrate import logit_of
from training.evaluate import best_single_feature, ranking
from training.money import taken
from training.samples import F64, Mask, Samples, join

Yardstick = Callable[[Samples], F64]
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows with scores, (n,) each.

    Parameters
    ----------
    samples
        Cards, times, labels and truth; its features and windows are empty.
    warm
        Rows before the judged time: they show what an engine that has just started does, and nothing else.
    members
        Calibrated logits of the panel's members by name.
    others
        Scores of the yardsticks by name, any scale.
    rules
        Where a shipped rule fires.
    history, channel
        Codes into the names that `segments` gives.
    money
        What the transaction moved.
    """

    samples: Samples
    warm: Mask
    members: dict[str, F64]
    others: dict[str, F64]
    rules: Mask
    history: dict[str, Mask]
    channel: dict[str, Mask]
    money: F64

    def take(self, chosen: Mask) -> Judged:
        """Select rows by mask."""
        return _map([self], lambda parts: parts[0][chosen], self.samples.take(chosen))


def together(parts: Sequence[Judged]) -> Judged:
    """Put the rows of several banks after one another."""
    return _map(parts, np.concatenate, join([part.samples for part in parts]))


def _map(parts: Sequence[Judged], make: Callable[[list[Any]], Any], samples: Samples) -> Judged:
    made: dict[str, object] = {"samples": samples}
    for field in fields(Judged)[1:]:
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], dict):
            made[field.name] = {key: make([value[key] for value in values]) for key in values[0]}
        else:
            made[field.name] = make(values)
    return Judged(**made)  # type: ignore[arg-type]


class Fusion:
    """The panel's rule for every subset of its members, applied to logits that are already there."""

    def __init__(self, models: Path) -> None:
        champion, version = read_active(models)
        self.file = read_contract(models / "fusion" / version / "fusion.json", FusionFile)
        self.names = tuple(champion)

    def rule(self, names: Sequence[str]) -> SubsetFusion:
        """The fusion of a subset."""
        return self.file.subsets[subset_key(names)]

    def fused(self, members: Mapping[str, F64], names: Sequence[str]) -> F64:
        """Fused logit (n,) of some members."""
        rule = self.rule(names)
        total = np.full(len(next(iter(members.values()))), rule.bias)
        for name, weight in zip(rule.members, rule.weights, strict=True):
            total += weight * members[name]
        return total

    def cut(self, names: Sequence[str], step: str = "review") -> float:
        """The logit that is a subset's threshold."""
        return logit_of(getattr(self.rule(names), step))


def score_rows(panel: Panel, samples: Samples, start: int, feature: str, yardsticks: Mapping[str, Yardstick]) -> Judged:
    """Score rows by everything that is compared.

    Parameters
    ----------
    panel
        Loaded.
    samples
        Rows with features and windows, warm-up included.
    start
        First judged event time.
    feature
        The single feature to show; the best one on these rows when empty.
    yardsticks
        Further scores by name.
    """
    members = {scorer.name: np.empty(len(samples)) for scorer in panel.scorers}
    for begin in range(0, len(samples), _BATCH):
        part = slice(begin, begin + _BATCH)
        for scorer in panel.scorers:
            members[scorer.name][part] = scorer.logit(scorer.raw(samples.X[part], samples.S[part]))
    warm: Mask = np.asarray(samples.event_time < start)
    judged = samples.take(~warm)
    name = feature or best_single_feature(judged, [f.name for f in CARDS.features], judged.fraud)[0]
    others = {f"feature {name}": single(samples, name)}
    others |= {label: yardstick(samples) for label, yardstick in yardsticks.items()}
    fired = rules_of(CARDS, None).fired(samples.X, np.zeros(len(samples), np.uint8))
    empty = np.empty((len(samples), 0), np.float32)
    light = Samples(**{f.name: getattr(samples, f.name) for f in fields(Samples)} | {"X": empty, "S": empty})
    return Judged(
        light, warm, members, others, np.asarray(fired.any(axis=1)),
        segments.by_history(samples), segments.by_channel(samples), taken(samples),
    )  # fmt: skip


def single(samples: Samples, name: str) -> F64:
    """A feature as a score, in the direction in which it ranks better; a missing value is the least suspicious."""
    column = samples.X[:, [f.name for f in CARDS.features].index(name)].astype(np.float64)
    low, high = np.nanmin(column, initial=0.0) - 1, np.nanmax(column, initial=0.0) + 1
    signed = np.nan_to_num(column, nan=low), -np.nan_to_num(column, nan=high)
    return max(signed, key=lambda score: ranking(score, samples.fraud)["ap"])
