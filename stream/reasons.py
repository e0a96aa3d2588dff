"""Why: the fused logit attributed to feature families, then to features; and the rules that fired.

Each family is put back to what is usual, and the fall of the logit is its weight (occlusion by a reference value, as
in Robnik-Šikonja and Kononenko 2008). Two batches through the panel explain all alerts of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, isnan

import numpy as np
import numpy.typing as npt

from stream.events import F32, F64, Reason
from stream.features.registry import Feature
from stream.profile import CARDS, StreamProfile

TOP = 3
CANDIDATES = 3  # features of a family that are tried one by one: those furthest from their neutral value
AT_ONCE = 64  # alerts explained in one go; bounds memory when everything alerts

LogitOf = Callable[[F32, F32], F64]
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NO_HISTORY = "NO_HISTORY"
NOT_KNOWN = "NOT_KNOWN"


class Explainer:
    """Explains alerts with the panel that decided them.

    Parameters
    ----------
    logit_of
        ``(X, S) -> fused logit (n,)``.
    neutral_features, neutral_sequence
        What is usual, (d,) and (C,); NaN means missing is usual.
    profile
        The stream's: its families, features and what the cards are called.
    """

    def __init__(
        self, logit_of: LogitOf, neutral_features: F32, neutral_sequence: F32, profile: StreamProfile = CARDS
    ) -> None:
        self.logit_of, self.neutral_features, self.neutral_sequence = logit_of, neutral_features, neutral_sequence
        self._features, self._noun = profile.features, profile.noun
        self._slices, channels = profile.slices, profile.channels
        self._families = tuple(self._slices)
        self._present = next(i for i, channel in enumerate(channels) if channel.name == "present")
        self._family_channels = {
            name: [i for i, channel in enumerate(channels) if channel.family == name] for name in self._families
        }
        by_feature = {
            column: [i for i, channel in enumerate(channels) if channel.feature == feature.name]
            for column, feature in enumerate(self._features)
        }
        first = profile.entities[0].name  # to be without history is no news of a merchant
        own = [np.arange(len(self._features))[self._slices[f.name]] for f in profile.families if f.entity == first]
        self._own = frozenset(np.concatenate(own).tolist()) if own else frozenset[int]()
        self._feature_channels = {column: some for column, some in by_feature.items() if some}
        spread = [(f.high - f.low) / 2 if f.scale == "linear" else 2.0 for f in self._features]
        self._spread = np.array(spread, np.float32)

    def explain(self, X: F32, S: F32, logit: F64, usual: F32) -> list[list[Reason]]:
        """Find the three weightiest families of each alert, and in each the feature behind it.

        Parameters
        ----------
        X, S
            Model inputs of the alerts, (k, d) and (k, K, C).
        logit
            Their fused logits (k,), finite.
        usual
            What is usual for each card, (k, d), natural values; NaN where nothing is known.
        """
        found: list[list[Reason]] = []
        for start in range(0, len(X), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            found += self._explain(X[part], S[part], logit[part], usual[part])
        return found

    def _explain(self, X: F32, S: F32, logit: F64, usual: F32) -> list[list[Reason]]:
        drops = self._family_drops(X, S, logit)
        families = np.argsort(-drops, axis=1, kind="stable")[:, :TOP]
        weights = np.take_along_axis(drops, families, axis=1)
        counts = weights > 0
        counts[:, 0] = True
        columns = self._weightiest(X, S, logit, families, counts)
        is_new = (S[:, -2, self._present] < 0.5).tolist()
        return [
            _merged(
                [
                    self._reason(column, float(X[i, column]), float(usual[i, column]), weight, is_new[i])
                    for column, weight, some in zip(columns[i], weights[i].tolist(), counts[i].tolist(), strict=True)
                    if some
                ]
            )
            for i in range(len(X))
        ]

    def _family_drops(self, X: F32, S: F32, logit: F64) -> F64:
        """How far the logit falls when a family is as usual, float64 (k, families)."""
        k, m = len(X), len(self._families)
        xs = np.repeat(X[:, None], m, axis=1)
        ss = np.repeat(S[:, None], m, axis=1)
        for j, name in enumerate(self._families):
            where = self._slices[name]
            xs[:, j, where] = self.neutral_features[where]
            for channel in self._family_channels[name]:
                ss[:, j, :, channel] = self._usual_channel(S, channel)
        changed = self.logit_of(xs.reshape(k * m, -1), ss.reshape(k * m, *S.shape[1:])).reshape(k, m)
        return np.nan_to_num(logit[:, None] - changed, nan=-np.inf, posinf=-np.inf)

    def _weightiest(self, X: F32, S: F32, logit: F64, families: Index, counts: Mask) -> list[list[int]]:
        """For each alert and each family that counts, the column whose neutral value makes the logit fall furthest."""
        candidates = self._candidates(X)[families, np.arange(len(X))[:, None]]  # (k, TOP, CANDIDATES)
        tried = np.broadcast_to(counts[:, :, None], candidates.shape)
        rows, columns = np.nonzero(tried)[0], candidates[tried]
        xs, ss = X[rows], S[rows]
        xs[np.arange(len(rows)), columns] = self.neutral_features[columns]
        for column, channels in self._feature_channels.items():
            here = np.flatnonzero(columns == column)
            for channel in channels if len(here) else ():
                ss[here, :, channel] = self._usual_channel(S[rows[here]], channel)
        falls = np.full(candidates.shape, -np.inf)
        falls[tried] = np.nan_to_num(logit[rows] - self.logit_of(xs, ss), nan=-np.inf, posinf=-np.inf)
        best = falls.argmax(axis=2)[:, :, None]
        found: list[list[int]] = np.take_along_axis(candidates, best, axis=2)[:, :, 0].tolist()
        return found

    def without(self, X: F32, S: F32, columns: Sequence[Sequence[int]]) -> tuple[F32, F32]:
        """Give model inputs of alerts whose features at some columns, each alert's own, are as usual; copies."""
        xs, ss = X.copy(), S.copy()
        for i, some in enumerate(columns):
            xs[i, list(some)] = self.neutral_features[list(some)]
            for channel in (channel for column in some for channel in self._feature_channels.get(column, ())):
                ss[i, :, channel] = self._usual_channel(S[i : i + 1], channel)[0]
        return xs, ss

    def _usual_channel(self, S: F32, channel: int) -> F32:
        """One channel (n, K) with its neutral value at the steps that exist."""
        return np.where(S[:, :, self._present] > 0.5, self.neutral_sequence[channel], S[:, :, channel])

    def _candidates(self, X: F32) -> Index:
        """The columns of each family that are furthest from neutral, int64 (families, k, CANDIDATES)."""
        away = np.nan_to_num(np.abs(X - self.neutral_features) / self._spread, nan=-1.0)
        away[np.isnan(X) != np.isnan(self.neutral_features)] = 0.5
        found = np.zeros((len(self._families), len(X), CANDIDATES), np.int64)
        for j, name in enumerate(self._families):
            where = self._slices[name]
            nearest = np.argsort(-away[:, where], axis=1, kind="stable") + where.start
            found[j] = nearest[:, np.minimum(np.arange(CANDIDATES), nearest.shape[1] - 1)]
        return found

    def _reason(self, column: int, value: float, usual: float, drop: float, is_new: bool) -> Reason:
        feature = self._features[column]
        weight = round(drop, 4) if isfinite(drop) else 0.0
        if isnan(value):
            if is_new and column in self._own:
                text = f"This {self._noun} has no history here, so what is usual for it is not known"
                return Reason(NO_HISTORY, text, feature.name, None, None, weight)
            text = f"Not known for this transaction: {feature.meaning}"
            return Reason(NOT_KNOWN, text, feature.name, None, None, weight)
        habit = None if is_new or isnan(usual) else _rounded(usual)
        text = feature.text.format(value=feature.shown(value), usual=feature.written(None if habit is None else usual))
        text = text.removesuffix(": yes")
        return Reason(feature.code, text, feature.name, _rounded(feature.natural(value)), habit, weight)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


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


def rule_reason(
    rule_id: str, text: str, column: int | None, x: F32, features: Sequence[Feature] = CARDS.features
) -> Reason:
    """The reason that a rule gives, with the value of its first condition on a feature."""
    if column is None:
        return Reason(rule_id, text, "", None, None, 0.0)
    feature = features[column]
    value = float(x[column])
    return Reason(rule_id, text, feature.name, _rounded(feature.natural(value)), None, 0.0)


def score_reason(score: float) -> Reason:
    """The plain reason of an alert whose score could not be attributed."""
    return Reason(
        "SCORE_HIGH", f"The fraud score is {score:.3f}; what drives it could not be told", "", None, None, 0.0
    )
