"""The panel of the running code: the models folder with its active.toml, verified against the stream's features."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from stream.events import F32, ModelRef
from stream.profile import StreamProfile, load_profile
from stream.scoring.panel import Panel, PanelScores, Thresholds
from stream.settings import Settings


class RulesAlone:
    """Stands where a stream has no models: every score is missing, and rules decide."""

    def __init__(self, profile: StreamProfile) -> None:
        self.models: list[ModelRef] = []
        self.simulated = False
        self.device_info: dict[str, str] = {}
        self.hash = hashlib.sha256(b"rules alone").hexdigest()
        self.thresholds = Thresholds(1.0, 1.0, 1.0)
        self.neutral_features: F32 = np.array([feature.neutral for feature in profile.features], np.float32)
        self.neutral_sequence: F32 = np.array([channel.neutral for channel in profile.channels], np.float32)

    def score(self, X: F32, S: F32) -> PanelScores:
        """No score, and nothing is degraded."""
        nothing = np.full(len(X), np.nan)
        return PanelScores((), np.empty((len(X), 0), np.float32), nothing, nothing, False, self.thresholds)


def load_panel(settings: Settings, on_degraded: Callable[[str, str], None] | None = None) -> Panel | RulesAlone:
    """Load and verify the champion panel; none where neither the settings nor the stream's profile name one.

    Parameters
    ----------
    on_degraded
        Called with a detector's name and the error when it is taken out of the panel while running.

    Raises
    ------
    ArtefactError
        An artefact's hash, features or golden rows do not match.
    SettingError
        The folder lacks active.toml, the device cannot be had, or there is no such profile.
    """
    profile = load_profile(settings.engine.profile)
    directory = settings.models.directory or profile.panel
    if directory is None:
        return RulesAlone(profile)
    return Panel.load(
        directory,
        feature_names=profile.feature_names,
        features_version=profile.version,
        features_hash=profile.program.hash,
        channels=tuple(channel.name for channel in profile.channels),
        device=settings.models.device,
        threads=settings.models.threads,
        on_degraded=on_degraded,
    )
