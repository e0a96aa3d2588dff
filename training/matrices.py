"""Sample matrices kept on disk, so that a second training need not replay the history; bound to their features."""

from __future__ import annotations

import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from stream.errors import SettingError
from stream.scoring.manifest import FeatureContract
from training.samples import Samples

_CONTRACT = ("names", "version", "digest", "channels")


def save_parts(path: Path, parts: dict[str, Samples], code: FeatureContract) -> None:
    """Write parts of a history, by name, with the features that they were computed with, as one .npz file.

    Raises
    ------
    SettingError
        The file cannot be written.
    """
    arrays = {f"{name}.{f.name}": getattr(rows, f.name) for name, rows in parts.items() for f in fields(Samples)}
    arrays |= {f"features.{name}": np.asarray(getattr(code, name)) for name in _CONTRACT}
    try:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise SettingError(f"the matrices {path} cannot be written: {error.strerror}") from None


def load_parts(path: Path, code: FeatureContract) -> dict[str, Samples]:
    """Read what `save_parts` wrote.

    Raises
    ------
    SettingError
        It is no such file, or its features are of another version than the running code's.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        version, digest = (str(arrays[f"features.{name}"]) for name in ("version", "digest"))
        if (version, digest) != (code.version, code.digest):
            raise SettingError(
                f"the matrices {path} hold features of version {version} ({digest[:12]}), but this fraudstream "
                f"computes version {code.version} ({code.digest[:12]}); make them anew from the history"
            )
        return _parts(arrays)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise SettingError(
            f"the matrices {path} cannot be read ({type(error).__name__}); make them with: fraudstream train "
            "--save-matrices FILE.npz"
        ) from None


def _parts(arrays: dict[str, Any]) -> dict[str, Samples]:
    names = dict.fromkeys(name.split(".", 1)[0] for name in arrays if not name.startswith("features."))
    return {name: Samples(**{f.name: arrays[f"{name}.{f.name}"] for f in fields(Samples)}) for name in names}
