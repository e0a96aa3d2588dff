"""Merchant collusion: a merchant keys in the cards of former customers, at odd hours and for more than they spend."""

import numpy as np

from training.data.simulator.reference import ECOM, KEYED, MOTO
from training.data.simulator.rows import Rows
from training.data.simulator.stories.base import HOUR, Scene, Story, attempts


def plant(scene: Scene) -> list[Rows]:
    """Several customers of one merchant, each charged two to five times within hours or days."""
    rng, severity = scene.rng, scene.bank.fraud.severity["merchant_collusion"]
    order, first = scene.by_merchant
    merchant = int(scene.honest["merchant"][rng.integers(0, len(order))])
    visitors = np.unique(scene.honest["card"][order[first[merchant] : first[merchant + 1]]])
    day, cases = scene.some_day(), []
    for card in rng.permutation(visitors)[: rng.integers(2, 8)].tolist():
        number = int(rng.integers(2, 6))
        when = day + rng.uniform(0, 12)
        hour = rng.choice([rng.uniform(21, 24), rng.uniform(0, 7), rng.uniform(8, 21)], p=[0.35, 0.35, 0.3])
        amounts = scene.usual(card) * severity * np.exp(rng.normal(1.1, 0.45, number))
        cases.append(
            attempts(
                scene,
                card,
                amounts,
                rng.exponential(rng.uniform(0.05, 1.5) * HOUR, number),
                scene.at_hour(when, card, float(hour)),
                merchant=merchant,
                channel=ECOM if scene.people.merchants.online[merchant] else MOTO,
                entry=KEYED,
                three_ds=3,
                cvv=rng.choice([0, 2], number),
                device=scene.device(own=0.6),
            )
        )
    return cases


STORY = Story("merchant_collusion", ("context", "time", "amount"), plant)
