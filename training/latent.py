"""A map of transactions in two dimensions: the codes of a variational autoencoder that never sees a label.

Source of the method: Kingma & Welling, Auto-Encoding Variational Bayes (2014), whose figure 4 draws such maps. The
yardstick beside it is the plane of the first two principal components of the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from training.detectors.vae import VAE
from training.samples import Samples

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Say = Callable[[str], None]
NEIGHBOURS = 10
LEARNT = 0.6  # of the time; the map shows the rest
_MOST_LEARNT, _MOST_SHOWN = 20_000, 4_000


@dataclass(frozen=True, slots=True)
class Map:
    """Rows that nothing was learnt from, as many honest as fraudulent ones, in two planes.

    Parameters
    ----------
    vae, pca
        (n, 2) codes, and first two principal components.
    fraud, story
        (n,) the truth, and its kind where the history tells it.
    purity
        By plane: share of the 10 nearest neighbours that are of the row's own kind; chance is one half.
    """

    vae: F64
    pca: F64
    fraud: Mask
    story: npt.NDArray[np.str_]
    purity: dict[str, float]


def map_of(samples: Samples, *, seed: int, steps: int = 3000, say: Say = lambda _: None) -> Map:
    """Learn the map from the earlier rows, without their labels, and show later ones.

    Raises
    ------
    ValueError
        The later rows have fewer than 20 frauds.
    """
    rng = np.random.default_rng(seed)
    early = samples.event_time < np.quantile(samples.event_time, LEARNT)
    learn = samples.X[rng.permutation(np.flatnonzero(early))[:_MOST_LEARNT]]
    shown = _balanced(samples, ~early, rng)
    say(f"learning a map from {len(learn):,} rows without labels, to show {len(shown):,} later ones")
    vae = VAE(hidden=96, latent=2, beta=0.1, steps=steps).fit(learn, seed=seed)
    later = samples.take(shown)
    codes, pca = codes_of(vae, later.X), _components(vae, learn, later.X)
    purity = {"vae": neighbour_purity(codes, later.fraud), "pca": neighbour_purity(pca, later.fraud)}
    return Map(codes, pca, later.fraud, later.story, purity)


def _balanced(samples: Samples, later: Mask, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    fraud = rng.permutation(np.flatnonzero(later & samples.fraud))[: _MOST_SHOWN // 2]
    if len(fraud) < 20:
        raise ValueError(f"the later part of the history has {len(fraud)} frauds; a map needs 20")
    honest = rng.permutation(np.flatnonzero(later & ~samples.fraud))[: len(fraud)]
    return np.sort(np.concatenate([fraud, honest]))


def codes_of(vae: VAE, X: F32) -> F64:
    """The means of the codes of rows X (n, d), as (n, latent)."""
    net = vae.module
    if net is None:
        raise ValueError("the autoencoder is not fitted")
    with torch.no_grad():
        z, missing = net.scaler(torch.tensor(np.ascontiguousarray(X, np.float32)))
        return net.encode(torch.cat([z, missing], dim=1))[:, : net.latent].numpy().astype(np.float64)


def _components(vae: VAE, learn: F32, X: F32) -> F64:
    """The first two principal components of the inputs that the autoencoder sees: scaled cells and their masks."""
    from sklearn.decomposition import PCA

    net = vae.module
    assert net is not None  # noqa: S101 - fitted just before
    with torch.no_grad():
        inputs = [torch.cat(net.scaler(torch.tensor(part)), dim=1).numpy() for part in (learn, np.ascontiguousarray(X))]
    return np.asarray(PCA(2, random_state=0).fit(inputs[0]).transform(inputs[1]), np.float64)


def neighbour_purity(points: F64, fraud: Mask, k: int = NEIGHBOURS) -> float:
    """Share of each point's k nearest others that are of its kind, as a mean over points."""
    from sklearn.neighbors import NearestNeighbors

    scaled = (points - points.mean(axis=0)) / np.maximum(points.std(axis=0), 1e-12)
    near = NearestNeighbors(n_neighbors=min(k, len(points) - 1)).fit(scaled).kneighbors(return_distance=False)
    return float((fraud[near] == fraud[:, None]).mean())


def draw(found: Map, path: Path) -> None:
    """Draw both planes side by side, frauds by story, into a PNG or SVG file."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6.2), layout="constrained")
    kinds = sorted(set(found.story[found.fraud].tolist()))
    for axes, points, name in zip(figure.subplots(1, 2), (found.vae, found.pca), ("vae", "pca"), strict=True):
        honest = points[~found.fraud]
        axes.scatter(honest[:, 0], honest[:, 1], s=7, c="lightgrey", label="honest")
        for number, kind in enumerate(kinds):
            here = points[found.fraud & (found.story == kind)]
            colour = colormaps["tab10"](number % 10)
            axes.scatter(here[:, 0], here[:, 1], s=10, color=colour, alpha=0.75, label=kind or "fraud")
        low, high = np.quantile(points, [0.002, 0.998], axis=0)
        room = 0.05 * (high - low) + 1e-9
        axes.set(xlim=(low[0] - room[0], high[0] + room[0]), ylim=(low[1] - room[1], high[1] + room[1]))
        title = {"vae": "variational autoencoder, 2 codes", "pca": "first 2 principal components"}[name]
        axes.set_title(f"{title}: {found.purity[name]:.3f} of {NEIGHBOURS} neighbours are of one's own kind")
    figure.axes[0].legend(fontsize=8, markerscale=2)
    figure.savefig(path, dpi=110)
