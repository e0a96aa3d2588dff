"""What happens to simulated accounts: honest life, thieves at work, and honest customers who look like them."""

import datetime as dt
from collections import Counter
from functools import cache

import msgspec
import numpy as np
import pyarrow.parquet as pq

from stream.entities.account import EVENT_TYPES, read_events
from stream.entities.history import read_event_history
from training.data.simulator import Encoder, History, generate
from training.data.simulator.account import TYPES

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_OPENED = ("card_opened_at", "account_opened_at")
DAYS, DAY, HOUR = 90, 86_400_000, 3_600_000


@cache
def history() -> History:
    return generate(bank_seed=6, seed=2, cards=1200, days=DAYS, start=START, prevalence_bp=80)


def by_type(kinds: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Customers and times of the events of some types."""
    account = history().account
    chosen = np.isin(account.type, [TYPES.index(kind) for kind in kinds])
    return account.coded["customer_id"].codes[chosen], account.time[chosen]


def test_events_are_sorted_reproducible_and_inside_the_history() -> None:
    again = generate(bank_seed=6, seed=2, cards=1200, days=DAYS, start=START, prevalence_bp=80)
    assert again.events.equals(history().events)
    times = history().account.time
    assert (np.diff(times) >= 0).all()
    assert START.timestamp() * 1000 <= times[0] and times[-1] < (START + dt.timedelta(days=DAYS)).timestamp() * 1000


def test_honest_customers_sign_in_often_and_change_little() -> None:
    customers = int(history().customer_of[-1]) + 1
    year = Counter(history().events["type"].to_pylist())
    per_year = {kind: number / customers * 365 / DAYS for kind, number in year.items()}
    assert set(per_year) == set(TYPES) == set(EVENT_TYPES)
    assert 50 < per_year["login"] < 600
    for kind in set(TYPES) - {"login"}:
        assert 0.05 < per_year[kind] < 4, kind


def test_most_takeovers_are_prepared_and_most_changes_are_honest() -> None:
    told = history()
    changed_by, changed_at = by_type(
        {"password_reset", "phone_change", "device_enrolment", "address_change", "pin_change"}
    )
    card = told.feed.coded["card_id"].codes
    story = np.array(told.truth["story"].to_pylist())
    prepared, explained = [], np.zeros(len(changed_at), bool)
    for case in np.unique(told.case[story == "account_takeover"]):
        rows = np.flatnonzero(told.case == case)
        before = told.feed.event_time[rows[0]] - changed_at
        near = (changed_by == told.customer_of[card[rows[0]]]) & (before > 0) & (before < 61 * HOUR)
        prepared.append(near.any())
        explained |= near
    assert 0.5 < np.mean(prepared) < 0.98
    assert explained.mean() < 0.4


def test_other_frauds_are_no_likelier_after_a_change_than_honest_purchases() -> None:
    told = history()
    changed_by, changed_at = by_type({"password_reset", "phone_change", "device_enrolment"})
    story = np.array(told.truth["story"].to_pylist())
    customer = told.customer_of[told.feed.coded["card_id"].codes]
    lately = np.zeros(len(told), bool)
    for who, when in zip(changed_by, changed_at, strict=True):
        lately |= (customer == who) & (told.feed.event_time > when) & (told.feed.event_time < when + DAY)
    honest, other = lately[story == ""], lately[(story != "") & (story != "account_takeover")]
    assert 0.0005 < honest.mean() < 0.03
    assert other.mean() < 6 * honest.mean()


def test_messages_are_read_and_say_what_the_table_says(tmp_path) -> None:
    told = history()
    keys, values = Encoder(told).events(np.arange(len(told.account)))
    rows = told.events.to_pylist()
    for row, key, value in zip(rows[:500], keys, values, strict=False):
        said = msgspec.json.decode(value)
        assert key == row["customer_id"].encode()
        assert dt.datetime.fromisoformat(said.pop("event_time")) == row.pop("event_time")
        assert said == {name: value for name, value in row.items() if value is not None}
    read = read_events(values, None, lambda cards: np.array([hash(card) for card in cards]).astype(np.uint64), 0)
    assert read.refused == {} and read.ignored == 0
    told.write(tmp_path)
    assert pq.read_table(tmp_path / "events.parquet").equals(told.events)
    history_of = read_event_history(tmp_path / "events.parquet")
    for name in ("customer_key", "group", "time", "device_key", "by_card"):
        assert (getattr(history_of, name) == getattr(read.events, name)).all(), name


def test_transactions_keyed_by_customer_keep_his_cards_together() -> None:
    told = history()
    index = np.arange(2_000)
    keys = Encoder(told, "customer_id").keys(index)
    cards = told.feed.coded["card_id"].codes[index]
    assert [int(key[1:]) for key in keys] == told.customer_of[cards].tolist()
    assert len(set(keys)) < len(set(cards.tolist()))
    labels = np.arange(50)
    assert Encoder(told, "customer_id").feedback(labels)[0] == Encoder(told, "customer_id").keys(
        told.decisions["row"][labels]
    )


def test_accounts_are_older_than_their_cards_and_some_are_young() -> None:
    table = history().table().select(["event_time", *_OPENED]).drop_null()
    event = table["event_time"].cast("int64").to_numpy().astype("datetime64[ms]")
    card, account = (np.array([text[:10] for text in table[n].to_pylist()], "datetime64[D]") for n in _OPENED)
    assert (account <= card).all()
    age = (event - account) / np.timedelta64(1, "D")
    assert 0.001 < (age < 30).mean() < 0.05
    assert np.median(age) > 365
