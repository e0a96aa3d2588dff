"""Small helps that every command shares; imports nothing heavy."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import msgspec

from stream.errors import SettingError


def require_extra(module: str, extra: str) -> None:
    """Stop with one sentence when an optional package is missing.

    Raises
    ------
    SettingError
        The package is not installed; the text names the extra that brings it.
    """
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise SettingError(
            f"this command needs {module}; install it with: pip install 'fraudstream[{extra}]'"
        ) from error


def emit_json(value: Any, path: Path | None = None) -> None:
    """Write one JSON object, to stdout or to a file; non-finite numbers become null."""
    data = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    if path is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
