"""Reasons put to the test: is the planted cause named, and does the score fall when the reasons are taken away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stream.profile import CARDS
from stream.reasons import TOP, Explainer
from stream.scoring import Panel
from training.samples import F64, Samples

_FAMILY = {f.name: family for family, where in CARDS.slices.items() for f in CARDS.features[where]}


@dataclass
class Causes:
    """Counts over banks; `add` rows, then read `figures`."""

    planted: Mapping[str, tuple[str, ...]]  # story -> families
    seed: int = 0
    most: int = 400  # alerts of a story and bank that are explained
    named: dict[str, int] = field(default_factory=dict)
    families: dict[str, int] = field(default_factory=dict)  # how often a family is among the reasons
    told: dict[str, int] = field(default_factory=dict)
    falls: list[tuple[float, float]] = field(default_factory=list)  # (top reasons, random features)

    def add(self, panel: Panel, samples: Samples, logit: F64, cut: float) -> None:
        """Explain frauds at or above a cut as the worker would."""
        rng = np.random.default_rng(self.seed)
        explainer = Explainer(
            lambda X, S: panel.score(X, S).logit, panel.neutral_features, panel.neutral_sequence, CARDS
        )
        for story in sorted(self.planted):
            rows = np.flatnonzero(samples.fraud & (samples.story == story) & (logit >= cut))
            rows = np.sort(rng.permutation(rows)[: self.most])
            if not len(rows):
                continue
            X, S = samples.X[rows], samples.S[rows]
            reasons = explainer.explain(X, S, logit[rows], np.full_like(X, np.nan))
            names = [[reason.feature for reason in some[:TOP]] for some in reasons]
            found = [{_FAMILY[name] for name in some if name in _FAMILY} for some in names]
            self.told[story] = self.told.get(story, 0) + len(rows)
            self.named[story] = self.named.get(story, 0) + sum(bool(f & set(self.planted[story])) for f in found)
            for family in (name for some in found for name in some):
                self.families[family] = self.families.get(family, 0) + 1
            self.falls += self._falls(explainer, X, S, logit[rows], names, rng)

    def _falls(
        self, explainer: Explainer, X: Any, S: Any, logit: F64, names: list[list[str]], rng: np.random.Generator
    ) -> list[tuple[float, float]]:
        columns = {feature.name: j for j, feature in enumerate(CARDS.features)}
        top = [[columns[name] for name in some if name in columns] for some in names]
        chance = [rng.choice(len(columns), max(len(some), 1), replace=False).tolist() for some in top]
        falls = [logit - explainer.logit_of(*explainer.without(X, S, chosen)) for chosen in (top, chance)]
        return list(zip(*(fall.tolist() for fall in falls), strict=True))

    def figures(self) -> dict[str, Any]:
        """By story: alerts explained, share that names the planted cause, share that the overall top three would.

        ``deletion`` holds the mean fall of the fused logit without the reasons' features, the mean size of its change
        without as many random ones, and their ratio.
        """
        usual = sorted(self.families, key=lambda name: (-self.families[name], name))[:TOP]
        stories = {
            story: {
                "alerts": self.told[story],
                "named": self.named[story] / self.told[story],
                "named_by_overall_top": float(bool(set(usual) & set(self.planted[story]))),
            }
            for story in sorted(self.told)
        }
        falls = np.array(self.falls).reshape(-1, 2)
        top, chance = (falls[:, 0].mean(), np.abs(falls[:, 1]).mean()) if len(falls) else (np.nan, np.nan)
        return {
            "stories": stories,
            "overall_top": usual,
            "deletion": {
                "top": float(top),
                "random": float(chance),
                "ratio": float(top / max(chance, 1e-9)),
                "alerts": len(falls),
            },
        }
