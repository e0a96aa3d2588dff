"""One bank: every parameter of its customers, its feed and the frauds it suffers, drawn from wide priors by a seed.

Two seeds are two banks: nothing that a model may learn about the level, the rhythm or the mix of one bank
holds for the next.
"""

from dataclasses import dataclass, replace

import numpy as np

from stream.errors import SettingError

STORY_NAMES = (
    "card_testing",
    "account_takeover",
    "terminal_compromise",
    "merchant_collusion",
    "impossible_travel",
    "slow_skimming",
    "bust_out",
)

_HOMES = 9
_OPTIONAL = {
    "customer_id": 0.05,
    "terminal_id": 0.04,
    "type": 0.02,
    "amount_base": 0.02,
    "response_code": 0.02,
    "mcc": 0.04,
    "bin": 0.10,
    "country": 0.03,
    "channel": 0.03,
    "entry_mode": 0.05,
    "three_ds": 0.15,
    "cvv_result": 0.15,
    "avs_result": 0.30,
    "device_id": 0.08,
    "ip": 0.10,
    "ip_country": 0.12,
    "latitude": 0.10,
    "card_opened_at": 0.08,
    "account_opened_at": 0.15,
}
_ALWAYS_SENT = ("terminal_id", "type")
_MAY_BE_ABSENT = ("customer_id", "bin", "avs_result", "ip_country", "account_opened_at", "amount_base")


@dataclass(frozen=True)
class Habits:
    """How the customers of a bank spend: medians and spreads over customers, shares in [0, 1]."""

    daily_rate: float
    rate_spread: float
    amount_level: float
    amount_spread: float
    own_spread: float
    tail_share: float
    tail_index: float
    online_share: float
    explore_share: float
    merchant_zipf: float
    session_share: float
    second_card: float
    contactless: float
    night_share: float
    weekend: float
    peak_hours: tuple[float, float]
    decline: float
    retry: float


@dataclass(frozen=True)
class LookAlikes:
    """How often honest customers do what fraud looks like, per card and year unless it is a share."""

    trips: float
    expensive: float
    spree: float
    new_phone: float
    micro: float
    refund_share: float
    peak_factor: float


@dataclass(frozen=True)
class Feed:
    """What the bank's feed looks like: absent fields, mislabelled values, wrong clocks, formats."""

    missing: dict[str, float]
    wrong_mcc: float
    lower_case: float
    skewed_clocks: float
    clock_spread_s: float
    local_offset: float


@dataclass(frozen=True)
class Fraud:
    """The frauds a bank suffers and how they become known."""

    mix: dict[str, float]
    severity: dict[str, float]
    decline: float
    adaptive: float
    unreported: float
    friendly: float
    analyst_share: float
    chargeback_days: float


@dataclass(frozen=True)
class Bank:
    """All parameters of one bank."""

    seed: int
    homes: tuple[int, ...]
    home_shares: tuple[float, ...]
    bins: tuple[int, ...]
    habits: Habits
    look_alikes: LookAlikes
    feed: Feed
    fraud: Fraud


def draw_bank(seed: int) -> Bank:
    """Draw a bank from the priors.

    Parameters
    ----------
    seed : int
        The bank seed; the same seed is the same bank.

    Returns
    -------
    Bank
    """
    rng = np.random.default_rng([0xBA7C, seed])
    homes = rng.permutation(_HOMES)[: rng.integers(1, 4)]
    shares = np.sort(rng.dirichlet(np.full(len(homes), 1.5)))[::-1]
    leading = rng.choice([4, 5], size=4)
    bins = tuple(int(lead * 100_000 + tail) for lead, tail in zip(leading, rng.integers(0, 100_000, 4), strict=True))
    return Bank(
        seed=seed,
        homes=tuple(int(home) for home in homes),
        home_shares=tuple(float(share) for share in shares),
        bins=bins,
        habits=_draw_habits(rng),
        look_alikes=_draw_look_alikes(rng),
        feed=_draw_feed(rng),
        fraud=_draw_fraud(rng),
    )


