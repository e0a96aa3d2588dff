"""In which parts and in which order a history is sent."""

import datetime as dt
import threading
import time
from functools import cache

import numpy as np

from training.data.pace import due_chunks, due_times
from training.data.simulator import History, generate
from training.data.simulator.delivery import Delivery, deliver

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
START_MS = int(START.timestamp() * 1000)
DAY = 86_400_000


@cache
def history() -> History:
    return generate(bank_seed=8, seed=3, cards=200, days=20, start=START)


def plan(part: str, late: float = 0.01, repeated: float = 0.01) -> Delivery:
    return deliver(history(), START_MS, part=part, warmup_days=15, late=late, repeated=repeated)  # type: ignore[arg-type]


def test_both_parts_together_are_the_whole_delivery() -> None:
    whole, warmup, live = plan("all"), plan("warmup"), plan("live")
    assert np.concatenate([warmup.row, live.row]).tolist() == whole.row.tolist()
    assert np.concatenate([warmup.label, live.label]).tolist() == whole.label.tolist()
    assert np.concatenate([warmup.event, live.event]).tolist() == whole.event.tolist()
    assert warmup.event_arrival.max() < START_MS + 15 * DAY <= live.event_arrival.min()
    assert warmup.arrival.max() < START_MS + 15 * DAY <= live.arrival.min()


def test_without_late_and_repeated_messages_the_order_is_event_time() -> None:
    assert plan("all", late=0, repeated=0).row.tolist() == list(range(len(history())))
    assert plan("all", late=0, repeated=0).event.tolist() == list(range(len(history().account)))


def test_late_messages_come_after_younger_ones_and_repeated_ones_twice() -> None:
    whole = plan("all")
    times = history().feed.event_time[whole.row]
    assert (np.diff(whole.arrival) >= 0).all()
    assert (np.diff(times) < 0).any()
    counts = np.bincount(whole.row)
    assert counts.min() == 1
    assert 0.005 < (counts == 2).mean() < 0.02
    assert (np.diff(whole.event_arrival) >= 0).all() and len(whole.event) > len(history().account)


def test_labels_are_sent_only_once_their_time_has_come() -> None:
    live = plan("live")
    assert (live.label_arrival >= START_MS + 15 * DAY).all()
    assert (live.label_arrival <= history().feed.event_time[-1] + 1).all()


def test_the_pace_follows_the_rate_or_the_compressed_event_time() -> None:
    events = np.array([0, 1_000, 5_000], dtype=np.int64)
    assert due_times(events, rate=0, speed=10).tolist() == [0.0, 0.1, 0.5]
    assert due_times(events, rate=2, speed=0).tolist() == [0.0, 0.5, 1.0]
    assert due_times(events, rate=0, speed=0) is None


def test_messages_leave_when_due_and_a_stop_ends_it() -> None:
    begin = time.monotonic()
    assert list(due_chunks(np.array([0.0, 0.0, 0.15]), 3, threading.Event())) == [(0, 2), (2, 3)]
    assert time.monotonic() - begin >= 0.15
    stop = threading.Event()
    stop.set()
    assert list(due_chunks(None, 10, stop)) == []
