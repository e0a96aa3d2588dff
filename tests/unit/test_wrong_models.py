"""A models folder that cannot be trusted is refused in one sentence that names the file and the remedy."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from stream.errors import SettingError
from stream.panels import load_panel
from stream.resources import resource_path
from stream.scoring.manifest import Manifest, seal
from stream.settings import load


def first(folder: Path, name: str) -> Path:
    return min(folder.glob(f"*/*/{name}"))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def resealed(path: Path, **changes: str) -> None:
    manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    path.write_bytes(seal(msgspec.structs.replace(manifest, **changes)))


def active(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "active.toml").write_text(text)


@dataclasses.dataclass(frozen=True)
class Wrong:
    """What is done to a good folder, and what the sentence says."""

    harm: Callable[[Path], object]
    says: str


WRONG = {
    "no folder": Wrong(shutil.rmtree, r"has no active\.toml; set models\.directory"),
    "no model": Wrong(lambda at: first(at, "model.onnx").unlink(), r"model\.onnx cannot be read .*train again"),
    "damaged model": Wrong(lambda at: flip(first(at, "model.onnx")), r"model\.onnx does not match .*restore"),
    "damaged golden rows": Wrong(lambda at: flip(first(at, "golden.npz")), r"golden\.npz does not match .*restore"),
    "no golden rows": Wrong(lambda at: first(at, "golden.npz").unlink(), r"golden\.npz cannot be read .*restore"),
    "damaged manifest": Wrong(lambda at: flip(first(at, "manifest.json")), r"manifest\.json (is damaged|was changed)"),
    "empty manifest": Wrong(
        lambda at: first(at, "manifest.json").write_text(""), r"manifest\.json is damaged .*restore"
    ),
    "other manifest": Wrong(lambda at: first(at, "manifest.json").write_text("[]"), r"manifest\.json is damaged"),
    "other features": Wrong(
        lambda at: resealed(first(at, "manifest.json"), features_version="999"),
        r"was trained for features version 999 .*train again with: fraudstream train all --replace",
    ),
    "no fusion": Wrong(lambda at: shutil.rmtree(at / "fusion"), r"fusion\.json cannot be read .*restore"),
    "no TOML": Wrong(active("garbage ["), r"active\.toml lacks \[panel\]"),
    "empty active": Wrong(active(""), r"active\.toml lacks \[panel\]"),
    "number for a version": Wrong(active("[panel]\nchampion = { vae = 1 }\nfusion = '1'\n"), "correct that line"),
    "path for a model": Wrong(active("[panel]\nchampion = { '../x' = '1' }\nfusion = '1'\n"), "correct that line"),
    "unknown version": Wrong(
        active("[panel]\nchampion = { vae = '777' }\nfusion = '1'\n"), "cannot be read|not fitted"
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_untrusted_folder_is_named(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(resource_path("models"), folder)
    WRONG[name].harm(folder)
    with pytest.raises(SettingError, match=WRONG[name].says) as caught:
        load_panel(load(None, {"models": {"directory": folder, "device": "cpu"}}))
    assert "\n" not in str(caught.value)
