"""Whether generated records give away the ones that were learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
AXES = 32


def privacy(train: Array, held_out: Array, made: Array, seed: int) -> dict[str, float]:
    """Compare how near generated records are to those learned from and to as many held-out ones.

    Parameters
    ----------
    train, held_out, made
        (n, d) records in one scale.

    Returns
    -------
    dict
        ``closest_share``: of the generated records, how many are nearer to a learned record than to any held-out one
        (.5 is what chance gives). ``membership_auc`` and ``membership_tpr``: an attacker who calls records members
        whose distance to the closest generated record is small (Chen 2020), the latter at 1 % false positives.
        ``copies``: generated records equal to a learned one to six digits.
    """
    rng = np.random.default_rng(seed)
    size = min(len(train), len(held_out))
    a, b = (x[rng.permutation(len(x))[:size]].astype(np.float64) for x in (train, held_out))
    axes = _axes(np.concatenate([a, b]))
    a_, b_, m_ = (x @ axes for x in (a, b, made.astype(np.float64)))
    to_train, to_held = closest(m_, a_), closest(m_, b_)
    ties = to_train == to_held
    share = float((to_train < to_held)[~ties].mean()) if (~ties).any() else 0.5
    members, others = -closest(a_, m_), -closest(b_, m_)
    return {
        "records": float(size),
        "closest_share": share,
        "membership_auc": _auc(members, others),
        "membership_tpr": true_positives(members, others),
        "copies": float(copies(train, made)),
    }


def closest(records: Array, others: Array) -> npt.NDArray[np.float64]:
    """Distance of each record to the nearest of others."""
    from sklearn.neighbors import NearestNeighbors

    distance, _ = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(others).kneighbors(records)
    return np.asarray(distance[:, 0], np.float64)


def copies(train: Array, made: Array) -> int:
    """Generated records that equal a learned one to six digits."""
    known = {row.tobytes() for row in np.round(train.astype(np.float64), 6) + 0.0}
    return sum(row.tobytes() in known for row in np.round(made.astype(np.float64), 6) + 0.0)


def true_positives(members: Array, others: Array, false_positives: float = 0.01) -> float:
    """Share of members above the score that so many non-members exceed."""
    return float((members > np.quantile(others, 1 - false_positives, method="higher")).mean())


def _axes(x: Array) -> Array:
    """Principal axes of the records, at most `AXES`: distances in few dimensions tell an attacker more."""
    centred = x - x.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return vectors[:, ::-1][:, :AXES]


def _auc(members: Array, others: Array) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.repeat([1, 0], [len(members), len(others)]), np.concatenate([members, others])))
