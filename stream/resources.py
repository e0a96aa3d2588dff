"""Files that travel with the package: models, schemas, the jar lock."""

from __future__ import annotations

from pathlib import Path

from stream.errors import SettingError

_PACKAGE = Path(__file__).resolve().parent


def resource_path(*parts: str) -> Path:
    """Find a shipped file or folder, such as ``resource_path("deploy", "kafka", "jars.lock")``.

    A checkout holds them beside the packages; an installed wheel holds them in ``stream/_resources``.

    Raises
    ------
    SettingError
        The file is in neither place: the installation is incomplete.
    """
    for root in (_PACKAGE.parent, _PACKAGE / "_resources"):
        candidate = root.joinpath(*parts)
        if candidate.exists() and (root != _PACKAGE.parent or (root / "stream").is_dir()):
            return candidate
    raise SettingError(f"the installation lacks {'/'.join(parts)}; install fraudstream again")


def is_checkout() -> bool:
    """Tell whether the code runs from a source checkout (models are replaced in place) or from a wheel."""
    return (_PACKAGE.parent / "pyproject.toml").is_file()
