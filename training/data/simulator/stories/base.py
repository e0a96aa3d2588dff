"""What every fraud story shares: the scene it is played in, and fraudsters who retry smaller after a decline."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from training.data.simulator.bank import Bank
from training.data.simulator.calendar import DAY_MS
from training.data.simulator.finish import strange_address, strange_device
from training.data.simulator.population import Population
from training.data.simulator.reference import APPROVED, CATEGORIES, MCC
from training.data.simulator.rows import DEFAULT, Array, Rows, make

MINUTE = 60_000
HOUR = 60 * MINUTE
_USUAL = float(np.exp(np.mean(np.log([category.usual for category in CATEGORIES]))))


@dataclass
class Scene:
    """The honest history and the population in which the stories are planted.

    `plant` functions draw victims with `victim`, and return one block of rows for each case.
    """

    bank: Bank
    people: Population
    days: int
    honest: Rows
    rng: np.random.Generator
    _queue: list[int] = field(default_factory=list)

    def victim(self, day: float = 0.0) -> int:
        """A card that is open on that day; every card has its turn before one has its second."""
        while True:
            if not self._queue:
                self._queue = self.rng.permutation(len(self.people.cards)).tolist()
            card = self._queue.pop()
            if self.people.cards.opened[card] < day - 5 or self.people.cards.opened.min() >= day - 5:
                return card

    def some_day(self) -> float:
        """A moment of the history in days, late enough for most cards to have a past."""
        return float(self.rng.uniform(min(2.0, 0.2 * self.days), self.days))

    def at_hour(self, day: float, card: int, hour: float) -> int:
        """Milliseconds of a local hour of the card's home on a day."""
        offset = int(self.people.country_offset_ms[self.people.cards.country[card]])
        return int((np.floor(day) + hour / 24) * DAY_MS) - offset

    def usual(self, card: int) -> float:
        """What the card spends on an average visit, in euro."""
        return _USUAL * float(np.exp(self.people.cards.level[card]))

    def online(self, number: int) -> Array:
        """Online merchants, popular ones more often."""
        return self.people.merchants.pick(np.full(number, self.people.merchants.online_pool), self.rng)

    def in_city(self, city: int, number: int) -> Array:
        """Merchants of a city, popular ones more often."""
        return self.people.merchants.pick(np.full(number, city), self.rng)

    def other_city(self, card: int, abroad: float) -> int:
        """A city that is not the card's, in another country with probability `abroad`."""
        countries = self.people.city_country
        home = self.people.cards.country[card]
        away = (countries != home) if self.rng.random() < abroad else (countries == home)
        away = away & (np.arange(len(countries)) != self.people.cards.city[card])
        return int(self.rng.choice(np.flatnonzero(away)))

    def cash_machine(self, city: int) -> int:
        """A cash machine of a city."""
        merchants = self.people.merchants
        first, last = merchants.pool[city], merchants.pool[city + 1]
        return int(first + self.rng.choice(np.flatnonzero(merchants.category[first:last] == MCC["6011"])))

    def device(self, own: float = 0.0) -> int:
        """A device nobody has seen; with probability `own` what the card's owner uses (remote control, cloned)."""
        return DEFAULT if self.rng.random() < own else strange_device(self.people, self.rng)

    def address(self, card: int, abroad: float) -> int:
        """An address of a fraudster: abroad with probability `abroad`, else one near home or behind the owner's."""
        if self.rng.random() > 0.5 + abroad / 2:
            return DEFAULT
        countries = len(self.people.country_offset_ms)
        home = int(self.people.cards.country[card])
        away = (home + int(self.rng.integers(1, countries))) % countries
        return strange_address(self.people, away if self.rng.random() < 2 * abroad / (1 + abroad) else home, self.rng)

    @cached_property
    def by_card(self) -> tuple[Array, Array]:
        """Positions of the honest rows sorted by card and time, and the first of each card (one more at the end)."""
        order = np.lexsort((self.honest["time"], self.honest["card"]))
        return order, np.searchsorted(self.honest["card"][order], np.arange(len(self.people.cards) + 1))

    def past(self, card: int) -> Array:
        """Positions of a card's honest rows in order of time."""
        order, first = self.by_card
        return order[first[card] : first[card + 1]]

    @cached_property
    def by_merchant(self) -> tuple[Array, Array]:
        """Positions of the honest rows sorted by merchant and time, and the first of each merchant."""
        order = np.lexsort((self.honest["time"], self.honest["merchant"]))
        merchants = np.arange(len(self.people.merchants.category) + 1)
        return order, np.searchsorted(self.honest["merchant"][order], merchants)


@dataclass(frozen=True)
class Story:
    """One kind of fraud: its name, what it shows in, and the function that plants some of its cases."""

    name: str
    causes: tuple[str, ...]
    plant: Callable[[Scene], list[Rows]]


def attempts(scene: Scene, card: int, amounts: Array, gaps: Array, begin: int, **fields: Any) -> Rows:
    """One row for each wanted amount, and smaller retries after declines where the fraudster adapts.

    Parameters
    ----------
    scene : Scene
        Where the story is played.
    card : int
        The victim.
    amounts : numpy.ndarray, shape (n,)
        Euro, what the fraudster would like to take.
    gaps : numpy.ndarray, shape (n,)
        Milliseconds before each attempt.
    begin : int
        Milliseconds since the start of the history.
    **fields
        Further fields of the rows (see `rows.FIELDS`); arrays of shape (n,) or scalars.
    """
    fraud, rng = scene.bank.fraud, scene.rng
    now, ceiling = begin, np.inf
    times: list[int] = []
    paid: list[float] = []
    codes: list[int] = []
    source: list[int] = []
    for index, wanted in enumerate(amounts):
        now += int(gaps[index])
        amount = min(float(wanted), ceiling)
        for _retry in range(3):
            refused = rng.random() < fraud.decline
            times.append(now)
            paid.append(amount)
            codes.append(int(rng.choice([1, 2, 6])) if refused else APPROVED)
            source.append(index)
            if not refused or rng.random() > fraud.adaptive:
                break
            amount *= float(rng.uniform(0.35, 0.75))
            ceiling = amount * 1.2
            now += int(rng.uniform(15, 240) * 1000)
    chosen = np.array(source)
    spread = {name: np.asarray(value)[chosen] if np.ndim(value) else value for name, value in fields.items()}
    response = np.array(codes) if "response" not in spread else np.maximum(codes, spread.pop("response"))
    return make(
        len(times), time=times, card=card, amount_base=np.round(np.maximum(paid, 0.5), 2), response=response, **spread
    )
