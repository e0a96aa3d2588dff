"""A trained generator as a folder of plain files: arrays, texts, trees and a manifest; nothing that runs on loading."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from stream.errors import SettingError
from training.gan.catalogue import Catalogue
from training.gan.coding import Coder
from training.gan.layout import HEADS, STEPS
from training.gan.networks import Generator
from training.gan.ratio import Ratio
from training.gan.synthesis import Sampler
from training.gan.vocabulary import Vocabulary

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that makes transactions.

    Parameters
    ----------
    curves
        Of the training, by name.
    manifest
        What it was trained from and how.
    """

    words: Vocabulary
    sampler: Sampler
    curves: dict[str, list[float]]
    manifest: dict[str, Any]


def save(model: Model, folder: Path) -> str:
    """Write a model; gives the hash of its arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"net.{name}": value.numpy() for name, value in model.sampler.generator.state_dict().items()}
    texts: dict[str, Any] = {}
    for prefix, part in (("words", model.words), ("shop", model.words.shop), ("coder", model.words.coder)):
        for item in fields(part):
            value = getattr(part, item.name)
            if isinstance(value, np.ndarray):
                arrays[f"{prefix}.{item.name}"] = value
            elif not isinstance(value, Catalogue | Coder):
                texts[f"{prefix}.{item.name}"] = value
    if model.sampler.levels is not None:
        arrays["levels"] = model.sampler.levels
    np.savez_compressed(folder / "generator.npz", **arrays)
    weigher = model.sampler.weigher
    if isinstance(weigher, Ratio):
        (folder / "ratio.txt").write_text(weigher.text, encoding="utf-8")
    digest = hashlib.sha256((folder / "generator.npz").read_bytes()).hexdigest()
    manifest = {
        **model.manifest,
        "format": FORMAT,
        "steps": STEPS,
        "heads": [[name, size] for name, size in HEADS],
        "candidates": model.sampler.candidates,
        "sha256": digest,
        "curves": model.curves,
        "texts": texts,
    }
    (folder / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    return digest


def load(folder: Path) -> Model:
    """Read a model.

    Raises
    ------
    SettingError
        The folder holds none, another format's, or files that do not belong together.
    """
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
        data = (folder / "generator.npz").read_bytes()
    except (OSError, msgspec.DecodeError):
        raise SettingError(
            f"--model {folder} holds no generator; train one with: fraudstream synthesize transactions --history"
        ) from None
    if manifest.get("format") != FORMAT or manifest.get("heads") != [[name, size] for name, size in HEADS]:
        raise SettingError(f"--model {folder} was written by another release; train it again")
    if hashlib.sha256(data).hexdigest() != manifest["sha256"]:
        raise SettingError(f"--model {folder} was changed after it was written; train it again")
    with np.load(folder / "generator.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    words = Vocabulary(
        shop=Catalogue(**_part(arrays, "shop")),
        coder=Coder(**_part(arrays, "coder")),
        **_part(arrays, "words"),
        **{name.removeprefix("words."): value for name, value in manifest["texts"].items()},
    )
    weights = {name: torch.from_numpy(value) for name, value in _part(arrays, "net").items()}
    generator = Generator(len(weights["trunk.0.bias"]))
    generator.load_state_dict(weights)
    generator.eval()
    ratio = folder / "ratio.txt"
    weigher = Ratio(ratio.read_text(encoding="utf-8")) if ratio.is_file() else None
    curves = manifest.pop("curves")
    del manifest["texts"]
    return Model(words, Sampler(generator, weigher, manifest["candidates"], arrays.get("levels")), curves, manifest)


def _part(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    begin = f"{prefix}."
    return {name.removeprefix(begin): value for name, value in arrays.items() if name.startswith(begin)}
