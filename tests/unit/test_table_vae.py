"""The VAE for tables: ranks, gaps, two modes, and the same score in its graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from sklearn.metrics import roc_auc_score

from training.detectors.table_vae import NormalScores, TableVAE


def rows(n: int = 500) -> np.ndarray:
    rng = np.random.default_rng(8)
    code = rng.normal(size=(n, 2))
    X = np.column_stack([np.exp(code[:, 0]), code[:, 0] * 3, code[:, 1], code.sum(axis=1), rng.integers(0, 2, n)])
    X[rng.random(X.shape) < 0.05] = np.nan
    X[:, 4] = np.where(np.isnan(X[:, 4]), 0.0, X[:, 4])
    return X.astype(np.float32)


def test_columns_become_normal_scores_whatever_their_scale() -> None:
    X = rows(2000)
    with torch.no_grad():
        z, missing = NormalScores(X, beyond=False)(torch.tensor(X))
    seen = ~np.isnan(X)
    assert np.array_equal(missing.numpy() > 0, ~seen)
    for j in range(4):
        values = z.numpy()[seen[:, j], j]
        assert abs(values.mean()) < 0.05
        assert abs(values.std() - 1) < 0.1
        order = np.argsort(X[seen[:, j], j])
        assert (np.diff(values[order]) >= -1e-5).all()
    assert len(np.unique(z.numpy()[:, 4].round(4))) == 2


def test_only_the_clean_mode_goes_on_beyond_the_range_seen() -> None:
    X = rows()
    far = np.nan_to_num(X[:2].copy())
    far[:, 3] = (20.0, 40.0)
    with torch.no_grad():
        inside, _ = NormalScores(X, beyond=False)(torch.tensor(far))
        beyond, _ = NormalScores(X, beyond=True)(torch.tensor(far))
    assert inside[0, 3] == inside[1, 3]
    assert inside[0, 3] < beyond[0, 3] < beyond[1, 3]


@pytest.mark.parametrize("mode", ["contaminated", "clean"])
def test_rows_that_break_the_rule_of_their_columns_score_high(mode: str) -> None:
    X = rows(1500)
    odd = np.nan_to_num(rows(1500)[:60].copy())
    odd[:, 1] *= -3.0
    odd[:, 3] += 6.0
    vae = TableVAE(mode, steps=250).fit(X, seed=1)  # type: ignore[arg-type]
    score = vae.raw_score(np.concatenate([X[:500], odd]))
    assert roc_auc_score(np.r_[np.zeros(500), np.ones(60)], score) > 0.9
    assert np.array_equal(vae.raw_score(X[:50]), TableVAE(mode, steps=250).fit(X, seed=1).raw_score(X[:50]))  # type: ignore[arg-type]


def test_the_graph_gives_the_same_score_with_gaps(tmp_path: Path) -> None:
    X = rows()
    vae = TableVAE(steps=60).fit(X, seed=2)
    vae.to_onnx(tmp_path / "vae.onnx")
    session = ort.InferenceSession(str(tmp_path / "vae.onnx"), providers=["CPUExecutionProvider"])
    for n in (1, 77):
        answer = session.run(["score"], {"x": X[:n]})[0]
        assert np.allclose(answer, vae.raw_score(X[:n]), atol=2e-3)


def test_the_explanation_points_at_the_cell() -> None:
    X = rows(1500)
    vae = TableVAE("clean", steps=300).fit(X, seed=3)
    odd = np.nan_to_num(X[:40].copy())
    odd[:, 3] += 8.0
    assert np.mean(vae.explain(odd).argmax(axis=1) == 3) > 0.7
    assert vae.features(X[:7]).shape == (7, 2 * 5 + 2 + 2)
