"""Rules: read, refused in one sentence, and evaluated for a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream.errors import SettingError
from stream.events import F32, OUTCOMES, Flag
from stream.features import FEATURE_NAMES, FEATURES
from stream.rules import Rules, load_rules

HEAD = '[[rules]]\nid = "RULE_X"\noutcome = "review"\ntext = "because"\n'


def rules(tmp_path: Path, when: str, head: str = HEAD) -> Rules:
    file = tmp_path / "rules.toml"
    file.write_text(f"{head}when = [{when}]\n")
    return load_rules(file, FEATURES)


def rows(*values: dict[str, float]) -> F32:
    """Rows of features on the models' scale, missing unless given."""
    X = np.full((len(values), len(FEATURES)), np.nan, np.float32)
    for i, given in enumerate(values):
        for name, value in given.items():
            X[i, FEATURE_NAMES.index(name)] = value
    return X


def test_values_are_given_in_natural_units(tmp_path: Path) -> None:
    found = rules(tmp_path, '{ feature = "card_attempt_count_5m", op = ">=", value = 5 }')
    X = rows(*({"card_attempt_count_5m": np.log1p(count)} for count in (4, 5, 6)), {})
    assert found.fired(X, np.zeros(4, np.uint8))[:, 0].tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("op", "fired"),
    [(">=", [False, True, True]), (">", [False, False, True]), ("<=", [True, True, False]), ("<", [True, False, False]),
     ("==", [False, True, False])],
)  # fmt: skip
def test_each_operator(tmp_path: Path, op: str, fired: list[bool]) -> None:
    found = rules(tmp_path, f'{{ feature = "amount_vs_mean", op = "{op}", value = 2 }}')
    X = rows(*({"amount_vs_mean": np.log(times)} for times in (1.9, 2, 2.1)))
    assert found.fired(X, np.zeros(3, np.uint8))[:, 0].tolist() == fired


def test_all_conditions_must_hold_flags_too(tmp_path: Path) -> None:
    found = rules(tmp_path, '{ feature = "is_cash", op = "==", value = 1 }, { flag = "late", value = false }')
    fired = found.fired(rows({"is_cash": 1}, {"is_cash": 1}, {"is_cash": 0}), np.array([0, Flag.LATE, 0], np.uint8))
    assert fired[:, 0].tolist() == [True, False, False]
    late = rules(tmp_path, '{ flag = "late" }')
    assert late.fired(rows({}, {}), np.array([0, Flag.LATE | Flag.DECLINED], np.uint8))[:, 0].tolist() == [False, True]


@pytest.mark.parametrize(
    ("when", "head", "sentence"),
    [
        ('{ feature = "nope", op = ">", value = 1 }', HEAD, "RULE_X .* unknown feature 'nope'"),
        ('{ feature = "speed", op = "~", value = 1 }', HEAD, "RULE_X .* condition on speed"),
        ('{ feature = "speed", op = ">", value = "x" }', HEAD, "RULE_X .* value a number"),
        ('{ feature = "amount_vs_mean", op = ">", value = 0 }', HEAD, "never be"),
        ('{ flag = "tardy" }', HEAD, "flags are late"),
        ("", HEAD, "at least one condition"),
        ('{ flag = "late" }', HEAD.replace("review", "shout"), "needs an outcome"),
        ('{ flag = "late" }', HEAD.replace("RULE_X", "x"), "needs an id"),
        ('{ flag = "late" }', HEAD + "weight = 3\n", "unknown key weight"),
        ('{ flag = "late" }', f'{HEAD}when = [{{ flag = "late" }}]\n{HEAD}', "stands twice"),
        ('{ flag = "late" }', "rules = 3\n", "only version"),
        ("", "[[", "cannot be read as TOML"),
    ],
)
def test_a_wrong_rule_stops_the_start_with_one_sentence(tmp_path: Path, when: str, head: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence) as caught:
        rules(tmp_path, when, head)
    assert "decision.rules" in str(caught.value)


def test_a_file_without_rules_fires_nothing(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('version = "0"\n')
    assert load_rules(tmp_path / "rules.toml", FEATURES).fired(rows({}, {}), np.zeros(2, np.uint8)).shape == (2, 0)


def test_the_shipped_rules_are_valid_and_fire_on_their_own_story() -> None:
    shipped = load_rules(None, FEATURES)
    assert len(shipped.rules) >= 6 and {rule.outcome for rule in shipped.rules} <= set(OUTCOMES[1:])
    testing = {"card_attempt_count_5m": np.log1p(8), "card_decline_share_1h": 0.9}
    fired = shipped.fired(rows(testing, {}), np.zeros(2, np.uint8))
    assert [shipped.rules[i].id for i in np.flatnonzero(fired[0])] == ["RULE_CARD_TESTING"] and not fired[1].any()
