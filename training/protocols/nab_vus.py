"""VUS-PR on NAB's files that TSB-AD contains: the volume under precision-recall curves of widened labels.

Paparrizos et al., "Volume under the surface", VLDB 2022, with the settings of TSB-AD: 250 thresholds, label ranges
that fade out with a square root on either side, recall times the share of ranges found.
"""

from __future__ import annotations

import numpy as np

from training.detectors.base import F64
from training.protocols.nab_data import NabFile
from training.protocols.nab_scoring import I64

TSB_FILES = (
    "artificialWithAnomaly/art_increase_spike_density.csv",
    "artificialWithAnomaly/art_load_balancer_spikes.csv",
    "realAWSCloudwatch/ec2_cpu_utilization_5f5533.csv",
    "realAdExchange/exchange-3_cpm_results.csv",
    "realKnownCause/ambient_temperature_system_failure.csv",
    "realKnownCause/cpu_utilization_asg_misconfiguration.csv",
    "realKnownCause/ec2_request_latency_system_failure.csv",
    "realKnownCause/nyc_taxi.csv",
    "realKnownCause/rogue_agent_key_hold.csv",
    "realTraffic/TravelTime_451.csv",
    "realTraffic/occupancy_6005.csv",
    "realTraffic/speed_6005.csv",
    "realTraffic/speed_t4013.csv",
    "realTweets/Twitter_volume_FB.csv",
)
PUBLISHED = {"POLY": 0.376, "AutoEncoder": 0.337, "Sub-PCA": 0.331, "OmniAnomaly": 0.159, "CNN": 0.155, "LSTMAD": 0.143}
_THRESHOLDS = 250
_USUAL_WINDOW = 125


def vus_pr(labels: F64, scores: F64, widest: int) -> float:
    """Mean area under the range precision-recall curve over label margins of 0 to `widest` points.

    Parameters
    ----------
    labels, scores
        (n,) 0 or 1 with at least one range of ones, and larger = stranger.
    widest
        Points by which a range may be widened on either side.
    """
    ranges = _ranges(labels)
    cuts = -np.sort(-scores)[np.linspace(0, len(scores) - 1, _THRESHOLDS).astype(int)]
    found = (scores[None, :] >= cuts[:, None]).astype(np.float64)
    before = np.cumsum(np.pad(found, ((0, 0), (1, 0))), axis=1)
    return float(np.mean([_area(labels, ranges, found, before, margin) for margin in range(widest + 1)]))


def period_of(values: F64) -> int:
    """The lag of the highest peak of the autocorrelation between 3 and 300 points; 125 where there is none."""
    values = values[:20000] - values[:20000].mean()
    n = len(values)
    spectrum = np.fft.rfft(values, 2 * n)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum))[: min(401, n)]
    correlation = correlation[3:] / max(correlation[0], 1e-300)
    peaks = np.flatnonzero((correlation[1:-1] > correlation[:-2]) & (correlation[1:-1] > correlation[2:])) + 1
    if not len(peaks):
        return _USUAL_WINDOW
    best = int(peaks[np.argmax(correlation[peaks])])
    return best + 3 if 3 <= best <= 300 else _USUAL_WINDOW


def tsb_vus(files: list[NabFile], scores: list[F64]) -> dict[str, float]:
    """VUS-PR of each file that TSB-AD took: without the first row, a window's label from its second row on."""
    out = {}
    for file, score in zip(files, scores, strict=True):
        if file.name in TSB_FILES:
            labels = np.zeros(len(file.values))
            for first, last in file.marked.windows:
                labels[first + 1 : last + 1] = 1.0
            out[file.name] = vus_pr(labels[1:], score[1:], period_of(file.values[1:]))
    return out


def _ranges(labels: F64) -> I64:
    edges = np.diff(np.concatenate(([0.0], labels, [0.0])))
    return np.column_stack((np.flatnonzero(edges > 0), np.flatnonzero(edges < 0) - 1))


def _area(labels: F64, ranges: I64, found: F64, before: F64, margin: int) -> float:
    """Area under one curve.

    Parameters
    ----------
    labels, ranges, margin
        See `vus_pr`.
    found
        (k, n) 1 where a score reaches the threshold; thresholds fall.
    before
        (k, n + 1) how many are found before each point.
    """
    wide = _widened(labels, ranges, margin)
    spans = _ranges((wide > 0).astype(np.float64))
    hit = np.stack([before[:, last + 1] > before[:, first] for first, last in spans], axis=1).mean(axis=1)
    inside = found @ wide
    # a point of the margin counts as a positive only where it is found, so that missing it costs nothing
    positives = (labels.sum() + labels.sum() + inside - found @ labels) / 2
    recall = np.minimum(inside / positives, 1.0) * hit
    return float(np.sum(np.diff(recall, prepend=0.0) * inside / before[:, -1]))


def _widened(labels: F64, ranges: I64, margin: int) -> F64:
    wide = labels.copy()
    n = len(labels)
    for first, last in ranges:
        after = np.arange(last + 1, min(last + margin // 2 + 1, n))
        before = np.arange(max(first - margin // 2, 0), first)
        if margin:
            wide[after] += np.sqrt(1 - (after - last) / margin)
            wide[before] += np.sqrt(1 - (first - before) / margin)
    return np.minimum(wide, 1.0)
