"""Impossible travel: a copy pays far away while its owner goes on paying at home."""

import numpy as np

from training.data.simulator.reference import CHIP, CONTACTLESS, FALLBACK, SWIPE
from training.data.simulator.rows import Rows
from training.data.simulator.stories.base import HOUR, Scene, Story, attempts


def plant(scene: Scene) -> list[Rows]:
    """One to four payments in another country minutes to hours after an honest one at home."""
    rng, severity = scene.rng, scene.bank.fraud.severity["impossible_travel"]
    day = scene.some_day()
    card = scene.victim(day)
    past = scene.past(card)
    present = past[~scene.people.merchants.online[scene.honest["merchant"][past]]]
    later = present[scene.honest["time"][present] >= day * 24 * HOUR]
    if len(later) == 0:
        return []
    number = int(rng.integers(1, 5))
    city = scene.other_city(card, abroad=1.0)
    rows = attempts(
        scene,
        card,
        scene.usual(card) * severity * np.exp(rng.normal(0.7, 0.6, number)),
        rng.exponential(rng.uniform(0.1, 1.0) * HOUR, number),
        int(scene.honest["time"][later[0]] + rng.uniform(0.1, 3.0) * HOUR),
        merchant=scene.in_city(city, number),
        entry=rng.choice([CHIP, CONTACTLESS, SWIPE, FALLBACK], number, p=[0.25, 0.25, 0.35, 0.15]),
    )
    return [rows]


STORY = Story("impossible_travel", ("geography", "sequence"), plant)
