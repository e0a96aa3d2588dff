"""Scores that were already computed: a run that was interrupted goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.protocols.figures import F64

_SOURCES = ("protocols/fdh_*.py", "detectors/*.py")


class Store:
    """Arrays by name in a folder of their own for this data, seed and code.

    Parameters
    ----------
    folder
        Where to keep them; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def scores(self, name: str, make: Callable[[], F64]) -> F64:
        """Read the array of a name, or make and keep it."""
        if self._folder is None:
            return make()
        path = self._folder / f"{name.replace('/', '-').replace(' ', '_')}.npy"
        if path.is_file():
            return np.asarray(np.load(path), np.float64)
        made = make()
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.part.npy")
        np.save(fresh, made)
        fresh.replace(path)
        return made


def cache_folder(data: Path, seed: int) -> Path:
    """Folder of a run's scores, named by the files, the seed and the code that makes them."""
    digest = hashlib.sha256(str(seed).encode())
    for file in sorted(data.glob("fdh_*")):
        told = file.stat()
        digest.update(f"{file.name} {told.st_size} {told.st_mtime_ns}".encode())
    here = Path(__file__).parents[1]
    for pattern in _SOURCES:
        for source in sorted(here.glob(pattern)):
            digest.update(source.read_bytes())
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fraudstream" / f"fdh-{digest.hexdigest()[:16]}"
