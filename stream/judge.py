"""The second half of the flow: score, decide, explain, and write the alerts of a micro-batch."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stream.alerting import AlertWriter, Decision, rounded_scores
from stream.codec import Decoded, dead_letter
from stream.decide import Cuts, Outcomes, cuts, decide
from stream.entities.hours import visible
from stream.entities.merged import version_of
from stream.events import F32, F64, I64, TP, U8, Alert, DeadLetter, Flag, ModelRef, Reason, Record
from stream.profile import CARDS, StreamProfile
from stream.reasons import Explainer, rule_reason, score_reason
from stream.rules import Rules
from stream.scoring.panel import PanelScores, Thresholds
from stream.settings import DecisionSettings

log = logging.getLogger("fraudstream.pipeline")
Fired = npt.NDArray[np.bool_]


class PanelLike(Protocol):
    """The part of `stream.scoring.panel.Panel` that decisions need."""

    models: list[ModelRef]
    hash: str
    neutral_features: F32
    neutral_sequence: F32

    @property
    def thresholds(self) -> Thresholds:
        """The cuts of the detectors in use."""

    def score(self, X: F32, S: F32) -> PanelScores:
        """Score a batch."""


@dataclass(slots=True)
class Part:
    """One chunk on its way: what it held, and where its rows stand in the micro-batch."""

    tp: TP
    records: Sequence[Record]
    decoded: Decoded
    first_offset: int
    next_offset: int
    clock: int = 0  # before its first transaction, ms
    profiles: tuple[int, ...] = ()  # merged hours, see `entities.merged.version_of`
    newest: I64 | None = None  # largest event time up to each row, when an alert asked for it

    def clock_at(self, row: int) -> int:
        """Clock of the partition before the transaction in a row, ms."""
        if self.newest is None:
            columns = self.decoded.columns
            true = np.where(columns.flags & Flag.CLOCK_SKEW == 0, columns.event_time, self.clock)
            self.newest = np.maximum.accumulate(true)
        return max(self.clock, int(self.newest[row - 1])) if row else self.clock


@dataclass(slots=True)
class Verdicts:
    """What was found: the alerts and the further dead letters of each part."""

    alerts: list[list[Alert]]
    dead: list[list[DeadLetter]]


@dataclass(slots=True)
class Found:
    """The k transactions of a micro-batch that do not pass; `owner` and `row` say which part holds them, and where."""

    owner: I64
    row: I64
    X: F32
    S: F32
    U: F32
    flags: U8
    outcome: Outcomes
    rules: list[list[int]]
    scores: PanelScores


class Judge:
    """Decides with one panel, one list of rules and one set of thresholds."""

    def __init__(
        self,
        settings: DecisionSettings,
        panel: PanelLike,
        rules: Rules,
        writer: AlertWriter,
        profile: StreamProfile = CARDS,
    ) -> None:
        self._settings, self._panel, self._rules, self._writer = settings, panel, rules, writer
        self._profile = profile
        self._explainer = Explainer(self._logit, panel.neutral_features, panel.neutral_sequence, profile)

    def _logit(self, X: F32, S: F32) -> F64:
        return self._panel.score(X, S).logit

    def score(self, X: F32, S: F32) -> PanelScores:
        """Ask the panel; when it fails altogether the scores are NaN, and rules alone decide."""
        failed = False
        if len(X):
            try:
                return self._panel.score(X, S)
            except Exception:  # whatever a runtime throws, the decision goes on with the rules
                log.exception("the panel failed; rules alone decide %d transactions", len(X))
                failed = True
        nothing = np.full(len(X), np.nan)
        return PanelScores((), np.empty((len(X), 0), np.float32), nothing, nothing, failed, self._panel.thresholds)

    def decide(self, parts: Sequence[Part], X: F32, S: F32, U: F32, scores: PanelScores) -> Verdicts:
        """Decide the rows of all parts, and write the alerts of those that do not pass.

        Parameters
        ----------
        parts
            In the order of the rows.
        X, S, U, scores
            Of all rows, (n, d), (n, K, C), (n, habits) and n.
        """
        verdicts = Verdicts([[] for _ in parts], [[] for _ in parts])
        if not len(X):
            return verdicts
        flags = np.concatenate([part.decoded.columns.flags for part in parts])
        thresholds = cuts(self._settings, scores.thresholds)
        fired = self._rules.fired(X, flags)
        raised = (fired * self._rules.outcomes).max(axis=1, initial=0).astype(np.int8)
        outcome = decide(scores.score, thresholds, raised, flags)
        i = np.flatnonzero(outcome)
        if len(i):
            ends = np.cumsum([len(part.decoded.rows) for part in parts])
            owner = np.searchsorted(ends, i, side="right")
            row = i - (ends - [len(part.decoded.rows) for part in parts])[owner]
            rules = [
                np.flatnonzero(some).tolist() if any_ else [] for some, any_ in zip(fired[i], raised[i], strict=True)
            ]
            found = Found(owner, row, X[i], S[i], U[i], flags[i], outcome[i], rules, _some(scores, i))
            self._write(parts, found, thresholds, verdicts)
        return verdicts

    def _write(self, parts: Sequence[Part], found: Found, thresholds: Cuts, verdicts: Verdicts) -> None:
        reasons = self._explain(found)
        named = rounded_scores(found.scores.names, found.scores.scores)
        models = [model for model in self._panel.models if model.name in found.scores.names]
        for k, (owner, row) in enumerate(zip(found.owner.tolist(), found.row.tolist(), strict=True)):
            part = parts[owner]
            record = part.records[int(part.decoded.index[row])]
            try:
                by_score = bool(found.scores.score[k] >= thresholds.review)
                told = self._with_rules(reasons[k], found, k, rules_first=not by_score)
                decision = self._decision(part, found, k, reasons=told, scores=named[k])
                alert = self._writer.write(decision, models, thresholds, found.scores.degraded)
            except Exception as error:  # one alert that cannot be written must not cost the others
                log.exception("the alert of %s[%d] offset %d failed", part.tp.topic, part.tp.partition, record.offset)
                text = f"the alert could not be written: {type(error).__name__}: {error}"
                verdicts.dead[owner].append(dead_letter(record, part.tp, "score", text))
            else:
                verdicts.alerts[owner].append(alert)

    def _with_rules(self, reasons: list[Reason], found: Found, k: int, *, rules_first: bool) -> list[Reason]:
        """Add the rules that fired; they come first where the score alone would have passed."""
        features = self._profile.features
        told = [
            rule_reason(rule.id, rule.text, rule.columns[0] if rule.columns else None, found.X[k], features)
            for rule in (self._rules.rules[r] for r in found.rules[k])
        ]
        return [*told, *reasons] if rules_first else [*reasons, *told]

    def _decision(
        self, part: Part, found: Found, k: int, *, reasons: list[Reason], scores: dict[str, float]
    ) -> Decision:
        """Gather what the alert of found row `k` tells."""
        row = int(found.row[k])
        return Decision(
            tp=part.tp,
            offset=part.records[int(part.decoded.index[row])].offset,
            row=part.decoded.rows[row],
            card=part.decoded.cards[row],
            event_time=int(part.decoded.columns.event_time[row]),
            amount_minor=int(part.decoded.columns.amount_minor[row]),
            flags=int(found.flags[k]),
            outcome=int(found.outcome[k]),
            score=float(found.scores.score[k]),
            scores=scores,
            x=found.X[k],
            reasons=reasons,
            rules=[self._rules.rules[r].id for r in found.rules[k]],
            profile_version=_version(part, row),
        )

    def _explain(self, found: Found) -> list[list[Reason]]:
        """Reasons of the scores; none where no model answered, a plain one where the attribution itself fails."""
        scores = found.scores
        if not scores.names:
            return [[] for _ in found.owner]
        try:
            return self._explainer.explain(found.X, found.S, scores.logit, self._profile.program.usual(found.U))
        except Exception:  # an alert without its reasons is worth more than no alert
            log.exception("the reasons of %d alerts could not be found", len(found.owner))
            return [[score_reason(score)] for score in scores.score.tolist()]


def _version(part: Part, row: int) -> str:
    """Which profiles a transaction saw: what was merged, as far as its clock lets it see."""
    return version_of(part.profiles, visible(part.clock_at(row)))


def _some(scores: PanelScores, index: I64) -> PanelScores:
    return dataclasses.replace(
        scores, scores=scores.scores[index], logit=scores.logit[index], score=scores.score[index]
    )
