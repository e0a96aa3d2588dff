"""Between relations and the tensors of the networks: numbers by their quantiles, codes as one-hot columns, windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.gan.book import F64, I64, Book, Mask
from training.gan.layout import COLUMNS, HEADS, NEW_SLOTS, NUMBERS, STEPS, WIDTH
from training.gan.relations import HABITS, Relations

F32 = npt.NDArray[np.float32]
_GRID = 513
_MIX = 5  # nearest cards among which a new card's habits are mixed


@dataclass(frozen=True, slots=True)
class Coder:
    """Quantiles of log gap, hour and residual, and the scale of habits.

    Parameters
    ----------
    quantiles
        (3, 513) values at evenly spaced probabilities.
    centre, scale
        (len(HABITS),).
    """

    quantiles: F64
    centre: F64
    scale: F64

    @classmethod
    def of(cls, relations: Relations, kept: Mask) -> Coder:
        """Learn from the rows and cards of a book; `kept` are the cards with enough rows (c,)."""
        columns = (np.log(np.maximum(relations.gap, 1.0)), relations.hour, relations.residual)
        grid = np.linspace(0, 1, _GRID)
        quantiles = np.stack([np.quantile(column[np.isfinite(column)], grid) for column in columns])
        quantiles += np.arange(_GRID) * 1e-9  # strictly rising, so that both ways are functions
        habits = relations.habits[kept]
        return cls(quantiles, habits.mean(0), habits.std(0) + 1e-3)

    def encode(self, relations: Relations) -> F32:
        """Code every row; (n, WIDTH)."""
        out = np.zeros((len(relations.gap), WIDTH), np.float32)
        grid = np.linspace(0, 1, _GRID)
        values = (np.log(np.maximum(np.nan_to_num(relations.gap, nan=1.0), 1.0)), relations.hour, relations.residual)
        for c, value in enumerate(values):
            share = np.interp(value, self.quantiles[c], grid)
            out[:, c] = share * 2 - 1
        for h, (name, size) in enumerate(HEADS):
            out[np.arange(len(out)), COLUMNS[name].start + np.minimum(relations.heads[:, h], size - 1)] = 1.0
        out[~np.isin(relations.heads[:, 0], NEW_SLOTS), COLUMNS["category"]] = 0.0  # a known shop's is known
        return out

    def numbers(self, coded: F32) -> tuple[F64, F64, F64]:
        """Gap (ms), hour (0..1) and residual of coded steps (..., WIDTH)."""
        grid = np.linspace(0, 1, _GRID)
        share = (np.asarray(coded[..., : len(NUMBERS)], np.float64) + 1) / 2
        log_gap, hour, residual = (np.interp(share[..., c], grid, self.quantiles[c]) for c in range(len(NUMBERS)))
        return np.exp(log_gap), hour, residual

    def standard(self, habits: F64) -> F32:
        """Habits as the networks take them."""
        return np.clip((habits - self.centre) / self.scale, -4, 4).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Windows:
    """w windows of `STEPS` consecutive transactions of a card.

    Parameters
    ----------
    steps
        (w, STEPS, WIDTH).
    fraud
        (w, STEPS) 0/1, the condition.
    habits
        (w, len(HABITS)) standardised.
    before
        (w, WIDTH + 1) the step before, and whether there is one.
    card, row
        (w,) the card, and the book's row of the first step.
    """

    steps: F32
    fraud: F32
    habits: F32
    before: F32
    card: I64
    row: I64

    def __len__(self) -> int:
        return len(self.steps)

    def take(self, chosen: npt.NDArray[np.int64] | Mask) -> Windows:
        """Select windows."""
        return Windows(*(getattr(self, name)[chosen] for name in self.__slots__))

    @property
    def tainted(self) -> Mask:
        """Which windows hold a fraud."""
        return np.asarray(self.fraud.max(1) > 0, bool)


def cut(
    book: Book, relations: Relations, coder: Coder, stride: int = STEPS, fraud_stride: int | None = None
) -> Windows:
    """Cut every card's rows into windows that begin after its first transaction.

    Parameters
    ----------
    stride
        Rows between the beginnings of windows.
    fraud_stride
        The same for windows that hold a fraud; as `stride` when absent.
    """
    coded = coder.encode(relations)
    first = np.flatnonzero(np.r_[True, book.card[1:] != book.card[:-1]])
    start = first[np.searchsorted(first, np.arange(len(book)), side="right") - 1]
    ahead = np.arange(len(book)) - start
    begin = np.flatnonzero((ahead >= 1) & (np.arange(len(book)) + STEPS <= len(book)))
    begin = begin[book.card[begin] == book.card[begin + STEPS - 1]]
    sums = np.r_[0, np.cumsum(book.fraud)]
    tainted = sums[begin + STEPS] > sums[begin]
    every = np.where(tainted, fraud_stride or stride, stride)
    begin = begin[(ahead[begin] - 1) % every == 0]
    index = begin[:, None] + np.arange(STEPS)
    before = np.concatenate([coded[begin - 1], np.ones((len(begin), 1), np.float32)], axis=1)
    card = book.card[begin]
    return Windows(
        coded[index], book.fraud[index].astype(np.float32), coder.standard(relations.habits)[card], before, card, begin
    )


def new_habits(habits: F64, cards: int, rng: np.random.Generator) -> tuple[F64, I64, I64, F64]:
    """Mix the habits of real cards with those of near ones: as such customers are, but none of them.

    Parameters
    ----------
    habits
        (c, h) standardised habits of real cards.

    Returns
    -------
    mixed : (cards, h)
    one, other : (cards,) the cards that were mixed
    share : (cards,) weight of the other
    """
    one = rng.integers(0, len(habits), cards)
    distance = ((habits[one][:, None] - habits[None]) ** 2).sum(-1)
    distance[np.arange(cards), one] = np.inf
    near = np.argsort(distance, axis=1)[:, : min(_MIX, len(habits) - 1)]
    other = near[np.arange(cards), rng.integers(0, near.shape[1], cards)]
    share = rng.uniform(0.2, 0.8, cards)
    jitter = rng.normal(0, 0.08, (cards, habits.shape[1]))
    mixed = habits[one] + share[:, None] * (habits[other] - habits[one]) + jitter
    centre = habits.mean(0)
    # mixing narrows the spread: it is given back
    return centre + (mixed - mixed.mean(0)) * (habits.std(0) / mixed.std(0)), one, other, share


def width_of_condition() -> int:
    """Numbers a step is conditioned on: habits, fraud of this step and of any, the step before, the position."""
    return len(HABITS) + 2 + WIDTH + 1 + 2
