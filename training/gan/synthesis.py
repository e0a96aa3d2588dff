"""Whole histories: cards are invented, their windows generated one after the other, decoded, cut to size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from stream.errors import SettingError
from training.gan.book import Mask
from training.gan.cards import Cards, draw_cards
from training.gan.coding import F32
from training.gan.decode import Decoder
from training.gan.layout import NUMBERS, STEPS, WIDTH
from training.gan.networks import Generator, conditions
from training.gan.vocabulary import Vocabulary
from training.gan.write import table

if TYPE_CHECKING:
    import pyarrow as pa

Say = Callable[[str], None]
_SPARE = 1.1
_TRIES = 8
_MOST_WINDOWS = 2000
_MOST_TIMES = 3  # a generator whose gaps are far too short does not go on for ever


class Weigher(Protocol):
    """Says how much rather real than generated windows look, as a density ratio."""

    def __call__(self, steps: F32, habits: F32, fraud: F32, before: F32) -> np.ndarray:
        """Ratio (w,) >= 0 of windows with their conditions."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws windows from a generator; of several candidates each, one by its weight.

    Parameters
    ----------
    generator
        Trained.
    weigher
        None: the first candidate is taken.
    levels
        (2, 3, 2, q) of genuine and fraudulent steps, for each number: quantiles generated, and those of the data.
    candidates
        Windows drawn for each that is kept (sampling, importance resampling: Rubin 1987).
    """

    generator: Generator
    weigher: Weigher | None = None
    candidates: int = 1
    levels: np.ndarray | None = None

    def draw(self, habits: F32, fraud: F32, before: F32, rng: np.random.Generator) -> F32:
        """One window for each condition; (w, STEPS, WIDTH)."""
        many = self.candidates if self.weigher is not None else 1
        wide = [np.repeat(part, many, axis=0) for part in (habits, fraud, before)]
        parts = []
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            for low in range(0, len(wide[0]), 4096):
                block = [torch.from_numpy(part[low : low + 4096]) for part in wide]
                parts.append(self.generator(conditions(*block)).numpy())
        steps = self._level(np.concatenate(parts), wide[1])
        if self.weigher is None:
            return steps
        weight = self.weigher(steps, *wide).reshape(-1, many)
        sums = np.cumsum(weight, axis=1)
        chosen = (sums < rng.random((len(sums), 1)) * sums[:, -1:]).sum(1).clip(0, many - 1)
        return np.asarray(steps[np.arange(len(sums)) * many + chosen], np.float32)

    def _level(self, steps: F32, fraud: F32) -> F32:
        """Numbers moved to the data's distribution by their rank."""
        if self.levels is None:
            return steps
        out = steps.copy()
        for kind in range(2):
            rows = fraud == kind
            for c in range(len(NUMBERS)):
                out[rows, c] = np.interp(steps[rows, c], *self.levels[kind, c])
        return out

    def levelled(self, steps: F32, habits: F32, fraud: F32, before: F32, rng: np.random.Generator) -> Sampler:
        """Learn the levels from windows with their conditions."""
        made = self.draw(habits, fraud, before, rng)
        grid = np.linspace(0, 1, 201)
        levels = np.empty((2, len(NUMBERS), 2, len(grid)))
        for kind in range(2):
            rows = fraud == kind
            for c in range(len(NUMBERS)):
                for k, source in enumerate((made, steps)):
                    levels[kind, c, k] = np.quantile(source[rows, c], grid) + 1e-9 * np.arange(len(grid))
        return replace(self, levels=levels)


