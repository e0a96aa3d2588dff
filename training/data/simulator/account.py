"""What happens to accounts: sign-ins, new phones, forgotten passwords, moves; and what a thief does before he buys.

Chance comes from a stream of its own, so that a bank's transactions are the same with and without its events.
"""

from dataclasses import dataclass

import numpy as np

from training.data.simulator.bank import Bank
from training.data.simulator.calendar import DAY_MS
from training.data.simulator.feed import ABSENT, Coded, addresses, compact, customer_names
from training.data.simulator.finish import DEVICES_PER_CARD, strange_devices
from training.data.simulator.honest import hours_of_day
from training.data.simulator.population import IPS_PER_CARD, Population
from training.data.simulator.reference import EXPENSIVE, SPREE
from training.data.simulator.rows import DEFAULT, Array, Rows
from training.data.simulator.stories import STORIES

TYPES = (
    "login",
    "device_enrolment",
    "address_change",
    "phone_change",
    "pin_change",
    "password_reset",
    "card_reissue",
)
LOGIN, ENROLMENT, ADDRESS, PHONE, PIN, PASSWORD, REISSUE = range(len(TYPES))
MINUTE, HOUR = 60_000, 3_600_000
_TAKEOVER = 1 + [story.name for story in STORIES].index("account_takeover")
# A thief's means, at least one of them: type, chance.
_MEANS = ((PASSWORD, 0.5), (PHONE, 0.4), (ENROLMENT, 0.5), (ADDRESS, 0.1), (PIN, 0.05))

Block = dict[str, Array]


@dataclass(frozen=True)
class AccountEvents:
    """Events in order of time: ms since the epoch, codes into `TYPES`, and coded columns as in `feed.Feed`."""

    time: Array
    type: Array
    coded: dict[str, Coded]

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class Customs:
    """How the customers of a bank use their accounts: a year's events per customer, shares in [0, 1]."""

    logins: float
    rates: dict[int, float]
    strange: float
    prepared: float


def draw_customs(bank: Bank) -> Customs:
    """The customs of a bank, from wide priors by its seed."""
    u = np.random.default_rng([0xACC, bank.seed]).uniform
    rates = {PASSWORD: u(0.5, 1.6), PHONE: u(0.08, 0.3), ADDRESS: u(0.08, 0.25), PIN: u(0.05, 0.4)}
    rates |= {REISSUE: u(0.15, 0.4), ENROLMENT: u(0.1, 0.4)}
    return Customs(logins=365 * u(0.25, 0.9), rates=rates, strange=u(0.03, 0.1), prepared=u(0.65, 0.9))


