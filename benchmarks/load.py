"""The records that benchmarks read, and the threshold that makes a stated share of them alerts."""

from __future__ import annotations

import numpy as np

from stream.advance import new_arena
from stream.demo.topic import ends_of, read_all
from stream.events import TP
from stream.panels import load_panel
from stream.pipeline import Chunk, Pipeline
from stream.settings import load

BATCH = 4_096
CHUNK = 20_000
BENCH_BANK = 9_001


def fill_topic(bootstrap: str, topic: str, transactions: int, cards: int) -> int:
    """Send a simulated bank's transactions flat out; return how many the topic holds."""
    from training.data.sender import BatchSender
    from training.data.simulator import Encoder, generate

    days = max(2, round(transactions / cards / 2))
    history = generate(bank_seed=BENCH_BANK, seed=1, cards=cards, days=days, prevalence_bp=20)
    count = min(transactions, history.table().num_rows)
    encoder = Encoder(history)
    sender = BatchSender(bootstrap)
    try:
        for low in range(0, count, CHUNK):
            rows = np.arange(low, min(low + CHUNK, count))
            sender.send(topic, encoder.keys(rows), encoder.values(rows))
    finally:
        sender.close()
    return sum(ends_of(bootstrap, topic).values())


def threshold_for(bootstrap: str, topic: str, share: float) -> float:
    """The score that ``share`` of the topic's records exceed, each partition read from its beginning."""
    settings = load(None, {"models": {"acknowledge_simulated": True, "device": "cpu"}})
    panel = load_panel(settings)
    pipeline = Pipeline(settings, panel, topic_id="bench")
    scores = []
    for partition, records in read_all(bootstrap, topic).items():
        tp = TP(topic, partition)
        pipeline.open(tp, new_arena())
        for low in range(0, len(records), BATCH):
            prepared = pipeline.prepare([Chunk(tp, records[low : low + BATCH])])
            scores.append(panel.score(prepared.X, prepared.S).score)
        pipeline.close(tp)
    return float(np.quantile(np.concatenate(scores), 1.0 - share))
