"""The panel: every active detector, their fusion for whichever of them answer, and the cuts on its score."""

from __future__ import annotations

import hashlib
import logging
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.errors import ArtefactError, SettingError
from stream.events import F32, F64, ModelRef
from stream.scoring.device import Device, OnnxRuntime, Placement, Runtime, first_line, warn_fallback
from stream.scoring.manifest import (
    RETRAIN,
    FeatureContract,
    FusionFile,
    SubsetFusion,
    check_features,
    check_name,
    read_bytes,
    read_contract,
    subset_key,
)
from stream.scoring.onnx_scorer import OnnxScorer

logger = logging.getLogger(__name__)
_STRIKES = 3  # failures in a row after which a detector is not asked again until the next load


class Thresholds(NamedTuple):
    """Cuts on the fused score, each in (0, 1), growing."""

    review: float
    step_up: float
    decline: float


@dataclass(frozen=True, slots=True)
class PanelScores:
    """What a panel says of n transactions.

    Parameters
    ----------
    names, scores
        The m detectors that answered and their calibrated scores, (n, m) in [0, 1].
    logit, score
        The fused logit to rank by, (n,), and its probability; NaN when no detector answered.
    thresholds
        The cuts that belong to exactly these detectors.
    """

    names: tuple[str, ...]
    scores: F32
    logit: F64
    score: F64
    degraded: bool
    thresholds: Thresholds


