"""Artefacts that are missing, damaged, changed or made for other features: one sentence, naming file and remedy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scoring_fakes import EXPECTED, FakeRuntime, load, write_panel

from stream.errors import ArtefactError, SettingError
from stream.scoring.manifest import Manifest, read_contract, seal


def edit(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refusal(directory: Path, **options: object) -> str:
    with pytest.raises(SettingError) as caught:
        load(directory, **options)
    text = str(caught.value)
    assert "\n" not in text and ";" in text, "one sentence with its remedy"
    return text


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("one/1/model.onnx", "does not match the sha256"),
        ("two/1/golden.npz", "does not match the sha256"),
        ("one/1/manifest.json", "is damaged"),
        ("fusion/1/fusion.json", "is damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, said: str) -> None:
    path = write_panel(tmp_path) / file
    path.write_bytes(path.read_bytes()[:-40])
    text = refusal(tmp_path)
    assert file in text and said in text and "fraudstream train all" in text


@pytest.mark.parametrize(
    "file", ["one/1/model.onnx", "one/1/manifest.json", "two/1/golden.npz", "fusion/1/fusion.json"]
)
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    (write_panel(tmp_path) / file).unlink()
    text = refusal(tmp_path)
    assert file in text and "No such file" in text


@pytest.mark.parametrize("file", ["one/1/manifest.json", "fusion/1/fusion.json"])
def test_a_changed_contract_is_refused(tmp_path: Path, file: str) -> None:
    edit(write_panel(tmp_path) / file, lambda content: content.update(simulated=False))
    assert "was changed after it was written" in refusal(tmp_path)


def test_other_features_are_refused_with_both_versions(tmp_path: Path) -> None:
    write_panel(tmp_path)
    text = refusal(tmp_path, features_version="8")
    assert "version 7" in text and "version 8" in text and "fraudstream train all --replace" in text
    assert "other features or in another order" in refusal(tmp_path, feature_names=EXPECTED["feature_names"][::-1])
    assert "other features or in another order" in refusal(tmp_path, channels=("present",))


def test_golden_rows_that_score_otherwise_are_refused(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.spoil[1] = lambda raw: raw + 1e-3
    text = refusal(write_panel(tmp_path), runtime=runtime)
    assert "two/1/model.onnx" in text and "golden rows give other scores (difference 0.001)" in text


def test_a_calibration_that_falls_is_refused(tmp_path: Path) -> None:
    path = write_panel(tmp_path) / "one/1/manifest.json"
    edit(path, lambda content: content.update(calibration={"raw": [0, 1], "logit": [1, 0]}, manifest_sha256=""))
    manifest = json.loads(path.read_text())
    assert manifest["calibration"]["logit"] == [1, 0]
    resealed(path)
    assert "does not grow" in refusal(tmp_path)


def resealed(path: Path) -> None:
    import msgspec

    path.write_bytes(seal(msgspec.json.decode(path.read_bytes(), type=Manifest)))
    assert read_contract(path, Manifest)


def test_golden_rows_of_another_width_are_refused(tmp_path: Path) -> None:
    folder = write_panel(tmp_path) / "one/1"
    np.savez(folder / "golden.npz", x=np.ones((2, 5)), s=np.ones((2, 3, 2)), raw=np.ones(2))
    digest = hashlib.sha256((folder / "golden.npz").read_bytes()).hexdigest()
    edit(folder / "manifest.json", lambda content: content.update(golden_sha256=digest))
    resealed(folder / "manifest.json")
    assert "do not fit the features" in refusal(tmp_path)


def test_a_fusion_serves_only_the_models_that_it_was_fitted_for(tmp_path: Path) -> None:
    write_panel(tmp_path)
    write_panel(tmp_path)
    active = tmp_path / "active.toml"
    assert load(tmp_path).models[0].version == "2", "a new training is a new version and becomes the champion"
    active.write_text(active.read_text().replace('one = "2"', 'one = "1"').replace('fusion = "2"', 'fusion = "1"'))
    assert "not fitted for model two version 2" in refusal(tmp_path)


def test_rollback_is_one_line(tmp_path: Path) -> None:
    first = load(write_panel(tmp_path)).hash
    write_panel(tmp_path)
    (tmp_path / "active.toml").write_text('[panel]\nchampion = { one = "1", two = "1" }\nfusion = "1"\n')
    assert load(tmp_path).hash == first


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "has no active.toml"),
        ("not toml [", "lacks [panel]"),
        ('[panel]\nchampion = "one"\nfusion = "1"', "lacks [panel]"),
        ('[panel]\nchampion = {}\nfusion = "1"', "names no champion"),
        ('[panel]\nchampion = {"../one" = "1"}\nfusion = "1"', "no plain model"),
        ('[panel]\nchampion = {one = 1}\nfusion = "1"', "no plain version"),
        ('[panel]\nchampion = {one = "1", two = "1"}\nfusion = "../1"', "no plain version"),
        ('[panel]\nchampion = {one = "9"}\nfusion = "1"', "one/9/manifest.json"),
    ],
)
def test_a_wrong_active_file_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    path = write_panel(tmp_path) / "active.toml"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(SettingError) as caught:
        load(tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_an_artefact_error_is_a_setting_error() -> None:
    assert issubclass(ArtefactError, SettingError) and ArtefactError.exit_code == 2
