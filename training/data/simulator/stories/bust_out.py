"""Bust-out: after a quiet time the owner himself spends the whole limit within hours and never pays."""

import numpy as np

from training.data.simulator.reference import MCC
from training.data.simulator.rows import Rows
from training.data.simulator.stories.base import HOUR, Scene, Story, attempts

_SELLS_WELL = [MCC[code] for code in ("5732", "5944", "4829", "4511", "5200", "6011")]


def plant(scene: Scene) -> list[Rows]:
    """Five to twelve dear purchases and cash advances in half a day to two days, with the owner's own devices."""
    rng, severity = scene.rng, scene.bank.fraud.severity["bust_out"]
    day = scene.some_day()
    card = scene.victim(day)
    number = int(rng.integers(5, 13))
    city = int(scene.people.cards.city[card])
    pool = np.concatenate([scene.in_city(city, 60), scene.online(60)])
    wanted = pool[np.isin(scene.people.merchants.category[pool], _SELLS_WELL)]
    merchant = rng.choice(wanted if len(wanted) else pool, number)
    amounts = scene.usual(card) * severity * np.exp(rng.normal(1.8, 0.45, number))
    return [
        attempts(
            scene,
            card,
            np.round(amounts, -1) if rng.random() < 0.2 else amounts,
            rng.exponential(rng.uniform(0.2, 2.5) * HOUR, number),
            scene.at_hour(day, card, rng.uniform(7, 20)),
            merchant=merchant,
        )
    ]


STORY = Story("bust_out", ("amount", "velocity"), plant)
