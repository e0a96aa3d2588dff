"""The contract beside each ONNX file and beside the fusion: read, checked, refused in one sentence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from stream.errors import ArtefactError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_VERSION = re.compile(r"[0-9]{1,6}")
RETRAIN = "restore the folder or train again with: fraudstream train all"


class Tensor(msgspec.Struct, frozen=True):
    """An input or output of a graph; None in ``shape`` is the batch."""

    name: str
    dtype: str
    shape: list[int | None]


class Calibration(msgspec.Struct, frozen=True):
    """Monotone piecewise-linear table from raw score to logit; flat beyond its ends."""

    raw: list[float]
    logit: list[float]


class TrainingWindow(msgspec.Struct, frozen=True):
    """What a model saw: times in ms UTC, counts of rows and labelled frauds, the hash of the matrices."""

    first_event_time: int
    last_event_time: int
    rows: int
    frauds: int
    labels: str
    data_sha256: str
    seed: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model's contract."""

    name: str
    version: str
    kind: str  # tabular | sequence
    inputs: list[Tensor]
    output: Tensor
    features: list[str]
    channels: list[str]
    features_version: str
    features_hash: str
    calibration: Calibration
    training: TrainingWindow
    simulated: bool
    parameters: int
    metrics: dict[str, float]
    sha256: str  # of model.onnx
    golden_sha256: str
    code_commit: str | None = None
    manifest_sha256: str = ""  # of this object without this field


class SubsetFusion(msgspec.Struct, frozen=True):
    """Fused logit = bias + weights · member logits, and the cuts on its score for this set of members."""

    members: list[str]
    bias: float
    weights: list[float]
    review: float
    step_up: float
    decline: float
    metrics: dict[str, float] = {}


class Member(msgspec.Struct, frozen=True):
    """The exact model that a fusion was fitted for."""

    version: str
    manifest_sha256: str


class FusionFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fusion of a panel, for every non-empty subset of its members (key: names joined by ``+``, sorted)."""

    version: str
    members: dict[str, Member]
    prior: float
    threshold_rule: str
    subsets: dict[str, SubsetFusion]
    features: list[str]
    channels: list[str]
    features_version: str
    features_hash: str
    neutral_features: list[float | None]
    neutral_sequence: list[float]
    simulated: bool
    metrics: dict[str, float]
    manifest_sha256: str = ""


@dataclass(frozen=True, slots=True)
class FeatureContract:
    """What the running code computes: columns of X, version and hash of the features, channels of S, in order."""

    names: tuple[str, ...]
    version: str
    digest: str
    channels: tuple[str, ...]


Contract = TypeVar("Contract", Manifest, FusionFile)


def subset_key(names: Sequence[str]) -> str:
    """Name a set of members, independent of their order."""
    return "+".join(sorted(names))


def seal(contract: Contract) -> bytes:
    """Encode a contract as JSON with its own hash filled in."""
    return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(contract, manifest_sha256=digest(contract))))


def digest(contract: Contract) -> str:
    """Hash the canonical JSON of a contract without its own hash (sha256, hex)."""
    bare = msgspec.structs.replace(contract, manifest_sha256="")
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


def read_bytes(path: Path) -> bytes:
    """Read a file of an artefact.

    Raises
    ------
    ArtefactError
        It is not there or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"the model artefact {path} cannot be read ({error.strerror}); {RETRAIN}") from None


def read_contract(path: Path, kind: type[Contract]) -> Contract:
    """Read and verify a manifest or a fusion.

    Raises
    ------
    ArtefactError
        Not JSON of this form, or changed since it was written.
    """
    data = read_bytes(path)
    try:
        contract = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"the model artefact {path} is damaged ({error}); {RETRAIN}") from None
    if digest(contract) != contract.manifest_sha256:
        raise ArtefactError(f"the model artefact {path} was changed after it was written; {RETRAIN}")
    return contract


def check_features(contract: Manifest | FusionFile, path: Path, code: FeatureContract) -> None:
    """Refuse an artefact that was trained for other features.

    Raises
    ------
    ArtefactError
        Version, hash, names or their order differ from the running code's.
    """
    if contract.features_version != code.version or contract.features_hash != code.digest:
        raise ArtefactError(
            f"the model artefact {path} was trained for features version {contract.features_version} "
            f"({contract.features_hash[:12]}), this code computes version {code.version} ({code.digest[:12]}); "
            "use the code it was trained with or train again with: fraudstream train all --replace"
        )
    if list(code.names) != contract.features or list(code.channels) != contract.channels:
        raise ArtefactError(f"the model artefact {path} names other features or in another order; {RETRAIN}")


def check_name(value: object, what: str, path: Path) -> str:
    """Let through only plain names and versions, so that no text of a file becomes a path of its own.

    Raises
    ------
    ArtefactError
        It is not a plain name (``what`` = "model") or number (``what`` = "version").
    """
    pattern = _VERSION if what == "version" else _NAME
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ArtefactError(f"{path} names the {what} {value!r}, which is no plain {what}; correct that line")
    return value
