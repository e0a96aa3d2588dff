"""What a stream profile may say, and where it comes from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
import typer
from fakes import FakePanel, settings
from typer.testing import CliRunner

from stream import profile
from stream.app.checks import check_files
from stream.cli import features
from stream.codec.roles import CARD_ROLES, Roles
from stream.errors import SettingError
from stream.features import ENTITIES, FAMILIES, PROGRAM
from stream.features.context import look
from stream.features.registry import Entity, Family
from stream.panels import RulesAlone, load_panel
from stream.pipeline import Pipeline
from stream.profile import CARDS, GROUP, StreamProfile, load_profile
from stream.settings import load
from stream.warm import warm_up

OWN = Roles(dict(CARD_ROLES.names) | {"card_id": "account_id", "merchant_id": "shop"}, required=("country",))
FITTING: dict[str, Any] = {
    "name": "own",
    "roles": OWN,
    "entities": ENTITIES,
    "families": FAMILIES,
    "rules": CARDS.rules,
}
WRONG_PARTS = {
    "Own!": ({"name": "Own!"}, "name"),
    "noun": ({"noun": "Card."}, "noun"),
    "nothing decides": ({"rules": None}, "neither rules nor a panel"),
    "no entity": ({"entities": ()}, "needs entities"),
    "entity twice": ({"entities": (*ENTITIES, ENTITIES[0])}, "name of its own"),
    "no card": ({"entities": ENTITIES[1:]}, "card_key"),
    "no such key": ({"entities": (*ENTITIES, Entity("planet", "planet_key"))}, "planet_key.*none of"),
    "no families": ({"families": ()}, "no features"),
    "family twice": ({"families": (*FAMILIES, FAMILIES[0])}, "stands twice"),
    "family of nobody": ({"entities": ENTITIES[:1]}, "is about"),
}
WRONG_ROLES = {
    "unknown": ({"colour": "colour"}, (), "'colour' is no role"),
    "shared": ({"terminal_id": "merchant_id"}, (), "merchant_id plays two roles"),
    "dotted": ({"card_id": "card.id"}, (), "letters, digits and underscores"),
    "required": ({}, ("response_code",), "response_code cannot be required"),
}
WRONG_NAMES = {
    "kards": "there is no stream profile 'kards'; use cards or package.module:OBJECT",
    "no.such.module:PROFILE": "cannot be loaded .ModuleNotFoundError",
    "stream.profile:NOPE": "cannot be loaded .AttributeError",
    "stream.profile:load_profile": "not a StreamProfile; name the object itself",
    "broken_profile:PROFILE": "cannot be loaded .ValueError: it has no features",
    ":": "cannot be loaded",
}

BROKEN = """
from stream.profile import CARDS, StreamProfile
PROFILE = StreamProfile("broken", CARDS.roles, CARDS.entities, (), CARDS.rules)
"""


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Profiles are looked up once a process."""
    yield
    load_profile.cache_clear()


def test_cards_is_the_default_and_compiled_once() -> None:
    assert load_profile(load().engine.profile) is CARDS and CARDS.program is PROGRAM
    assert StreamProfile(**FITTING).program is PROGRAM


@pytest.mark.parametrize("name", WRONG_PARTS)
def test_parts_that_do_not_fit_are_refused(name: str) -> None:
    given, error = WRONG_PARTS[name]
    with pytest.raises(ValueError, match=error):
        StreamProfile(**(FITTING | given))


@pytest.mark.parametrize("name", WRONG_ROLES)
def test_roles_that_do_not_fit_are_refused(name: str) -> None:
    names, required, error = WRONG_ROLES[name]
    with pytest.raises(ValueError, match=error):
        Roles(dict(CARD_ROLES.names) | names, required)


@pytest.mark.parametrize("words", [{"type": ("in", "out")}, {"channel": ("in", " IN")}, {"channel": ("in", "")}])
def test_words_that_do_not_fit_are_refused(words: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match=r"cannot have words of its own|not all different"):
        Roles(CARD_ROLES.names, words=words)


def test_a_role_that_every_stream_has_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match="no field plays amount"):
        Roles({role: role for role in CARD_ROLES.names if role != "amount"})


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_wrong_profile_stops_the_start_with_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_profile.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingError, match=r"^setting engine\.profile: .*" + WRONG_NAMES[name]) as caught:
        check_files(settings(engine={"profile": name}))
    assert "\n" not in str(caught.value)


def test_a_rule_of_a_profile_may_only_speak_of_its_features(monkeypatch: pytest.MonkeyPatch) -> None:
    partial = StreamProfile(**(FITTING | {"families": FAMILIES[:1]}))
    monkeypatch.setattr(profile, "OWN", partial, raising=False)
    with pytest.raises(SettingError, match=r"stream profile own: rule RULE_.*unknown feature"):
        check_files(settings(engine={"profile": "stream.profile:OWN"}))


def test_a_profile_may_be_installed_by_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("theirs", "stream.profile:CARDS", GROUP), EntryPoint("bad", "nowhere:X", GROUP)])
    monkeypatch.setattr(profile, "entry_points", lambda group: points.select(group=group))
    assert load_profile("theirs") is CARDS
    with pytest.raises(SettingError, match="bad cannot be loaded"):
        load_profile("bad")
    with pytest.raises(SettingError, match="use bad, cards, theirs or"):
        load_profile("other")


def test_features_that_do_not_compile_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_kernel(state: Any, event: Any, view: Any) -> float:
        raise RuntimeError

    feature = dataclasses.replace(FAMILIES[-1].features[0], compute=no_kernel)
    family = Family("odd", (feature,), None, look, None)
    odd = StreamProfile(**(FITTING | {"families": (family,), "rules": None, "panel": CARDS.panel}))
    monkeypatch.setattr(profile, "OWN", odd, raising=False)
    made = Pipeline(settings(engine={"profile": "stream.profile:OWN"}), FakePanel(), "topic")
    with pytest.raises(SettingError, match=r"^stream profile own: its features cannot be compiled \("):
        warm_up(made)


def test_without_a_panel_rules_alone_decide_and_nothing_is_degraded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "OWN", StreamProfile(**FITTING), raising=False)
    panel = load_panel(settings(engine={"profile": "stream.profile:OWN"}))
    assert isinstance(panel, RulesAlone) and panel.models == []


def test_commands_speak_of_the_profile_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    own = StreamProfile(**FITTING | {"families": FAMILIES[:1], "rules": None, "panel": CARDS.panel})
    monkeypatch.setattr(profile, "OWN", own, raising=False)
    app = typer.Typer()
    app.command()(features.command)
    told = CliRunner().invoke(app, ["--json", "--profile", "stream.profile:OWN"])
    names = [feature["name"] for feature in json.loads(told.stdout)["features"]]
    assert names == [feature.name for feature in FAMILIES[0].features]
    wrong = CliRunner().invoke(app, ["--profile", "nope"])
    assert isinstance(wrong.exception, SettingError) and wrong.exit_code
