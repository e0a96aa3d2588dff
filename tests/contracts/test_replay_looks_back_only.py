"""What happens later changes no feature of what happened before: neither transactions nor labels nor account events."""

from __future__ import annotations

import numpy as np

from stream.codec.columns import concat, take
from stream.entities.account import Events
from stream.entities.takeover import joined
from stream.replay import History, Replay
from tests.replay_live import history_of

CUT = 300


def _joined(past: History, future: History, time: int) -> History:
    """One history up to a moment and another one after it: transactions, labels and account events."""
    assert past.partition is not None and future.partition is not None
    early = take(past.columns, slice(0, CUT))
    late = take(future.columns, future.columns.event_time > time)
    labels = [one for one in past.labels if one[1].decided_at <= time]
    labels += [one for one in future.labels if one[1].decided_at > time]
    partition = np.concatenate([past.partition[:CUT], future.partition[future.columns.event_time > time]])
    return History(concat([early, late]), partition, labels, _events(past.events, future.events, time))


def _events(past: Events | None, future: Events | None, time: int) -> Events:
    assert past is not None and future is not None
    return joined([past.take(past.time <= time), future.take(future.time > time)])


def test_nothing_after_a_moment_changes_features_before_it() -> None:
    first, other = history_of(600, 5, disorder_s=0), history_of(600, 6, disorder_s=0)
    time = int(first.columns.event_time[CUT - 1])
    X, S = Replay(_joined(first, first, time)).rows()
    Y, T = Replay(_joined(first, other, time)).rows()
    assert np.array_equal(X[:CUT], Y[:CUT], equal_nan=True)
    assert np.array_equal(S[:CUT], T[:CUT])


def test_what_came_before_a_moment_changes_features_after_it() -> None:
    first, other = history_of(600, 5, disorder_s=0), history_of(600, 6, disorder_s=0)
    time = int(first.columns.event_time[CUT - 1])
    X, _ = Replay(_joined(first, first, time)).rows()
    told_less = History(first.columns, first.partition, other.labels, other.events)
    Y, _ = Replay(_joined(told_less, first, time)).rows()
    assert not np.array_equal(X[CUT:], Y[CUT:], equal_nan=True)