def bare(bank: Bank) -> Bank:
    """The same bank with a feed that says hardly more than card, terminal, type and amount, as many files do."""
    missing = {name: rate if name in _ALWAYS_SENT else 1.0 for name, rate in bank.feed.missing.items()}
    return replace(bank, feed=replace(bank.feed, missing=missing))


def other_frauds(bank: Bank, **shares: float | None) -> Bank:
    """The same bank with other fraudsters: fields of `Fraud` that are given replace what was drawn.

    Raises
    ------
    SettingError
        A share is not in [0, 1].
    """
    given = {name: share for name, share in shares.items() if share is not None}
    for name, share in given.items():
        if not 0 <= share <= 1:
            raise SettingError(f"the share of frauds that are {name} is {share:g}: give a number from 0 to 1")
    return replace(bank, fraud=replace(bank.fraud, **given)) if given else bank  # type: ignore[arg-type]


def _draw_habits(rng: np.random.Generator) -> Habits:
    u = rng.uniform
    return Habits(
        daily_rate=u(1.1, 2.2),
        rate_spread=u(0.4, 0.8),
        amount_level=u(-0.5, 0.6),
        amount_spread=u(0.3, 0.6),
        own_spread=u(0.1, 0.35),
        tail_share=u(0.004, 0.02),
        tail_index=u(1.4, 2.5),
        online_share=u(0.15, 0.45),
        explore_share=u(0.08, 0.25),
        merchant_zipf=u(0.7, 1.2),
        session_share=u(0.08, 0.2),
        second_card=u(0.1, 0.4),
        contactless=u(0.4, 0.85),
        night_share=u(0.03, 0.1),
        weekend=u(0.9, 1.5),
        peak_hours=(u(10.5, 14.0), u(17.0, 20.5)),
        decline=u(0.015, 0.05),
        retry=u(0.4, 0.8),
    )


def _draw_look_alikes(rng: np.random.Generator) -> LookAlikes:
    u = rng.uniform
    return LookAlikes(
        trips=u(0.8, 2.5),
        expensive=u(0.8, 2.5),
        spree=u(0.4, 1.2),
        new_phone=u(0.3, 0.7),
        micro=u(0.8, 2.5),
        refund_share=u(0.008, 0.025),
        peak_factor=u(1.25, 1.9),
    )


def _draw_feed(rng: np.random.Generator) -> Feed:
    missing = {name: float(rng.beta(0.7, 6.0) * 6 * ceiling) for name, ceiling in _OPTIONAL.items()}
    missing = {name: min(rate, 2.5 * _OPTIONAL[name]) for name, rate in missing.items()}
    for name in _MAY_BE_ABSENT:
        if rng.random() < 0.15:
            missing[name] = 1.0
    return Feed(
        missing=missing,
        wrong_mcc=rng.uniform(0.002, 0.02),
        lower_case=rng.uniform(0.0, 0.03),
        skewed_clocks=rng.uniform(0.01, 0.08),
        clock_spread_s=rng.uniform(5.0, 60.0),
        local_offset=float(rng.choice([0.0, rng.uniform(0.05, 0.5)])),
    )


def _draw_fraud(rng: np.random.Generator) -> Fraud:
    weights = rng.dirichlet(np.full(len(STORY_NAMES), 4.0)) * 0.8 + 0.2 / len(STORY_NAMES)
    return Fraud(
        mix={name: float(weight) for name, weight in zip(STORY_NAMES, weights, strict=True)},
        severity={name: float(rng.uniform(0.85, 1.35)) for name in STORY_NAMES},
        decline=rng.uniform(0.08, 0.25),
        adaptive=rng.uniform(0.4, 0.9),
        unreported=rng.uniform(0.05, 0.10),
        friendly=rng.uniform(0.02, 0.08),
        analyst_share=rng.uniform(0.15, 0.45),
        chargeback_days=rng.uniform(14.0, 40.0),
    )
