"""Terminal compromise: a manipulated terminal copies cards; weeks later the copies draw cash and buy elsewhere."""

import numpy as np

from training.data.simulator.calendar import DAY_MS
from training.data.simulator.reference import ATM, FALLBACK, SWIPE
from training.data.simulator.rows import Rows
from training.data.simulator.stories.base import HOUR, Scene, Story, attempts


def plant(scene: Scene) -> list[Rows]:
    """Several cards that visited one merchant in some days; each copy is used two to five times."""
    rng, honest = scene.rng, scene.honest
    order, first = scene.by_merchant
    seed_row = int(rng.integers(0, len(order)))
    merchant = int(honest["merchant"][seed_row])
    if scene.people.merchants.online[merchant]:
        return []
    visits = order[first[merchant] : first[merchant + 1]]
    sold = scene.some_day()
    last = sold - rng.uniform(0, min(25, 0.8 * sold))
    during = (honest["time"][visits] >= (last - 10) * DAY_MS) & (honest["time"][visits] < last * DAY_MS)
    copied = np.unique(honest["card"][visits[during]])
    chosen = rng.permutation(copied)[: rng.integers(2, 9)]
    return [_use(scene, int(card), sold + rng.uniform(0, 6)) for card in chosen]


def _use(scene: Scene, card: int, day: float) -> Rows:
    rng, severity = scene.rng, scene.bank.fraud.severity["terminal_compromise"]
    number = int(rng.integers(2, 6))
    city = scene.other_city(card, abroad=0.6)
    cash = rng.random(number) < 0.5
    merchant = np.where(cash, scene.cash_machine(city), scene.in_city(city, number))
    cash = scene.people.merchants.category[merchant] == scene.people.merchants.category[scene.cash_machine(city)]
    amounts = scene.usual(card) * severity * np.exp(rng.normal(1.0, 0.5, number))
    amounts = np.where(cash, np.clip(np.round(amounts / 50) * 50, 50, 600), amounts)
    return attempts(
        scene,
        card,
        amounts,
        rng.exponential(rng.uniform(0.1, 2.0) * HOUR, number),
        scene.at_hour(day, card, rng.uniform(7, 23)),
        merchant=merchant,
        channel=np.where(cash, ATM, 0),
        entry=rng.choice([SWIPE, FALLBACK, -1], number, p=[0.45, 0.2, 0.35]),
    )


STORY = Story("terminal_compromise", ("geography", "context", "novelty"), plant)
