"""Account takeover: somebody else's device signs in and buys what sells well, fast, often at odd hours."""

import numpy as np

from training.data.simulator.reference import KEYED, STORED
from training.data.simulator.rows import Rows
from training.data.simulator.stories.base import HOUR, MINUTE, Scene, Story, attempts


def plant(scene: Scene) -> list[Rows]:
    """Two to seven online purchases on one card from a device and an address it never used."""
    rng, severity = scene.rng, scene.bank.fraud.severity["account_takeover"]
    day = scene.some_day()
    card = scene.victim(day)
    number = int(rng.integers(2, 7))
    hour = rng.uniform(0, 6) if rng.random() < 0.5 else rng.uniform(0, 24)
    amounts = scene.usual(card) * np.exp(rng.normal(1.0 + 0.6 * (severity - 1), 0.5, number))
    stored = rng.random(number) < 0.3
    merchant = np.where(stored, rng.choice(scene.people.cards.online_favourites[card], number), scene.online(number))
    rows = attempts(
        scene,
        card,
        amounts,
        rng.exponential(rng.uniform(4, 45) * MINUTE, number),
        max(scene.at_hour(day, card, hour), int(0.2 * HOUR)),
        merchant=merchant,
        entry=np.where(stored, STORED, KEYED),
        device=scene.device(own=0.2),
        ip=scene.address(card, 0.4),
        channel=1,
        three_ds=rng.choice([0, 1, 2, 3], number, p=[0.3, 0.15, 0.05, 0.5]),
    )
    return [rows]


STORY = Story("account_takeover", ("novelty", "amount", "account", "device", "ip"), plant)
