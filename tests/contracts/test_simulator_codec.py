"""The engine's codec takes every message the simulator makes, noise included."""

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pytest

from stream.codec import Codec
from stream.events import TP
from stream.settings import load
from training.data.simulator import Encoder, generate


@pytest.mark.parametrize("bank", [2, 3, 11])
def test_every_simulated_message_is_decoded(bank: int) -> None:
    history = generate(bank_seed=bank, seed=1, cards=150, days=20, start=dt.datetime(2026, 5, 1))
    messages = Encoder(history).values(np.arange(len(history)))
    appended = int(history.feed.event_time[-1]) + 1_000
    records = [
        SimpleNamespace(value=value, key=None, offset=offset, timestamp=appended, headers=())
        for offset, value in enumerate(messages)
    ]
    decoded = Codec(load(None, {})).decode(records, TP("fraud.transactions", 0))
    assert decoded.dead == []
    assert decoded.columns.event_time.tolist() == history.feed.event_time.tolist()
    lettered = history.feed.coded["country"].codes >= 0
    assert (decoded.columns.country[lettered] > 0).all()
    euro = history.feed.numbers["amount_base"]
    known = ~np.isnan(euro) & (euro >= 1)
    assert np.allclose(decoded.columns.amount_minor[known] / 100, euro[known], rtol=0.02, atol=0.02)
