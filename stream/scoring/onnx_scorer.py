"""One detector as ONNX: verified at load, raw score to calibrated logit."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream.errors import ArtefactError
from stream.events import F32, F64, ModelRef
from stream.scoring.device import CPU, CUDA, Placement, Session, candidates, describe, first_line, open_on, refusal
from stream.scoring.manifest import RETRAIN, FeatureContract, Manifest, check_features, read_bytes, read_contract

GOLDEN_TOLERANCE = 1e-4
PIECE = 1024  # rows a run on a CPU: what a model makes of more of them leaves the caches, and costs up to twice as much
_BUCKETS = (1, 8, 64, 512, 2048)


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs with the raw scores that the trained model gave them."""

    x: F32
    s: F32
    raw: F64


class OnnxScorer:
    """Serving wrapper of one trained detector."""

    def __init__(self, manifest: Manifest, session: Session, device: str, fallback: str = "") -> None:
        self.manifest = manifest
        self.device = device
        self.fallback = fallback
        self._session = session
        self._inputs = [tensor.name for tensor in manifest.inputs]
        self._output = [manifest.output.name]
        self._knots = np.asarray(manifest.calibration.raw, np.float64)
        self._logits = np.asarray(manifest.calibration.logit, np.float64)

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def ref(self) -> ModelRef:
        """The model as alerts name it."""
        return ModelRef(self.manifest.name, self.manifest.version, self.manifest.sha256)

    def raw(self, X: F32, S: F32) -> F64:
        """Score rows on the model's own scale.

        Parameters
        ----------
        X
            (n, d) features, NaN where missing.
        S
            (n, K, C) windows, newest step last.

        Returns
        -------
        (n,) float64, higher = riskier.
        """
        step = len(X) if self.device == "cuda" else PIECE
        if len(X) <= step:
            return self._run(X, S)
        return np.concatenate([self._run(X[k : k + step], S[k : k + step]) for k in range(0, len(X), step)])

    def _run(self, X: F32, S: F32) -> F64:
        feed = {name: X if name == "x" else S for name in self._inputs}
        out = self._session.run(self._output, feed)[0]
        return np.asarray(out, np.float64).reshape(len(X))

    def logit(self, raw: F64) -> F64:
        """Calibrate raw scores: the logit of the probability of fraud, (n,)."""
        return np.interp(raw, self._knots, self._logits)

    @classmethod
    def load(cls, folder: Path, *, code: FeatureContract, placement: Placement) -> OnnxScorer:
        """Load ``model.onnx``, ``manifest.json`` and ``golden.npz`` of one version.

        Raises
        ------
        ArtefactError
            Hash, signature, features or golden rows do not match.
        SettingError
            The device is cuda and there is none.
        """
        manifest = read_contract(folder / "manifest.json", Manifest)
        check_features(manifest, folder / "manifest.json", code)
        _check_calibration(manifest, folder)
        model = _verified(folder / "model.onnx", manifest.sha256)
        golden = _golden(folder / "golden.npz", manifest)
        providers, reason = candidates(placement.device, placement.runtime)
        for provider in providers:
            try:
                session = open_on(provider, model, placement)
                fallback = "" if reason == "chosen" else reason
                scorer = cls(manifest, session, describe(provider, fallback), fallback)
                scorer._check_signature()
                scorer._replay(golden)
            except RuntimeError as error:
                if provider == CUDA and placement.device == "cuda":
                    raise refusal(str(error)) from error
                if provider == CPU:
                    raise ArtefactError(f"the model {folder / 'model.onnx'} is refused: {error}; {RETRAIN}") from error
                reason = str(error)
            else:
                scorer._warm_up(golden)
                return scorer
        raise AssertionError("the last provider either loads or raises")

    def _check_signature(self) -> None:
        inputs = sorted(item.name for item in self._session.get_inputs())
        if inputs != sorted(self._inputs) or not set(inputs) <= {"x", "s"}:
            raise RuntimeError(f"its inputs are {', '.join(inputs)}, its manifest says {', '.join(self._inputs)}")

    def _replay(self, golden: Golden) -> None:
        try:
            raw = self.raw(golden.x, golden.s)
        except Exception as error:
            # a binary runtime raises classes of its own; whatever it is, this device cannot score this model
            raise RuntimeError(f"its golden rows cannot be scored ({first_line(error)})") from error
        if not np.allclose(raw, golden.raw, rtol=GOLDEN_TOLERANCE, atol=GOLDEN_TOLERANCE):
            worst = float(np.nanmax(np.abs(raw - golden.raw))) if np.isfinite(raw).any() else float("nan")
            raise RuntimeError(f"its golden rows give other scores (difference {worst:.2g})")

    def _warm_up(self, golden: Golden) -> None:
        buckets = _BUCKETS if self.device == "cuda" else _BUCKETS[:2]
        for size in buckets:
            rows = np.resize(np.arange(len(golden.x)), size)
            self.raw(golden.x[rows], golden.s[rows])


def _verified(path: Path, sha256: str) -> bytes:
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArtefactError(f"the model artefact {path} does not match the sha256 of its manifest; {RETRAIN}")
    return data


def _golden(path: Path, manifest: Manifest) -> Golden:
    data = _verified(path, manifest.golden_sha256)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            golden = Golden(
                arrays["x"].astype(np.float32), arrays["s"].astype(np.float32), arrays["raw"].astype(np.float64)
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"the golden rows {path} are damaged ({error}); {RETRAIN}") from None
    sizes = {len(golden.x), len(golden.s), len(golden.raw)}
    wide = golden.x.ndim == 2 and golden.x.shape[1] == len(manifest.features)
    deep = golden.s.ndim == 3 and golden.s.shape[2] == len(manifest.channels)
    if not wide or not deep or len(sizes) != 1 or 0 in sizes:
        raise ArtefactError(f"the golden rows {path} do not fit the features of their manifest; {RETRAIN}")
    return golden


def _check_calibration(manifest: Manifest, folder: Path) -> None:
    raw, logit = np.asarray(manifest.calibration.raw), np.asarray(manifest.calibration.logit)
    grows = len(raw) > 1 and len(raw) == len(logit) and (np.diff(raw) > 0).all() and (np.diff(logit) >= 0).all()
    if not grows or not np.isfinite(raw).all() or not np.isfinite(logit).all():
        raise ArtefactError(
            f"the calibration in {folder / 'manifest.json'} does not grow with the raw score; {RETRAIN}"
        )
