"""The window of the last transactions: the same features, quantised, oldest first."""

from __future__ import annotations

import numpy as np
from builders import columns_from, random_columns

from stream.events import TYPES, Flag
from stream.features import FEATURE_NAMES, SEQUENCE_CHANNELS, SEQUENCE_STEPS
from stream.replay import features_of


def quantised(row: np.ndarray) -> list[float]:
    """Channel values of one transaction, from its features."""
    values = [1.0]
    for channel in SEQUENCE_CHANNELS[1:]:
        value = row[FEATURE_NAMES.index(channel.feature)]
        value = channel.neutral if np.isnan(value) else float(value)
        values.append(float(np.clip(np.rint(value / channel.step), -127, 127)) * channel.step)
    return values


def test_window_is_the_history_of_the_features() -> None:
    columns, cards = random_columns(600, cards=5, seed=11)
    x, s, flags = features_of(columns)
    past: dict[str, list[list[float]]] = {card: [] for card in cards}
    wanted = np.zeros_like(s)
    for i, card in enumerate(cards):
        steps = [*past[card], quantised(x[i])][-SEQUENCE_STEPS:]
        wanted[i, SEQUENCE_STEPS - len(steps) :] = steps
        unseen = flags[i] & (Flag.LATE | Flag.DUPLICATE | Flag.REVERSAL) or columns.type[i] == TYPES.index("clearing")
        if not unseen:
            past[card].append(steps[-1])
    np.testing.assert_allclose(s, wanted, atol=1e-6)


def test_first_transaction_has_one_step() -> None:
    _, s, _ = features_of(columns_from(1))
    assert s[0, :-1].sum() == 0
    assert s[0, -1, 0] == 1


def test_steps_are_finite_whatever_is_missing() -> None:
    columns, _ = random_columns(300, missing=0.9)
    _, s, _ = features_of(columns)
    assert np.isfinite(s).all()
