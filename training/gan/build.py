"""From a history to a trained model of its transactions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from stream.errors import SettingError
from training.gan.book import Book, read_book, split_cards
from training.gan.catalogue import Catalogue
from training.gan.coding import Coder, Windows, cut
from training.gan.fit import Plan, train
from training.gan.layout import COLUMNS
from training.gan.networks import Generator
from training.gan.ratio import learn_ratio
from training.gan.relations import Relations, openings, relate
from training.gan.store import Model
from training.gan.synthesis import Sampler
from training.gan.vocabulary import LEAST_ROWS, Vocabulary

CANDIDATES = 8
_LEAST_CARDS = 20
_LEVELLINGS = 4
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Material:
    """A history, cut in two by customer, in the terms of the half that is learned from; its payments are `opening`."""

    train: Book
    held_out: Book
    opening: Book
    shop: Catalogue
    relations: Relations
    coder: Coder

    def windows(self, stride: int, fraud_stride: int | None = None) -> Windows:
        """Windows of the half to learn from, of cards with enough rows."""
        return self._cut(self.opening, self.relations, stride, fraud_stride)

    def held_out_windows(self, stride: int) -> Windows:
        """Windows of the other half."""
        opening = openings(self.held_out)
        return self._cut(opening, relate(opening, self.shop), stride, None)

    def _cut(self, book: Book, relations: Relations, stride: int, fraud_stride: int | None) -> Windows:
        found = cut(book, relations, self.coder, stride, fraud_stride)
        return found.take(relations.rows[found.card] >= LEAST_ROWS)


def prepare(history: Path, seed: int) -> Material:
    """Read a history and cut it in two.

    Raises
    ------
    SettingError
        It has too few cards with enough transactions, or as `training.gan.book.read_book`.
    """
    book, other = split_cards(read_book(history), seed)
    shop = Catalogue.of(book)
    opening = openings(book)
    relations = relate(opening, shop)
    long = relations.rows >= LEAST_ROWS
    if long.sum() < _LEAST_CARDS:
        raise SettingError(
            f"--history {history} has {2 * int(long.sum())} cards with at least {LEAST_ROWS} transactions; "
            f"at least {2 * _LEAST_CARDS} are needed, of which half are learned from"
        )
    return Material(book, other, opening, shop, relations, Coder.of(relations, long))


def build(material: Material, plan: Plan, say: Say) -> Model:
    """Train the generator, then the weights by which its candidates are chosen."""
    begun = time.monotonic()
    words = Vocabulary.of(
        material.train, material.opening, material.shop, material.relations, material.coder, plan.seed
    )
    windows = material.windows(4, 1)
    say(f"training on {len(windows)} windows, {int(windows.tainted.sum())} of them with fraud")
    fitted = train(windows, plan, say)
    sampler = finish(fitted.generator, material.windows(8), plan.seed, say)
    manifest = {
        "plan": asdict(plan),
        "windows": len(windows),
        "rows": len(material.train),
        "frauds": int(material.train.fraud.sum()),
        "cards": int((np.bincount(material.train.card) > 0).sum()),
        "seconds": round(time.monotonic() - begun, 1),
    }
    return Model(words, sampler, fitted.curves, manifest)


def finish(generator: Generator, windows: Windows, seed: int, say: Say) -> Sampler:
    """Level a trained generator's codes and numbers to the data's, then learn the weights of its candidates."""
    rng = np.random.default_rng(seed)
    part = windows.take(np.sort(rng.permutation(len(windows))[:4000]))
    condition = (part.habits, part.fraud, part.before)
    for _ in range(_LEVELLINGS):
        made = Sampler(generator).draw(*condition, rng)
        with torch.no_grad():
            for name in ("slot", "kind", "device", "address", "repeat"):
                real, drawn = (x[..., COLUMNS[name]].mean((0, 1)) + 1e-4 for x in (part.steps, made))
                generator.head.bias[COLUMNS[name]] += torch.from_numpy(0.8 * np.log(real / drawn)).float()
    sampler = Sampler(generator).levelled(part.steps, *condition, rng)
    return replace(sampler, weigher=learn_ratio(windows, sampler, seed, say), candidates=CANDIDATES)
