"""A crash anywhere: nothing lost, nothing told twice, one chain."""

from __future__ import annotations

import json

import pytest
from builders import state
from fakes import SOURCE, FakeRecord, message, pipeline, records

from stream.advance import new_arena
from stream.pipeline import Chunk, Pipeline
from stream.sinks.chain import Tip, tip_of, verify
from stream.sinks.memory import MemorySink


def stream_of(cards: int = 4, count: int = 40) -> list[FakeRecord]:
    """Purchases of some cards, every seventh large for its card, every ninth poison."""
    values: list[bytes | None] = []
    for i in range(cards * count):
        amount = 600.0 + i if i % 7 == 6 and i > 40 else 20.0
        values.append(b"poison %d" % i if i % 9 == 8 else message(i, card_id=f"card-{i % cards}", amount=amount))
    return records(values)


def work(made: Pipeline, sink: MemorySink, given: list[FakeRecord], size: int) -> None:
    for start in range(0, len(given), size):
        for outcome in made.complete(made.prepare([Chunk(SOURCE, given[start : start + size])])):
            sink.write(SOURCE.partition, outcome.alerts, outcome.dead)


def restarted(made: Pipeline, sink: MemorySink, given: list[FakeRecord], committed: int) -> Pipeline:
    """A new worker: state replayed up to the committed offset, the chain taken over from the log's tail."""
    fresh = pipeline()
    for start in range(0, committed, 17):
        fresh.replay(SOURCE, given[start : min(start + 17, committed)])
    arena = fresh.arena(SOURCE)
    assert arena is not None
    arena.next_offset = committed
    tail = sink.messages[-1:] and tip_of(json.loads(sink.messages[-1][2]))
    last = tail or Tip()
    sink.take_over(0, Tip(last.epoch + 1, last.sequence, last.hash, last.decided_until), sink.told_until(0))
    return fresh


def contents(sink: MemorySink) -> list[tuple[str, float, str]]:
    found = [json.loads(text) for _, _, text in sink.messages]
    return [(alert["alert_id"], alert["score"], alert["panel_hash"]) for alert in found]


@pytest.mark.parametrize(("published", "committed"), [(80, 80), (93, 80), (160, 1), (50, 0), (110, 109)])
def test_a_crash_between_publish_and_commit_loses_and_repeats_nothing(published: int, committed: int) -> None:
    given = stream_of()
    uninterrupted, broken = MemorySink(), MemorySink()
    work(pipeline(), uninterrupted, given, 13)
    first = pipeline()
    work(first, broken, given[:published], 9)
    second = restarted(first, broken, given, committed)
    work(second, broken, given[committed:], 21)
    assert contents(broken) == contents(uninterrupted) and len(broken.messages) > 10
    assert [dead.offset for dead in broken.dead] == [dead.offset for dead in uninterrupted.dead]
    report = verify(broken.messages)
    assert (report.ok, report.repeats, report.superseded) == (True, 0, 0)


def test_a_record_below_the_arenas_offset_is_never_applied_again() -> None:
    given = stream_of()
    made, sink = pipeline(), MemorySink()
    work(made, sink, given, 40)
    arena = made.arena(SOURCE)
    assert arena is not None
    before = state(arena)
    (outcome,) = made.complete(made.prepare([Chunk(SOURCE, given[100:])]))
    assert (outcome.transactions, outcome.alerts, outcome.next_offset) == (0, [], len(given))
    assert state(arena) == before


def test_replay_tells_nothing_and_moves_the_state_as_scoring_does() -> None:
    given = stream_of()
    scored, replayed = pipeline(), pipeline()
    work(scored, MemorySink(), given, 11)
    replayed.replay(SOURCE, given)
    left, right = scored.arena(SOURCE), replayed.arena(SOURCE)
    assert left is not None and right is not None
    assert state(left) == state(right)
    assert (left.next_offset, left.watermark) == (right.next_offset, right.watermark)


def test_a_partition_given_away_takes_its_state_with_it() -> None:
    made = pipeline()
    made.replay(SOURCE, stream_of())
    made.close(SOURCE)
    assert made.arena(SOURCE) is None
    made.open(SOURCE, new_arena(capacity=16))
    arena = made.arena(SOURCE)
    assert arena is not None and (arena.live, arena.next_offset) == (0, 0)
