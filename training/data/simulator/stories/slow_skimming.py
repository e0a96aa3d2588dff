"""Slow skimming: one shop takes amounts just under a limit again and again, over days."""

import numpy as np

from training.data.simulator.reference import KEYED, STORED
from training.data.simulator.rows import Rows
from training.data.simulator.stories.base import HOUR, Scene, Story, attempts

_LIMITS = (30.0, 50.0, 100.0, 150.0)


def plant(scene: Scene) -> list[Rows]:
    """Five to fourteen payments a quarter of a day to two days apart, each a little under the same limit."""
    rng, severity = scene.rng, scene.bank.fraud.severity["slow_skimming"]
    day = scene.some_day()
    card = scene.victim(day)
    number = int(rng.integers(5, 15))
    limit = min((abs(np.log(limit / (1.6 * scene.usual(card)))), limit) for limit in _LIMITS)[1]
    amounts = limit * (1 - rng.uniform(0.002, 0.08, number))
    shop = scene.online(2)
    rows = attempts(
        scene,
        card,
        amounts,
        rng.uniform(3, 26, number) * HOUR / severity,
        int(day * 24 * HOUR),
        merchant=shop[(rng.random(number) < 0.25).astype(int)],
        entry=np.where(np.arange(number) == 0, KEYED, rng.choice([KEYED, STORED])),
        three_ds=3,
        device=scene.device(own=0.35),
        ip=scene.address(card, 0.4),
        channel=1,
    )
    return [rows]


# Every payment is under a limit (amount), without authentication and mostly keyed (context), at a shop new to the card.
STORY = Story("slow_skimming", ("amount", "context", "novelty", "sequence"), plant)
