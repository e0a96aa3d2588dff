"""Generate a history: population, honest life, planted fraud, the feed and the labels, from two seeds."""

import datetime as dt
from collections.abc import Collection

import numpy as np

from stream.errors import SettingError
from training.data.simulator import feed, honest, labels, lookalikes, planting
from training.data.simulator.account import Accounts, render
from training.data.simulator.bank import bare, draw_bank, other_frauds
from training.data.simulator.calendar import DAY_MS, day_factors
from training.data.simulator.finish import finish
from training.data.simulator.history import History
from training.data.simulator.population import populate
from training.data.simulator.rows import concat, take
from training.data.simulator.stories import Scene


def generate(
    *,
    bank_seed: int,
    seed: int,
    cards: int = 3000,
    days: int = 120,
    start: dt.datetime | None = None,
    prevalence_bp: float = 80.0,
    stories: Collection[str] | None = None,
    bare_feed: bool = False,
    adaptive: float | None = None,
    refused: float | None = None,
    unreported: float | None = None,
) -> History:
    """Simulate the transactions of one bank.

    Parameters
    ----------
    bank_seed : int
        Which bank: all parameters of customers, feed and fraud (see `bank.draw_bank`).
    seed : int
        Which stream of that bank.
    cards, days : int
        Size of the history, at least 10 cards and one day; about 1.5 to 3 transactions a card and day.
    start : datetime.datetime, optional
        First moment (UTC if it names no zone); by default `days` before today's midnight UTC.
    prevalence_bp : float
        Fraudulent transactions in basis points of all.
    stories : collection of str, optional
        Play only these stories (to leave one out); all by default.
    bare_feed : bool
        Send only card, merchant, terminal, type and amount: a model that never saw such a feed is silent on it.
    adaptive, refused, unreported : float, optional
        Share of fraudsters who retry smaller after a decline, of their attempts that the issuer declines, and of
        fraud cases that nobody ever reports; as the bank draws them by default.

    Returns
    -------
    History

    Raises
    ------
    SettingError
        If a size, the prevalence or a story's name makes no sense.
    """
    if cards < 10 or days < 1:
        raise SettingError(f"--cards {cards} and --days {days}: a history needs at least 10 cards and one day.")
    begin = _begin(start, days)
    rng = np.random.default_rng([bank_seed, seed])
    bank = bare(draw_bank(bank_seed)) if bare_feed else draw_bank(bank_seed)
    bank = other_frauds(bank, adaptive=adaptive, decline=refused, unreported=unreported)
    people = populate(bank, cards, days, rng)
    factors, peaks = day_factors(bank, begin, days)
    plan = honest.Plan(lookalikes.where_about(bank, people, days, rng), factors, peaks)
    rows = honest.live(bank, people, plan, rng)
    scene = Scene(bank, people, days, rows, rng)
    rows = concat([rows, planting.plant(scene, prevalence_bp, stories)])
    finish(bank, people, rows, rng)
    feed.set_clocks(bank, people, rows, days * DAY_MS, rng)
    rows = take(rows, np.argsort(rows["time"], kind="stable"))
    reported = labels.report(bank, rows, rng)
    decisions = labels.decide(bank, rows, reported, rng)
    start_ms = int(begin.timestamp() * 1000)
    account = Accounts(bank, people, days, seed).live(rows, decisions)
    decisions["decided"] = decisions["decided"] + start_ms
    return History(
        bank=bank,
        seed=seed,
        feed=feed.render(bank, people, rows, start_ms, rng),
        story=rows["story"],
        case=rows["case"],
        look_alike=rows["look_alike"],
        reported=reported,
        decisions=decisions,
        account=render(bank, people, account, start_ms),
        customer_of=people.cards.customer,
    )


def _begin(start: dt.datetime | None, days: int) -> dt.datetime:
    if start is None:
        midnight = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - dt.timedelta(days=days)
    return start if start.tzinfo else start.replace(tzinfo=dt.UTC)
