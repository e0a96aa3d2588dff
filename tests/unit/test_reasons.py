"""Reasons name what drives the fused logit."""

from __future__ import annotations

import numpy as np
from fakes import FakePanel

from stream.events import F32, F64, Reason
from stream.features import FEATURE_NAMES, FEATURES, SEQUENCE_CHANNELS, SEQUENCE_STEPS
from stream.reasons import Explainer, rule_reason

PANEL = FakePanel()
CHANNEL = {channel.name: i for i, channel in enumerate(SEQUENCE_CHANNELS)}
COLUMN = {name: i for i, name in enumerate(FEATURE_NAMES)}


def inputs(known: int = SEQUENCE_STEPS, **values: float) -> tuple[F32, F32]:
    """One alert: everything neutral but the values given, and a history of so many steps."""
    X = PANEL.neutral_features.copy()[None]
    S = np.broadcast_to(PANEL.neutral_sequence, (1, SEQUENCE_STEPS, len(SEQUENCE_CHANNELS))).copy()
    S[:, : SEQUENCE_STEPS - known] = 0
    for name, value in values.items():
        X[:, COLUMN[name]] = value
    return X, S


def explain(weights: dict[str, float], X: F32, S: F32, usual: dict[str, float] | None = None) -> list[Reason]:
    """Explain by a linear logit over features (``name``) and channels summed over steps (``seq.name``)."""

    def logit_of(x: F32, s: F32) -> F64:
        total = np.zeros(len(x))
        for name, weight in weights.items():
            seen = s[:, :, CHANNEL[name[4:]]].sum(axis=1) if name.startswith("seq.") else x[:, COLUMN[name]]
            total += weight * np.nan_to_num(seen, nan=5.0)
        return total

    habit = np.full(X.shape, np.nan, np.float32)
    for name, value in (usual or {}).items():
        habit[:, COLUMN[name]] = value
    made = Explainer(logit_of, PANEL.neutral_features, PANEL.neutral_sequence)
    (found,) = made.explain(X, S, logit_of(X, S), habit)
    return found


def test_the_weightiest_families_come_first_with_their_feature() -> None:
    X, S = inputs(amount_vs_mean=3.0, speed=8.0, is_cash=1.0, hour_affinity=-2.0, merchant_new=1.0)
    weights = {"amount_vs_mean": 1.0, "speed": 1.0, "is_cash": 0.5, "hour_affinity": 1.0, "merchant_new": 0.1}
    found = explain(weights, X, S)
    assert [reason.code for reason in found] == ["TRAVEL_IMPOSSIBLE", "AMOUNT_VS_MEAN", "TYPE_CASH"]
    assert [round(reason.contribution, 3) for reason in found] == [7.0, 3.0, 0.5]


def test_a_value_is_told_in_natural_units_with_what_is_usual() -> None:
    X, S = inputs(amount=float(np.log1p(900)))
    (reason,) = explain({"amount": 1.0}, X, S, {"amount": 20.0})
    assert reason.text == "Amount 900.00; this card's mean is 20.00"
    assert (reason.value, reason.usual) == (900.0, 20.0)


def test_a_new_card_has_no_history_instead_of_a_habit() -> None:
    X, S = inputs(known=1, amount_z=np.nan, amount=float(np.log1p(900)))
    (reason,) = explain({"amount_z": 1.0}, X, S)
    assert (reason.code, reason.value, reason.usual) == ("NO_HISTORY", None, None) and "no history" in reason.text
    (amount,) = explain({"amount": 1.0}, X, S, {"amount": 7.0})
    assert amount.usual is None and "no history" in amount.text


def test_what_a_message_lacks_is_told_as_unknown() -> None:
    X, S = inputs(ip_mismatch=np.nan)
    (reason,) = explain({"ip_mismatch": 1.0}, X, S)
    assert reason.code == "NOT_KNOWN" and FEATURES[COLUMN["ip_mismatch"]].meaning in reason.text


def test_a_family_is_found_through_its_channels_alone() -> None:
    X, S = inputs()
    S[:, -4:, CHANNEL["pace_1h"]] = 4.0
    (reason,) = explain({"seq.pace_1h": 1.0}, X, S)
    assert reason.feature in FEATURE_NAMES and reason.contribution == 16.0
    assert FEATURES[COLUMN[reason.feature]].name.startswith(("card_", "amount_vs_max_24h"))


def test_steps_before_the_first_event_stay_empty() -> None:
    X, S = inputs(known=3)
    S[:, -3:, CHANNEL["hour_affinity"]] = -2.0
    (reason,) = explain({"seq.hour_affinity": -1.0}, X, S)
    assert reason.contribution == 7.5


def test_inputs_are_not_touched_and_many_alerts_are_explained_in_order() -> None:
    X, S = inputs(amount_vs_mean=3.0)
    many_x, many_s = np.repeat(X, 150, axis=0), np.repeat(S, 150, axis=0)
    many_x[:, COLUMN["amount_vs_mean"]] = np.arange(150)
    copies = many_x.copy(), many_s.copy()
    made = Explainer(lambda x, s: x[:, 1].astype(np.float64), PANEL.neutral_features, PANEL.neutral_sequence)
    found = made.explain(many_x, many_s, many_x[:, 1].astype(np.float64), np.full(many_x.shape, np.nan, np.float32))
    assert [reasons[0].contribution for reasons in found] == list(range(150))
    assert np.array_equal(copies[0], many_x) and np.array_equal(copies[1], many_s)


def test_a_rule_names_its_first_value() -> None:
    X, _ = inputs(speed=float(np.log1p(1500)))
    reason = rule_reason("RULE_X", "too fast", COLUMN["speed"], X[0])
    assert (reason.code, reason.text, reason.value, reason.contribution) == ("RULE_X", "too fast", 1500.0, 0.0)