class Accounts:
    """Draws events of one bank's customers; times in ms since the start of the history.

    Parameters
    ----------
    bank, people
        Whose accounts they are.
    days
        Length of the history.
    seed
        Stream seed.
    """

    def __init__(self, bank: Bank, people: Population, days: int, seed: int) -> None:
        self._people, self._days, self._customs = people, days, draw_customs(bank)
        self._rng = np.random.default_rng([0xE7E, bank.seed, seed])
        self._customers = int(people.cards.customer[-1]) + 1
        self._blocks: list[Block] = []

    def live(self, rows: Rows, decisions: dict[str, Array]) -> Block:
        """Every event of the history, sorted by time.

        Parameters
        ----------
        rows
            Finished transactions, sorted by time.
        decisions
            Labels of theirs (see `labels.decide`), in ms since the start.
        """
        self._sign_in()
        self._change()
        self._buy_phones()
        self._resemble_thieves(rows)
        self._take_over(rows)
        self._clear_up(rows, decisions)
        block = {name: np.concatenate([b[name] for b in self._blocks]) for name in self._blocks[0]}
        opened = self._people.cards.account_opened[self._owner(block["customer"])] * DAY_MS
        inside = (block["time"] >= np.maximum(opened, 0)) & (block["time"] < self._days * DAY_MS)
        block = {name: column[inside] for name, column in block.items()}
        order = np.argsort(block["time"], kind="stable")
        return {name: column[order] for name, column in block.items()}

    # -- honest customers

    def _sign_in(self) -> None:
        rng = self._rng
        rate = self._customs.logins * np.exp(rng.normal(-0.3, 0.8, self._customers))
        customer = np.repeat(np.arange(self._customers), rng.poisson(rate * self._days / 365))
        time = self._some_time(customer)
        self._say(LOGIN, customer, time, device=self._device(customer, time))

    def _change(self) -> None:
        rng = self._rng
        for kind, rate in self._customs.rates.items():
            number = rng.poisson(rate * self._customers * self._days / 365)
            customer = rng.integers(0, self._customers, number)
            time = self._some_time(customer)
            at_home = rng.random(number) < 0.7  # the others call or come to a branch
            device = np.where(at_home | (kind == ENROLMENT), self._device(customer, time), DEFAULT)
            self._say(kind, customer, time, device=device)
            if kind == ENROLMENT:
                self._say(LOGIN, customer, time + self._between(0.2, 4, number, MINUTE), device=device)

    def _buy_phones(self) -> None:
        """The new phone is enrolled before it is used; at times the password is forgotten or the number changes."""
        rng, cards = self._rng, self._people.cards
        owners = np.unique(self._people.owner)
        card = owners[np.isfinite(cards.new_phone_day[owners])]
        customer, number = cards.customer[card], len(card)
        time = (cards.new_phone_day[card] * DAY_MS).astype(np.int64)
        device = card.astype(np.int64) * DEVICES_PER_CARD + 2
        enrolled = time + self._between(1, 300, number, MINUTE)
        self._say(ENROLMENT, customer, enrolled, device=device)
        self._say(LOGIN, customer, enrolled + self._between(0.2, 10, number, MINUTE), device=device)
        forgot = rng.random(number) < 0.25
        self._say(PASSWORD, customer[forgot], (enrolled - self._between(1, 30, number, MINUTE))[forgot])
        ported = rng.random(number) < 0.1
        self._say(PHONE, customer[ported], (enrolled + self._between(-2 * 24, 2 * 24, number, HOUR))[ported])

    def _resemble_thieves(self, rows: Rows) -> None:
        """Movers furnish their homes, and a password is reset to look at the money before a dear purchase."""
        rng, customer = self._rng, self._people.cards.customer
        spree, first = np.unique(rows["card"][rows["look_alike"] == SPREE], return_index=True)
        begin = rows["time"][rows["look_alike"] == SPREE][first]
        moved = rng.random(len(spree)) < 0.35
        self._say(ADDRESS, customer[spree][moved], (begin - self._between(1, 240, len(spree), HOUR))[moved])
        dear = np.flatnonzero(rows["look_alike"] == EXPENSIVE)
        for kind, share, most in ((LOGIN, 0.3, 90), (PASSWORD, 0.07, 300), (PHONE, 0.02, 1_000)):
            chosen = dear[rng.random(len(dear)) < share]
            before = self._between(2, most, len(chosen), MINUTE)
            who, time = customer[rows["card"][chosen]], rows["time"][chosen] - before
            self._say(kind, who, time, device=self._device(who, time))

    # -- thieves, and what follows

    def _take_over(self, rows: Rows) -> None:
        """Most thieves prepare: they sign in, then change what would warn the owner, minutes to hours before."""
        rng, customer = self._rng, self._people.cards.customer
        mine = np.flatnonzero(rows["story"] == _TAKEOVER)
        _, first = np.unique(rows["case"][mine], return_index=True)
        mine = mine[first]
        who, begin, number = customer[rows["card"][mine]], rows["time"][mine], len(mine)
        device = rows["device"][mine].astype(np.int64)
        device = np.where(device == DEFAULT, self._device(who, begin), device)
        prepared = rng.random(number) < self._customs.prepared
        lead = np.clip(np.exp(rng.normal(np.log(1.5), 1.2, number)), 0.08, 60) * HOUR
        entered = (begin - lead).astype(np.int64)
        came = prepared | (rng.random(number) < 0.5)
        self._say(LOGIN, who[came], entered[came], device=device[came])
        used = rng.random((len(_MEANS), number)) < np.array([chance for _, chance in _MEANS])[:, None]
        used[rng.integers(0, 3, number), np.arange(number)] |= ~used.any(axis=0)
        for (kind, _chance), row in zip(_MEANS, used & prepared, strict=True):
            done = begin - (lead * rng.uniform(0.15, 0.98, number)).astype(np.int64)
            self._say(kind, who[row], done[row], device=device[row], card=rows["card"][mine][row])
        again = prepared & (rng.random(number) < 0.6)
        last = begin - (lead * rng.uniform(0.02, 0.1, number)).astype(np.int64)
        self._say(LOGIN, who[again], last[again], device=device[again])

    def _clear_up(self, rows: Rows, decisions: dict[str, Array]) -> None:
        """Once a fraud is known the card is issued anew; after a takeover the owner also resets his password."""
        case = rows["case"][decisions["row"]]
        known = np.flatnonzero((case >= 0) & (decisions["revision"] == 0))
        _, first = np.unique(case[known], return_index=True)
        known = known[first]
        card, decided = rows["card"][decisions["row"][known]], decisions["decided"][known]
        who, number = self._people.cards.customer[card], len(known)
        self._say(REISSUE, who, decided + self._between(0.5, 30, number, HOUR), card=card)
        stolen = rows["story"][decisions["row"][known]] == _TAKEOVER
        self._say(PASSWORD, who[stolen], (decided + self._between(0.2, 8, number, HOUR))[stolen])

    # -- small things

    def _say(
        self, kind: int, customer: Array, time: Array, device: Array | int = DEFAULT, card: Array | None = None
    ) -> None:
        """Note events; those of one card name it, by default the customer's first."""
        number = len(customer)
        named = self._owner(customer) if card is None else card
        device = np.broadcast_to(np.asarray(device, dtype=np.int64), number)
        mobile = self._rng.random(number) < 0.2
        owner = self._owner(customer).astype(np.int64)
        home = owner * IPS_PER_CARD + self._rng.integers(0, IPS_PER_CARD, number)
        foreign = device >= len(self._people.cards) * DEVICES_PER_CARD
        away = self._people.address_in(self._people.cards.country[owner], self._rng)
        self._blocks.append(
            {
                "time": np.asarray(time, dtype=np.int64),
                "type": np.full(number, kind, dtype=np.int8),
                "customer": np.asarray(customer, dtype=np.int64),
                "card": np.asarray(named, dtype=np.int64) if kind in (PIN, REISSUE) else np.full(number, ABSENT),
                "device": device,
                "ip": np.where(device == DEFAULT, DEFAULT, np.where(mobile | foreign, away, home)),
            }
        )

    def _owner(self, customer: Array) -> Array:
        return np.searchsorted(self._people.cards.customer, customer)

    def _some_time(self, customer: Array) -> Array:
        """A moment of the history by the rhythm of the customer's first card."""
        card = self._owner(customer)
        day = self._rng.integers(0, self._days, len(customer))
        offset = self._people.country_offset_ms[self._people.cards.country[card]]
        hour = hours_of_day(self._people, card, self._rng)
        return day * DAY_MS + (hour * HOUR).astype(np.int64) - offset

    def _between(self, low: float, high: float, number: int, unit: int) -> Array:
        return (self._rng.uniform(low, high, number) * unit).astype(np.int64)

    def _device(self, customer: Array, time: Array) -> Array:
        """The phone, at times the second device, at times one that belongs to somebody else, such as an employer."""
        card, rng = self._owner(customer), self._rng
        renewed = time >= self._people.cards.new_phone_day[card] * DAY_MS
        which = np.where(rng.random(len(card)) < 0.2, 1, np.where(renewed, 2, 0))
        own = card.astype(np.int64) * DEVICES_PER_CARD + which
        strange = strange_devices(self._people, customer)
        return np.where(rng.random(len(card)) < self._customs.strange, strange, own)


def render(bank: Bank, people: Population, block: Block, start_ms: int) -> AccountEvents:
    """Say events as the bank would; identifiers are those of its transactions."""
    return AccountEvents(
        time=block["time"] + start_ms,
        type=block["type"],
        coded={
            "customer_id": Coded(block["customer"].astype(np.int32), customer_names(people)),
            "card_id": Coded(block["card"].astype(np.int32), people.cards.pan),
            "device_id": compact(block["device"], f"d{bank.seed:x}-"),
            "ip": addresses(block["ip"]),
        },
    )
