"""From a history to a trained model of its transactions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from stream.errors import SettingError
from training.gan.book import Book, read_book, split_cards
from training.gan.catalogue import Catalogue
from training.gan.coding import Coder, Windows, cut
from training.gan.fit import Plan, train
from training.gan.ratio import learn_ratio
from training.gan.relations import Relations, openings, relate
from training.gan.store import Model
from training.gan.synthesis import Sampler
from training.gan.vocabulary import LEAST_ROWS, Vocabulary

CANDIDATES = 8
_LEAST_CARDS = 20
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
    even = material.windows(8)
    part = even.take(np.sort(np.random.default_rng(plan.seed).permutation(len(even))[:4000]))
    sampler = Sampler(fitted.generator).levelled(
        part.steps, part.habits, part.fraud, part.before, np.random.default_rng(plan.seed)
    )
    ratio = learn_ratio(even, sampler, plan.seed, say)
    manifest = {
        "plan": asdict(plan),
        "windows": len(windows),
        "rows": len(material.train),
        "frauds": int(material.train.fraud.sum()),
        "cards": int((np.bincount(material.train.card) > 0).sum()),
        "seconds": round(time.monotonic() - begun, 1),
    }
    sampler = replace(sampler, weigher=ratio, candidates=CANDIDATES)
    return Model(words, sampler, fitted.curves, manifest)
