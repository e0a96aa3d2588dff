"""What a transaction may know of its customer's account: by time alone, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.entities.account import Events
from stream.entities.takeover import COLUMNS, DEPTH, History, Takeover, joined

T = 1_770_000_000_000
SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000
AT = {name: i for i, name in enumerate(COLUMNS)}
Told = tuple[int, int, int, int, int]  # customer, card, group, time, device; a card's own event has a card


def events(rows: Sequence[Told]) -> Events:
    columns = np.array(rows, np.int64).reshape(-1, 5)
    customer, card, group, time, device = columns.T
    return Events(
        customer.astype(np.uint64), card.astype(np.uint64), card != 0, group.astype(np.uint8), time.copy(),
        device.astype(np.uint64),
    )  # fmt: skip


def cache(rows: Sequence[Told]) -> Takeover:
    made = Takeover(keys=64, events=4096)
    made.add(events(rows))
    return made


def look(takeover: Takeover, time: int, customer: int = 1, card: int = 7, device: int = 5) -> dict[str, float]:
    keys = [np.array([key], np.uint64) for key in (customer, card, device)]
    (row,) = takeover.look(keys[0], keys[1], np.array([time]), keys[2])
    return {name: float(row[i]) for name, i in AT.items() if not np.isnan(row[i])}


def slow(rows: Sequence[Told], time: int, customer: int, card: int, device: int) -> dict[str, float]:
    """The same by going through everything."""
    mine = {}
    for whose, own, group, when, what in rows:
        if (own == card if own else whose == customer) and when <= time - 5 * SECOND and time - when <= 30 * DAY:
            mine[group, when, own] = max(mine.get((group, when, own), 0), what)
    found: dict[str, float] = {}
    for group in range(5):
        times = [when for which, when, _ in mine if which == group]
        if times:
            found[COLUMNS[group]] = time - max(times)
            # Where the customer's and the card's newest are of one moment, the customer's stands.
            last = mine.get((group, max(times), 0), mine.get((group, max(times), card), 0))
            if group < 2 and last and device:
                found[COLUMNS[6 + group]] = float(last != device)
    logins = [when for which, when, _ in mine if which == 0]
    if logins:
        found["logins_24h"] = sum(when >= time - DAY for when in logins)
    return found


ROWS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from([0, 0, 7, 8]),
        st.integers(0, 4),
        st.integers(0, 40).map(lambda n: T + n * 20 * HOUR) | st.integers(T, T + 40 * DAY),
        st.integers(0, 3),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.data())
def test_order_of_arrival_repeats_and_cuts_change_nothing(rows: list[Told], data: st.DataObject) -> None:
    other = data.draw(st.permutations(rows + rows[:5]))
    one, two = cache(rows), Takeover(keys=64, events=4096)
    cut = data.draw(st.integers(0, len(other)))
    two.add(events(other[:cut]))
    two.add(events(other[cut:]))
    assert (one.rows, one.events) == (two.rows, two.events)
    for time in data.draw(st.lists(st.integers(T, T + 75 * DAY), min_size=3, max_size=3)):
        for customer, card, device in ((1, 7, 1), (2, 8, 0), (3, 0, 2)):
            expected = slow([row for row in rows if card or not row[1]], time, customer, card, device)
            assert look(one, time, customer, card, device) == look(two, time, customer, card, device) == expected


@settings(max_examples=50, deadline=None)
@given(ROWS, st.integers(T, T + 40 * DAY))
def test_what_is_forgotten_was_out_of_sight(rows: list[Told], now: int) -> None:
    whole, pruned = cache(rows), cache(rows)
    pruned.forget(now - 30 * DAY, limit=64)
    for customer in (1, 2, 3):
        assert look(whole, now, customer) == look(pruned, now, customer)
    again = cache([])
    again.add(events([row for row in rows if row[3] >= now - 30 * DAY]))
    assert pruned.events == again.events
    pruned.add(events(rows))  # room that was freed is used again
    assert look(pruned, now) == look(whole, now)
    assert pruned.nbytes <= whole.nbytes


def test_an_event_is_seen_five_seconds_later_and_for_thirty_days() -> None:
    takeover = cache([(1, 0, 2, T, 0)])
    assert look(takeover, T + 5 * SECOND - 1) == {}
    assert look(takeover, T + 5 * SECOND) == {"credential_ms": 5_000}
    assert look(takeover, T + 30 * DAY) == {"credential_ms": 30 * DAY}
    assert look(takeover, T + 30 * DAY + 1) == {}


def test_a_cards_own_event_is_not_its_owners_other_cards() -> None:
    takeover = cache([(1, 7, 4, T, 0), (1, 0, 3, T, 0)])
    assert look(takeover, T + DAY, card=7) == {"reissue_ms": DAY, "contact_ms": DAY}
    assert look(takeover, T + DAY, card=9) == {"contact_ms": DAY}
    assert look(takeover, T + DAY, customer=0, card=0) == {}


def test_a_flood_of_sign_ins_is_bounded_in_any_order() -> None:
    times = T + np.arange(3 * DEPTH) * SECOND
    for order in (times, times[::-1], np.random.default_rng(1).permutation(times)):
        takeover = cache([(1, 0, 0, int(time), 3) for time in order])
        assert takeover.events == DEPTH
        assert look(takeover, int(times[-1]) + HOUR) == {
            "login_ms": HOUR,
            "logins_24h": 64,
            "login_other_device": 1,
        }


def test_what_finds_no_room_is_refused_and_counted() -> None:
    small = Takeover(keys=8, events=16)
    assert small.add(events([(customer, 0, 0, T, 0) for customer in range(1, 12)])) == (8, 0, 3)
    assert small.add(events([(1, 0, 0, T + n, 0) for n in range(20)])) == (8, 1, 11)
    assert look(small, T + HOUR, customer=8) == {"login_ms": HOUR, "logins_24h": 1}


def test_a_history_is_fed_as_far_as_its_transactions_are() -> None:
    rows = [(1, 0, 0, T + n * HOUR, 0) for n in (5, 1, 9)]
    history, takeover = History(joined([events(rows[:2]), events(rows[2:])])), Takeover(keys=8, events=16)
    history.feed(takeover, T + 5 * HOUR)
    assert takeover.events == 2 and takeover.newest == T + 5 * HOUR
    history.feed(takeover, T + 99 * HOUR)
    assert takeover.events == 3
