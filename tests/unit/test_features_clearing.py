"""A pre-authorisation asks, its clearing pays: together they are one attempt and one spend."""

from __future__ import annotations

import numpy as np
import pytest
from builders import START, columns_from

from stream.events import TYPES, Flag
from stream.features import FEATURE_NAMES
from stream.replay import features_of

PREAUTH, CLEARING, PURCHASE = (TYPES.index(name) for name in ("preauth", "clearing", "purchase"))
MINUTE = 60_000


def told(x: np.ndarray, row: int, name: str) -> float:
    return float(np.expm1(x[row, FEATURE_NAMES.index(name)]))


def test_preauthorisation_and_clearing_count_once() -> None:
    types = [PREAUTH, CLEARING, PURCHASE]
    columns = columns_from(3, type=types, amount_minor=[10_000, 8_000, 100], customer_key=5, device_key=6)
    x, s, _ = features_of(columns)
    assert round(told(x, 2, "card_tx_count_24h")) == round(told(x, 2, "card_attempt_count_24h")) == 1
    assert round(told(x, 2, "card_amount_sum_24h"), 2) == round(told(x, 2, "customer_amount_sum_24h"), 2) == 80
    assert round(told(x, 2, "customer_attempt_count_24h")) == round(told(x, 2, "device_attempt_count_24h")) == 1
    assert s[2, :, 0].sum() == 2  # the clearing is no step of the window either


def test_a_clearing_says_nothing_of_when_and_where_the_card_is_used() -> None:
    columns = columns_from(3, type=[PURCHASE, CLEARING, PURCHASE], country=[1, 2, 2], merchant_key=[1, 2, 2])
    columns.event_time[:] = START + MINUTE * np.array([0, 10, 20])
    x, _, _ = features_of(columns)
    assert x[2, FEATURE_NAMES.index("country_changed")] == x[2, FEATURE_NAMES.index("merchant_new")] == 1
    assert round(told(x, 2, "card_seconds_since_last")) == 1200


def test_a_declined_preauthorisation_is_a_declined_attempt() -> None:
    columns = columns_from(2, type=[PREAUTH, PURCHASE], flags=[Flag.DECLINED, 0])
    x, _, _ = features_of(columns)
    assert (round(told(x, 1, "card_attempt_count_24h")), round(told(x, 1, "card_tx_count_24h"))) == (1, 0)


def test_sums_stop_at_the_end_of_their_range_and_never_wrap() -> None:
    columns = columns_from(4, amount_minor=10**13, customer_key=5)
    x, _, _ = features_of(columns)
    assert told(x, 3, "card_amount_sum_24h") == pytest.approx((2**32 - 1) / 100, rel=1e-5)
    assert told(x, 3, "customer_amount_sum_24h") == pytest.approx((2**32 - 1) / 10, rel=1e-5)