def synthesise(
    words: Vocabulary, sampler: Sampler, rows: int, fraud_share: float, seed: int, prefix: str = "", say: Say = print
) -> pa.Table:
    """Make exactly so many transactions, of which so large a share was made as fraud, in order of event time.

    Raises
    ------
    SettingError
        ``rows`` or ``fraud_share`` out of range.
    """
    per_window = float(words.masks.sum(1).mean())
    if rows < 1 or not 0 <= fraud_share <= 0.9 * per_window / STEPS:
        raise SettingError(
            f"--fraud-share {fraud_share:g} of -n {rows} cannot be made; use -n above 0 and a share of at most "
            f"{0.9 * per_window / STEPS:.2f}, about what windows of fraud hold in this history"
        )
    prefix = prefix or f"gan-{seed:x}"
    wanted, share, number = round(rows * fraud_share), fraud_share * STEPS / per_window, 0
    for _ in range(_TRIES):
        rng = np.random.default_rng(seed)
        number = number or _cards_for(words, rows, seed)
        cards = draw_cards(words, number, rng)
        decoder = Decoder(words, cards, rng)
        _live(decoder, sampler, cards, words, min(1.0, share), rng)
        made = decoder.rows.columns()
        kept = _whole_cards(made, rows - wanted, rng)
        genuine, frauds = int((kept & ~made["fraud"]).sum()), int((kept & made["fraud"]).sum())
        say(f"{number} cards gave {len(kept)} transactions; {int(kept.sum())} kept, {frauds} of them fraudulent")
        if genuine == rows - wanted and frauds >= wanted:
            return table(words, cards, _less_fraud(made, kept, wanted, rng), prefix)
        if genuine < rows - wanted:
            number = int(number * min((rows - wanted) / max(genuine, 1), 6.0) * _SPARE) + 2
        if frauds * (rows - wanted) < wanted * genuine:
            share *= min(wanted * genuine / max(frauds * (rows - wanted), 1), 2.0) * _SPARE
    raise SettingError(
        f"-n {rows} with --fraud-share {fraud_share:g} could not be made; train the generator for longer"
    )


def _cards_for(words: Vocabulary, rows: int, seed: int) -> int:
    """How many cards make about so many rows."""
    some = draw_cards(words, 500, np.random.default_rng(seed)).expected(words)
    return max(4, round(_SPARE * rows / float(some.mean())))


def _whole_cards(made: dict[str, np.ndarray], genuine: int, rng: np.random.Generator) -> Mask:
    """Keep whole cards until there are enough genuine rows; of the last one its first rows."""
    order = rng.permutation(int(made["card"].max()) + 1)[made["card"]]
    sequence = np.lexsort((made["time"], order))
    count = np.cumsum(~made["fraud"][sequence])
    kept: Mask = np.zeros(len(order), bool)
    kept[sequence[: int(np.searchsorted(count, genuine, side="left")) + 1]] = True
    return kept


def _less_fraud(
    made: dict[str, np.ndarray], kept: Mask, wanted: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Leave out frauds, card by card, until the wanted number is left."""
    frauds = np.flatnonzero(kept & made["fraud"])
    order = rng.permutation(int(made["card"].max()) + 1)[made["card"][frauds]]
    surplus = frauds[np.lexsort((made["time"][frauds], order))][wanted:]
    kept = kept.copy()
    kept[surplus] = False
    return {name: values[kept] for name, values in made.items()}


def _live(
    decoder: Decoder, sampler: Sampler, cards: Cards, words: Vocabulary, share: float, rng: np.random.Generator
) -> None:
    """Let every card live to the end, window by window."""
    active = np.arange(len(cards))
    before = np.zeros((len(cards), WIDTH + 1), np.float32)
    most = _MOST_TIMES * cards.expected(words) + 2 * STEPS
    for turn in range(_MOST_WINDOWS):
        fraud = np.zeros((len(active), STEPS), np.float32)
        hit = np.flatnonzero(rng.random(len(active)) < share)
        fraud[hit] = words.masks[rng.integers(0, len(words.masks), len(hit))]
        steps = sampler.draw(cards.habits[active], fraud, before[active], rng)
        # where in its usual pace a card is met at first is left to chance
        skip = rng.integers(0, STEPS, len(active)) if turn == 0 else np.zeros(len(active), np.int64)
        for k in range(STEPS):
            go = skip <= k
            decoder.step(active[go], steps[go, k], fraud[go, k] > 0)
        before[active] = np.concatenate([steps[:, -1], np.ones((len(active), 1), np.float32)], axis=1)
        active = active[(decoder.time[active] < words.end) & ((turn + 1) * STEPS < most[active])]
        if not len(active):
            return
