"""NAB's scoring: rewards for early detections inside windows, costs outside, one threshold for all files.

Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms", ICMLA 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.detectors.base import F64

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a detection is worth, what a false and a missed one cost."""

    hit: float
    false: float
    missed: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "low FP": Profile(1.0, 0.22, 1.0),
    "low FN": Profile(1.0, 0.11, 2.0),
}
_LATE = 3.0


@dataclass(frozen=True, slots=True)
class Marked:
    """A file's windows as the scorer sees them.

    Parameters
    ----------
    length
        Rows of the file.
    windows
        (w, 2) first and last row of each window, in order.
    probation
        Rows at the start that are not scored.
    """

    length: int
    windows: I64
    probation: int


def probation_of(length: int) -> int:
    """Rows that are not scored: 15 %, at most 750."""
    return min(int(0.15 * length), 750)


def sigmoid(position: F64) -> F64:
    """NAB's scaled sigmoid: +1 far left of a window's end, 0 at its end, -1 far right."""
    value = 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 50.0))) - 1.0
    return np.where(position > _LATE, -1.0, value)


def values_of_rows(marked: Marked, profile: Profile) -> tuple[F64, I64]:
    """Give what a detection at each row adds, (n,), and the window that it hits, (n,) or -1."""
    rows = np.arange(marked.length)
    worth = np.full(marked.length, -profile.false)
    window = np.full(marked.length, -1)
    best = sigmoid(np.array([-1.0]))[0]
    for k, (first, last) in enumerate(marked.windows):
        width = last - first + 1
        inside = (rows >= first) & (rows <= last)
        worth[inside] = profile.hit * sigmoid(-(last - rows[inside] + 1) / width) / best
        window[inside] = k
        until = marked.windows[k + 1, 0] if k + 1 < len(marked.windows) else marked.length
        after = (rows > last) & (rows < until)
        worth[after] = profile.false * sigmoid((rows[after] - last) / (width - 1)) if width > 1 else -profile.false
    return worth, window


class Sweep:
    """Score of every threshold over several files.

    Parameters
    ----------
    files
        Windows of each file.
    scores
        Anomaly scores of each file, (n,), larger = stranger.
    profile
        Rewards and costs.
    """

    def __init__(self, files: Sequence[Marked], scores: Sequence[F64], profile: Profile) -> None:
        worth, window, score = [], [], []
        windows = 0
        for marked, found in zip(files, scores, strict=True):
            value, hit = values_of_rows(marked, profile)
            keep = slice(marked.probation, None)
            worth.append(value[keep])
            window.append(np.where(hit >= 0, hit + windows, -1)[keep])
            score.append(np.asarray(found, np.float64)[keep])
            windows += len(marked.windows)
        self._profile, self._windows = profile, windows
        self.thresholds, self._raw = _totals(
            np.concatenate(worth), np.concatenate(window), np.concatenate(score), profile.missed
        )

    def best(self) -> tuple[float, float]:
        """Highest score, 0 to 100, and the threshold that gives it; the choice sees the labels, as NAB's does."""
        at = int(np.argmax(self._raw))
        return self._scaled(self._raw[at]), float(self.thresholds[at])

    def at(self, threshold: float) -> float:
        """Score when rows at or above `threshold` are detections."""
        at = int(np.searchsorted(-self.thresholds, -threshold, side="right")) - 1
        return self._scaled(self._raw[at])

    def _scaled(self, raw: float) -> float:
        nothing = -self._profile.missed * self._windows
        return float(100 * (raw - nothing) / (self._profile.hit * self._windows - nothing))


def _totals(worth: F64, window: I64, score: F64, missed: float) -> tuple[F64, F64]:
    """Thresholds, falling from infinity, and the summed score at each."""
    order = np.argsort(-score, kind="stable")
    worth, window, score = worth[order], window[order], score[order]
    gain = np.where(window < 0, worth, 0.0)
    inside = np.flatnonzero(window >= 0)
    inside = inside[np.argsort(window[inside], kind="stable")]
    for rows in np.split(inside, np.flatnonzero(np.diff(window[inside])) + 1):
        if len(rows):
            best = np.maximum.accumulate(np.concatenate(([-missed], worth[rows])))
            gain[rows] = np.diff(best)
    nothing = -missed * len(np.unique(window[inside]))
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    return np.append(np.inf, score[last]), np.append(nothing, nothing + np.cumsum(gain)[last])