class Panel:
    """The champion's detectors and their fusion. `score` may be called by one thread at a time."""

    def __init__(
        self, scorers: Sequence[OnnxScorer], fusion: FusionFile, on_degraded: Callable[[str, str], None] | None = None
    ) -> None:
        self.scorers = list(scorers)
        self._fusion = fusion
        self._on_degraded = on_degraded
        self._strikes = dict.fromkeys(self.detectors, 0)
        self.models: list[ModelRef] = [scorer.ref for scorer in scorers]
        self.simulated: bool = fusion.simulated or any(scorer.manifest.simulated for scorer in scorers)
        self.device_info: dict[str, str] = {scorer.name: scorer.device for scorer in scorers}
        self.neutral_features: F32 = np.array(
            [np.nan if value is None else value for value in fusion.neutral_features], np.float32
        )
        self.neutral_sequence: F32 = np.array(fusion.neutral_sequence, np.float32)
        self.hash: str = _panel_hash(scorers, fusion)

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        feature_names: Sequence[str],
        features_version: str,
        features_hash: str,
        channels: Sequence[str],
        device: Device = "auto",
        threads: int = 1,
        runtime: Runtime | None = None,
        on_degraded: Callable[[str, str], None] | None = None,
    ) -> Panel:
        """Load the panel that ``active.toml`` names and verify every artefact of it.

        Parameters
        ----------
        directory
            Folder with ``active.toml`` and ``<name>/<version>/``.
        feature_names, channels
            Columns of X and of the last axis of S, in order, as the running code computes them.
        features_version, features_hash
            Of the running code; every artefact must have been trained for them.
        device, threads
            Where to score (see `stream.scoring.device`) and with how many threads a model.
        runtime
            What opens sessions; onnxruntime when left out.
        on_degraded
            Called with a detector's name and an error when it stops answering, and with "" when it answers again.

        Raises
        ------
        ArtefactError, SettingError
            One sentence: which file or setting, and the remedy.
        """
        code = FeatureContract(tuple(feature_names), features_version, features_hash, tuple(channels))
        champion, fusion_version = read_active(directory)
        path = directory / "fusion" / fusion_version / "fusion.json"
        fusion = read_contract(path, FusionFile)
        check_features(fusion, path, code)
        placement = Placement(device, threads, runtime or OnnxRuntime())
        scorers = [
            OnnxScorer.load(directory / name / version, code=code, placement=placement)
            for name, version in champion.items()
        ]
        _check_members(scorers, fusion, path)
        warn_fallback([scorer.fallback for scorer in scorers if scorer.fallback])
        return cls(scorers, fusion, on_degraded)

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of all detectors, whether they answer or not."""
        return tuple(scorer.name for scorer in self.scorers)

    @property
    def thresholds(self) -> Thresholds:
        """The cuts for the detectors that are in use now; ``PanelScores.thresholds`` are those of a batch."""
        alive = [name for name, strikes in self._strikes.items() if strikes == 0]
        return self._cuts(alive or list(self.detectors))

    def score(self, X: F32, S: F32) -> PanelScores:
        """Score n transactions with every detector that answers.

        Parameters
        ----------
        X
            (n, d) float32 features, NaN where missing.
        S
            (n, K, C) float32 windows, newest step last.
        """
        X, S = np.ascontiguousarray(X, np.float32), np.ascontiguousarray(S, np.float32)
        names: list[str] = []
        logits: list[F64] = []
        for scorer in self.scorers:
            logit = self._ask(scorer, X, S)
            if logit is not None:
                names.append(scorer.name)
                logits.append(logit)
        degraded = len(names) < len(self.scorers)
        if not names:
            nothing = np.full(len(X), np.nan)
            cuts = self._cuts(list(self.detectors))
            return PanelScores((), np.empty((len(X), 0), np.float32), nothing, nothing.copy(), True, cuts)
        stacked = np.stack(logits, axis=1)
        rule = self._fusion.subsets[subset_key(names)]
        fused = stacked @ _weights(rule, names) + rule.bias
        scores = _sigmoid(stacked.astype(np.float32))
        return PanelScores(tuple(names), scores, fused, _sigmoid(fused), degraded, self._cuts(names))

    def _ask(self, scorer: OnnxScorer, X: F32, S: F32) -> F64 | None:
        if self._strikes[scorer.name] >= _STRIKES:
            return None
        try:
            raw = scorer.raw(X, S)
            problem = "" if np.isfinite(raw).all() else "it gave a score that is no number"
        except Exception as error:
            # a binary runtime raises classes of its own; one detector's failure must cost only that detector
            problem = first_line(error) or type(error).__name__
        if problem:
            self._strike(scorer.name, problem)
            return None
        if self._strikes[scorer.name]:
            self._strikes[scorer.name] = 0
            logger.warning("detector %s answers again", scorer.name)
            self._report(scorer.name, "")
        return scorer.logit(raw)

    def _strike(self, name: str, problem: str) -> None:
        self._strikes[name] += 1
        out = "; it is not asked again until the models are loaded anew" if self._strikes[name] >= _STRIKES else ""
        logger.error("detector %s is taken out of the panel: %s%s", name, problem, out)
        self._report(name, problem)

    def _report(self, name: str, problem: str) -> None:
        if self._on_degraded is not None:
            self._on_degraded(name, problem)

    def _cuts(self, names: Sequence[str]) -> Thresholds:
        rule = self._fusion.subsets[subset_key(names)]
        return Thresholds(rule.review, rule.step_up, rule.decline)


def read_active(directory: Path) -> tuple[dict[str, str], str]:
    """Read ``active.toml``: the champion's models with their versions, and the fusion's version.

    Raises
    ------
    SettingError
        No such folder or file, or not of the form ``[panel] champion = {name = "1"}, fusion = "1"``.
    """
    path = directory / "active.toml"
    if not path.is_file():
        raise SettingError(f"the models folder {directory} has no active.toml; set models.directory to one that has")
    try:
        panel = tomllib.loads(read_bytes(path).decode("utf-8"))["panel"]
        champion, fusion = panel["champion"], panel["fusion"]
        members = list(champion.items())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise SettingError(f'{path} lacks [panel] with champion = {{name = "1"}} and fusion = "1" ({error})') from None
    if not members:
        raise SettingError(f"{path} names no champion; add at least one model to its champion line")
    checked = {check_name(name, "model", path): check_name(version, "version", path) for name, version in members}
    return checked, check_name(fusion, "version", path)


def _check_members(scorers: Sequence[OnnxScorer], fusion: FusionFile, path: Path) -> None:
    for scorer in scorers:
        member = fusion.members.get(scorer.name)
        if member is None or member.manifest_sha256 != scorer.manifest.manifest_sha256:
            raise ArtefactError(
                f"the fusion {path} was not fitted for model {scorer.name} version {scorer.manifest.version}; "
                "name a fusion and models of one training in active.toml"
            )
    for rule in fusion.subsets.values():
        if len(rule.weights) != len(rule.members) or not 0 < rule.review <= rule.step_up <= rule.decline < 1:
            raise ArtefactError(f"the fusion {path} has weights or thresholds out of range; {RETRAIN}")
    names = [scorer.name for scorer in scorers]
    every = {subset_key(some) for size in range(1, len(names) + 1) for some in combinations(names, size)}
    if missing := every - set(fusion.subsets):
        raise ArtefactError(f"the fusion {path} has no rule for {', '.join(sorted(missing))}; {RETRAIN}")
    if len(fusion.neutral_features) != len(fusion.features) or len(fusion.neutral_sequence) != len(fusion.channels):
        raise ArtefactError(f"the fusion {path} has neutral values for other features; {RETRAIN}")


def _weights(rule: SubsetFusion, names: Sequence[str]) -> F64:
    by_name = dict(zip(rule.members, rule.weights, strict=True))
    return np.array([by_name[name] for name in names])


def _sigmoid(logit: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return 1 / (1 + np.exp(-np.clip(logit, -60, 60)))


def _panel_hash(scorers: Sequence[OnnxScorer], fusion: FusionFile) -> str:
    parts = sorted(f"{scorer.name}={scorer.manifest.manifest_sha256}" for scorer in scorers)
    return hashlib.sha256("\n".join([*parts, fusion.manifest_sha256, fusion.features_hash]).encode()).hexdigest()
