"""What every registered feature must be, found through the registry."""

from __future__ import annotations

import re
import string
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from stream.cli import features as cli
from stream.features import (
    FAMILIES,
    FEATURE_NAMES,
    FEATURES,
    FEATURES_HASH,
    PROGRAM,
    SEQUENCE_CHANNELS,
    Entity,
    Feature,
)
from stream.features.registry import features_hash

each_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)


@each_feature
def test_declaration_is_complete(feature: Feature) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", feature.name)
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*", feature.code)
    assert feature.unit
    assert feature.meaning
    assert feature.low <= feature.neutral <= feature.high
    assert all(float(np.float32(bound)) == bound for bound in (feature.low, feature.high))


@each_feature
def test_sentence_uses_only_value_and_usual(feature: Feature) -> None:
    names = {name for _, name, _, _ in string.Formatter().parse(feature.text) if name}
    assert names <= {"value", "usual"}
    assert feature.text.format(value=feature.shown(feature.high), usual=feature.shown(None)) != ""


def test_names_are_unique() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURES)


def test_channels_remember_features_of_their_family() -> None:
    owner = {feature.name: family.name for family in FAMILIES for feature in family.features}
    for channel in SEQUENCE_CHANNELS[1:]:
        assert owner[channel.feature] == channel.family
        feature = FEATURES[FEATURE_NAMES.index(channel.feature)]
        assert max(abs(feature.low), abs(feature.high)) <= 127 * channel.step


def test_card_fits_its_budget() -> None:
    sizes = {name: row.itemsize for name, row in PROGRAM.layouts.items()}
    assert sizes.pop("card") <= 1280
    assert all(sizes[name] <= most for name, most in {"customer": 192, "device": 128, "ip": 128}.items())


@pytest.mark.parametrize("entity", PROGRAM.local, ids=lambda entity: entity.name)
def test_rows_are_whole_cache_lines_that_begin_with_their_key(entity: Entity) -> None:
    row = PROGRAM.layouts[entity.name]
    assert row.itemsize % 64 == 0
    assert row.names is not None and row.names[:2] == ("key", "seen")
    assert not row.hasobject


def test_hash_changes_with_order_and_stays_otherwise() -> None:
    assert PROGRAM.hash == FEATURES_HASH
    assert features_hash(FAMILIES) == features_hash(tuple(FAMILIES))
    assert features_hash(FAMILIES) != features_hash(FAMILIES[::-1])


def test_natural_values_read_well() -> None:
    by_name = dict(zip(FEATURE_NAMES, FEATURES, strict=True))
    assert by_name["amount_vs_mean"].shown(float(np.log(18.9))) == "18.9"
    assert by_name["card_seconds_since_last"].shown(float(np.log1p(7200))) == "2.0 hours"
    assert by_name["amount"].shown(float(np.log1p(1234.5))) == "1,234.50"
    assert by_name["amount"].shown(float("nan")) == "no history"


def test_page_is_as_the_registry_says() -> None:
    page = Path(__file__).parents[2] / "docs" / "features.md"
    assert page.read_text(encoding="utf-8") == cli.page(), (
        "write it anew: fraudstream features --markdown > docs/features.md"
    )


@pytest.mark.parametrize("option", [[], ["--json"], ["--markdown"]])
def test_command_lists_every_feature(option: list[str]) -> None:
    app = Typer()
    app.command()(cli.command)
    result = CliRunner().invoke(app, option, env={"COLUMNS": "400"})
    assert result.exit_code == 0
    assert [name for name in FEATURE_NAMES if name not in result.stdout] == []
