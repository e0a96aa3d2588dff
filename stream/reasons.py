"""Why: the fused logit attributed to feature families, then to features; and the rules that fired.

Each family is put back to what is usual, and the fall of the logit is its weight (occlusion by a reference value, as
in Robnik-Šikonja and Kononenko 2008). Two batches through the panel explain all alerts of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream.events import F32, F64, Reason
from stream.features import FAMILY_SLICES, FEATURES, SEQUENCE_CHANNELS

TOP = 3
CANDIDATES = 4  # features of a family that are tried one by one: those furthest from their neutral value
AT_ONCE = 64  # alerts explained in one go; bounds memory when everything alerts

LogitOf = Callable[[F32, F32], F64]
NO_HISTORY = "NO_HISTORY"
NOT_KNOWN = "NOT_KNOWN"

_FAMILIES = tuple(FAMILY_SLICES)
_PRESENT = next(i for i, channel in enumerate(SEQUENCE_CHANNELS) if channel.name == "present")
_FAMILY_CHANNELS = {
    name: [i for i, channel in enumerate(SEQUENCE_CHANNELS) if channel.family == name] for name in _FAMILIES
}
_FEATURE_CHANNELS = {
    column: [i for i, channel in enumerate(SEQUENCE_CHANNELS) if channel.feature == feature.name]
    for column, feature in enumerate(FEATURES)
}
_SPREAD = np.array([(f.high - f.low) / 2 if f.scale == "linear" else 2.0 for f in FEATURES], np.float32)


@dataclass(slots=True)
class Explainer:
    """Explains alerts with the panel that decided them.

    Parameters
    ----------
    logit_of
        ``(X, S) -> fused logit (n,)``.
    neutral_features, neutral_sequence
        What is usual, (d,) and (C,); NaN means missing is usual.
    """

    logit_of: LogitOf
    neutral_features: F32
    neutral_sequence: F32
    _neutral_channels: Mapping[int, float] = field(init=False)

    def __post_init__(self) -> None:
        self._neutral_channels = dict(enumerate(self.neutral_sequence.tolist()))

    def explain(self, X: F32, S: F32, logit: F64, usual: F32) -> list[list[Reason]]:
        """Find the three weightiest families of each alert, and in each the feature behind it.

        Parameters
        ----------
        X, S
            Model inputs of the alerts, (k, d) and (k, K, C).
        logit
            Their fused logits (k,), finite.
        usual
            What is usual for each card, (k, d); NaN where nothing is known.
        """
        found: list[list[Reason]] = []
        for start in range(0, len(X), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            found += self._explain(X[part], S[part], logit[part], usual[part])
        return found

    def _explain(self, X: F32, S: F32, logit: F64, usual: F32) -> list[list[Reason]]:
        drops = self._family_drops(X, S, logit)
        tops = [[int(f) for f in np.argsort(-row, kind="stable")[:TOP]] for row in drops]
        tops = [[f for f in top if drops[i, f] > 0] or top[:1] for i, top in enumerate(tops)]
        chosen = self._features(X, S, logit, tops)
        is_new = S[:, -2, _PRESENT] < 0.5
        return [
            _merged(
                [
                    _reason(column, X[i, column], usual[i, column], float(drops[i, family]), bool(is_new[i]))
                    for family, column in zip(tops[i], chosen[i], strict=True)
                ]
            )
            for i in range(len(X))
        ]

    def _family_drops(self, X: F32, S: F32, logit: F64) -> F64:
        """How far the logit falls when a family is as usual, float64 (k, families)."""
        k, m = len(X), len(_FAMILIES)
        xs = np.repeat(X[:, None], m, axis=1)
        ss = np.repeat(S[:, None], m, axis=1)
        for j, name in enumerate(_FAMILIES):
            where = FAMILY_SLICES[name]
            xs[:, j, where] = self.neutral_features[where]
            self._neutralise(ss[:, j], _FAMILY_CHANNELS[name])
        changed = self.logit_of(xs.reshape(k * m, -1), ss.reshape(k * m, *S.shape[1:])).reshape(k, m)
        return np.nan_to_num(logit[:, None] - changed, nan=-np.inf, posinf=-np.inf)

    def _features(self, X: F32, S: F32, logit: F64, tops: Sequence[Sequence[int]]) -> list[list[int]]:
        """For each alert and family the column whose neutral value makes the logit fall furthest."""
        tries = [
            (i, place, column)
            for i, families in enumerate(tops)
            for place, family in enumerate(families)
            for column in self._candidates(X[i], FAMILY_SLICES[_FAMILIES[family]])
        ]
        rows = np.array([i for i, _, _ in tries], np.int64)
        xs, ss = X[rows], S[rows]
        for row, (_, _, column) in enumerate(tries):
            xs[row, column] = self.neutral_features[column]
            if channels := _FEATURE_CHANNELS[column]:
                self._neutralise(ss[row : row + 1], channels)
        falls = np.nan_to_num(logit[rows] - self.logit_of(xs, ss), nan=-np.inf, posinf=-np.inf)
        best: dict[tuple[int, int], tuple[float, int]] = {}
        for (i, place, column), fall in zip(tries, falls.tolist(), strict=True):
            if (i, place) not in best or fall > best[i, place][0]:
                best[i, place] = (fall, column)
        return [[best[i, place][1] for place in range(len(families))] for i, families in enumerate(tops)]

    def _neutralise(self, S: F32, channels: Sequence[int]) -> None:
        """Put channels to their neutral value at the steps that exist, in place."""
        for channel in channels:
            S[:, :, channel] = np.where(S[:, :, _PRESENT] > 0.5, self._neutral_channels[channel], S[:, :, channel])

    def _candidates(self, x: F32, where: slice) -> list[int]:
        neutral = self.neutral_features[where]
        away = np.abs(x[where] - neutral) / _SPREAD[where]
        one_missing = np.isnan(x[where]) != np.isnan(neutral)
        away = np.where(one_missing, 0.5, np.nan_to_num(away, nan=-1.0))
        order: npt.NDArray[np.int64] = np.argsort(-away, kind="stable")[:CANDIDATES]
        return [where.start + int(column) for column in order]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _reason(column: int, value: float, usual: float, drop: float, is_new: bool) -> Reason:
    feature = FEATURES[column]
    weight = round(drop, 4) if np.isfinite(drop) else 0.0
    if np.isnan(value):
        if is_new:
            text = "This card has no history here, so what is usual for it is not known"
            return Reason(NO_HISTORY, text, feature.name, None, None, weight)
        text = f"Not known for this transaction: {feature.meaning}"
        return Reason(NOT_KNOWN, text, feature.name, None, None, weight)
    habit = None if is_new or np.isnan(usual) else _rounded(feature.natural(float(usual)))
    shown = feature.shown(None if habit is None else float(usual))
    text = feature.text.format(value=feature.shown(float(value)), usual=shown)
    return Reason(feature.code, text, feature.name, _rounded(feature.natural(float(value))), habit, weight)


def _merged(reasons: list[Reason]) -> list[Reason]:
    """One reason per code, its weight the sum; the weightiest first."""
    by_code: dict[str, Reason] = {}
    for reason in reasons:
        first = by_code.get(reason.code)
        if first is not None:
            total = round(first.contribution + reason.contribution, 4)
            reason = Reason(first.code, first.text, first.feature, first.value, first.usual, total)  # noqa: PLW2901
        by_code[reason.code] = reason
    return sorted(by_code.values(), key=lambda reason: -reason.contribution)


def rule_reason(rule_id: str, text: str, column: int | None, x: F32) -> Reason:
    """The reason that a rule gives, with the value of its first condition on a feature."""
    if column is None:
        return Reason(rule_id, text, "", None, None, 0.0)
    feature = FEATURES[column]
    value = float(x[column])
    return Reason(rule_id, text, feature.name, _rounded(feature.natural(value)), None, 0.0)


def score_reason(score: float) -> Reason:
    """The plain reason of an alert whose score could not be attributed."""
    return Reason(
        "SCORE_HIGH", f"The fraud score is {score:.3f}; what drives it could not be told", "", None, None, 0.0
    )
