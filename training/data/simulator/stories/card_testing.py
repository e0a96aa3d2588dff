"""Card testing: stolen numbers are tried with tiny payments in a burst; those that work are used hours later."""

import numpy as np

from training.data.simulator.reference import DIGITAL_CATEGORY, KEYED
from training.data.simulator.rows import Rows, concat
from training.data.simulator.stories.base import HOUR, Scene, Story, attempts


def plant(scene: Scene) -> list[Rows]:
    """A burst of tests on one card at one to three shops, and often a larger purchase later."""
    rng, severity = scene.rng, scene.bank.fraud.severity["card_testing"]
    day = scene.some_day()
    card = scene.victim(day)
    number = int(rng.integers(2, 3 + round(4 * severity)))
    digital = np.flatnonzero(scene.people.merchants.category == DIGITAL_CATEGORY)
    shops = np.where(rng.random(3) < 0.4, rng.choice(digital, 3), scene.online(3))
    stranger = {"entry": KEYED, "device": scene.device(own=0.2), "ip": scene.address(card, 0.5), "channel": 1}
    begin = int(day * 24 * HOUR)
    tests = attempts(
        scene,
        card,
        np.exp(rng.normal(0.9, 0.8, number)),
        rng.exponential(rng.uniform(20, 300), number) * 1000,
        begin,
        merchant=shops[rng.integers(0, rng.integers(1, 4), number)],
        cvv=np.where(rng.random(number) < 0.2, 1, -1),
        response=np.where(rng.random(number) < 0.12, 3, 0),
        **stranger,
    )
    if rng.random() > 0.7:
        return [tests]
    bought = int(rng.integers(1, 4))
    amounts = scene.usual(card) * severity * np.exp(rng.normal(1.2, 0.5, bought))
    pause = rng.exponential(1 * HOUR, bought)
    later = int(tests["time"].max() + rng.uniform(0.2, 10) * HOUR)
    return [concat([tests, attempts(scene, card, amounts, pause, later, merchant=scene.online(bought), **stranger)])]


STORY = Story("card_testing", ("velocity", "novelty", "device", "ip"), plant)
