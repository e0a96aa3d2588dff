"""Probability of default by a support vector machine with an RBF kernel, cross-fitted, with reasons.

Every row whose outcome is known is judged by a machine, a calibration and a threshold that never saw it.

Source of the method: Cortes & Vapnik, Support-Vector Networks (1995); Platt, Probabilistic Outputs for Support Vector
Machines (1999).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from stream.errors import SettingError
from training.calibrate import sigmoid
from training.credit_table import Coder, Column

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
LEAST_OF_A_CLASS = 20
MOST_ROWS = 8000
FOLDS = 5
_BLOCK = 1024


class Machine:
    """SVM with an RBF kernel, C = 1 and gamma = 1 / (columns x variance), on coded attributes."""

    def __init__(self, columns: Sequence[Column], y: F64, *, seed: int, cost: float = 1.0) -> None:
        rows = _some(y, MOST_ROWS, seed)
        self.coder = Coder([column.take(rows) for column in columns])
        X = self.coder([column.take(rows) for column in columns])
        self._gamma = 1.0 / max(X.shape[1] * float(X.var()), 1e-9)
        machine = SVC(C=cost, kernel="rbf", gamma=self._gamma, cache_size=500).fit(X, y[rows])
        self._vectors, self._weights = machine.support_vectors_, machine.dual_coef_[0]
        self._bias = float(machine.intercept_[0])

    def coded_margin(self, X: F64) -> F64:
        """Margin of coded rows (n, width) -> (n,)."""
        out = np.empty(len(X))
        for start in range(0, len(X), _BLOCK):
            kernel = rbf_kernel(X[start : start + _BLOCK], self._vectors, gamma=self._gamma)
            out[start : start + _BLOCK] = kernel @ self._weights + self._bias
        return out

    def margin(self, columns: Sequence[Column]) -> F64:
        """Margin of applicants, (n,); higher = riskier."""
        return self.coded_margin(self.coder(columns))

    def effects(self, columns: Sequence[Column], background: Sequence[Column]) -> F64:
        """How far each attribute moved a row's margin, (n, attributes).

        The margin minus its mean when the attribute alone takes the values of the background rows.
        """
        X, B = self.coder(columns), self.coder(background)
        out = np.zeros((len(X), len(columns)))
        for start in range(0, len(X), _BLOCK):
            rows = X[start : start + _BLOCK]
            kernel = rbf_kernel(rows, self._vectors, gamma=self._gamma)
            own = kernel @ self._weights
            for j, part in enumerate(self.coder.slices.values()):
                # the kernel is a product over attributes: one factor is taken out, and the background's put in
                vectors = self._vectors[:, part]
                factor = rbf_kernel(vectors, B[:, part], gamma=self._gamma).mean(axis=1)
                without = kernel / rbf_kernel(rows[:, part], vectors, gamma=self._gamma)
                out[start : start + _BLOCK, j] = own - without @ (self._weights * factor)
        return out


@dataclass(frozen=True, slots=True)
class Platt:
    """Logit of the probability as a line in the margin."""

    slope: float
    offset: float

    def __call__(self, margin: F64) -> F64:
        """Map margins to logits, (n,) -> (n,)."""
        return self.slope * margin + self.offset


def platt(margin: F64, y: F64) -> Platt:
    """Fit the line on margins of rows that the machine did not see."""
    line = LogisticRegression(C=1e3).fit(margin[:, None], y)
    return Platt(max(float(line.coef_[0, 0]), 1e-6), float(line.intercept_[0]))


@dataclass(frozen=True, slots=True)
class Credit:
    """What the command answers with, by row of the file.

    Parameters
    ----------
    logit
        (n,) logit of default; of rows with a known outcome by a machine that never saw them.
    effects
        (n, attributes) what each attribute added to the logit.
    fold
        (n,) which machine judged the row; -1 = the mean of all, for rows without an outcome.
    machines, lines, background
        To judge others with.
    """

    logit: F64
    effects: F64
    fold: I64
    machines: list[Machine]
    lines: list[Platt]
    background: list[Column]


def check_outcomes(y: F64, target: str) -> None:
    """Refuse what cannot be learnt from.

    Raises
    ------
    SettingError
        One class only, or too few of one.
    """
    bad, good = int(np.nansum(y)), int((y == 0).sum())
    if not bad or not good:
        raise SettingError(f"the target {target} knows only {'bad' if bad else 'good'} rows; learning needs both")
    if min(bad, good) < LEAST_OF_A_CLASS:
        fewer = "bad" if bad < good else "good"
        raise SettingError(
            f"the target {target} has {min(bad, good)} {fewer} rows; at least {LEAST_OF_A_CLASS} of each are needed"
        )


def fit_credit(
    columns: Sequence[Column], y: F64, *, seed: int, say: Callable[[str], None], cost: float = 1.0, why: bool = True
) -> Credit:
    """Train one machine a fold, calibrate across folds, judge every row.

    Parameters
    ----------
    columns, y
        Attributes, and outcomes (n,): 1 bad, 0 good, NaN not known.
    seed
        Of the folds and of the background rows.
    say
        Takes progress.
    cost
        Weight of rows on the wrong side against the width of the margin.
    why
        Also find what moved each row; takes most of the time.
    """
    known = np.flatnonzero(np.isfinite(y))
    rng = np.random.default_rng(seed)
    margin, fold = np.zeros(len(y)), np.full(len(y), -1, np.int64)
    machines: list[Machine] = []
    effects = np.zeros((len(y), len(columns)))
    background = [column.take(np.sort(rng.permutation(known)[:25])) for column in columns]
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(known, y[known])
    for k, (train, held) in enumerate(parts):
        rows, others = known[train], known[held]
        machine = Machine([column.take(rows) for column in columns], y[rows], seed=seed, cost=cost)
        judged = [column.take(others) for column in columns]
        margin[others], fold[others] = machine.margin(judged), k
        if why:
            effects[others] = machine.effects(judged, background)
        machines.append(machine)
        used = min(len(rows), MOST_ROWS)
        say(
            f"machine {k + 1} of {FOLDS}: trained on {used:,} of {len(rows):,} rows, asked about {len(others):,} others"
        )
    lines = [platt(margin[known][fold[known] != k], y[known][fold[known] != k]) for k in range(FOLDS)]
    logit = np.zeros(len(y))
    for k, line in enumerate(lines):
        logit[fold == k] = line(margin[fold == k])
        effects[fold == k] *= line.slope
    credit = Credit(logit, effects, fold, machines, lines, background)
    unknown = np.flatnonzero(fold < 0)
    if len(unknown):
        asked = [column.take(unknown) for column in columns]
        logit[unknown], effects[unknown] = judge(credit, asked, why=why)
    return credit


def judge(credit: Credit, columns: Sequence[Column], *, why: bool = True) -> tuple[F64, F64]:
    """Judge new applicants by the mean of all machines: logit (n,) and effects (n, attributes)."""
    pairs = list(zip(credit.machines, credit.lines, strict=True))
    logit = np.mean([line(machine.margin(columns)) for machine, line in pairs], axis=0)
    if not why:
        return logit, np.zeros((len(logit), len(columns)))
    effects = [line.slope * machine.effects(columns, credit.background) for machine, line in pairs]
    return logit, np.mean(effects, axis=0)


def probability(logit: F64) -> F64:
    """Logit to probability of default, (n,)."""
    return sigmoid(logit)


def _some(y: F64, most: int, seed: int) -> I64:
    """At most so many rows, both classes in their share: an exact kernel machine grows with the square of its rows."""
    if len(y) <= most:
        return np.arange(len(y))
    rng = np.random.default_rng(seed)
    kept = [
        rng.permutation(rows)[: round(most * len(rows) / len(y))] for rows in (np.flatnonzero(y == v) for v in (0, 1))
    ]
    return np.sort(np.concatenate(kept))
