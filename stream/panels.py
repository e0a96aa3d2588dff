"""Loading the panel that the settings name, with the features that this code computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stream.features import FEATURE_NAMES, FEATURES_HASH, FEATURES_VERSION, SEQUENCE_CHANNELS
from stream.resources import resource_path
from stream.scoring.panel import Panel
from stream.settings import Settings


def model_directory(settings: Settings) -> Path:
    """The folder with active.toml: the setting ``models.directory``, else the shipped models."""
    return settings.models.directory or resource_path("models")


def load_panel(settings: Settings, on_degraded: Callable[[str, str], None] | None = None) -> Panel:
    """Load and verify the champion panel.

    Parameters
    ----------
    on_degraded
        Called with a detector's name and the error when it is taken out of the panel while running.

    Raises
    ------
    ArtefactError
        An artefact's hash, features or golden rows do not match.
    SettingError
        The folder lacks active.toml, or the device cannot be had.
    """
    return Panel.load(
        model_directory(settings),
        feature_names=FEATURE_NAMES,
        features_version=FEATURES_VERSION,
        features_hash=FEATURES_HASH,
        channels=tuple(channel.name for channel in SEQUENCE_CHANNELS),
        device=settings.models.device,
        threads=settings.models.threads,
        on_degraded=on_degraded,
    )
