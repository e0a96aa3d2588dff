"""Stream profiles: what a transaction is, whom it names, which features and panel apply.

The engine knows roles, entities and families; which there are, and what people call them, is said here or in a
package of one's own. `CARDS` is the one that ships.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from stream.codec.roles import CARD_ROLES, REQUIRED, Roles
from stream.errors import FraudstreamError, SettingError
from stream.events import Columns
from stream.features import ENTITIES, FAMILIES, FEATURES_VERSION, PROGRAM, SEQUENCE_CHANNELS
from stream.features.driver import Program
from stream.features.registry import Channel, Entity, Family, Feature
from stream.resources import resource_path

GROUP = "fraudstream.profiles"  # of entry points, each an object of `StreamProfile`
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_WORD = re.compile(r"[a-z][a-z -]{0,29}")
_KEYS = tuple(item.name for item in fields(Columns) if item.name.endswith("_key") and item.name != "transaction_key")


@dataclass(frozen=True)
class StreamProfile:
    """What the engine must know of one kind of stream.

    Parameters
    ----------
    name
        As the alerts' panel hash and the start's lines tell it.
    roles
        The fields of a message, which of them must be there, and the names that people read.
    entities
        Whom a transaction names, each with the column of its key. The first is the one that state and cases are kept
        of; its id is replaced by a token. Those with a `width` get their rows from all partitions together.
    families
        Families of features, in the order of the columns of X; each about one of the entities.
    rules
        TOML file of rules; None for none.
    panel
        Folder with ``active.toml``; None where rules alone decide.
    noun
        What the first entity is called: "This card has no history here".
    version
        Of the features; models and checkpoints are bound to it.

    Raises
    ------
    ValueError
        The parts do not fit each other.
    """

    name: str
    roles: Roles
    entities: tuple[Entity, ...]
    families: tuple[Family, ...]
    rules: Path | None
    panel: Path | None = None
    noun: str = "card"
    version: str = "1"
    program: Program = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"its name {self.name!r} is not of small letters, digits, dashes and underscores")
        if not _WORD.fullmatch(self.noun):
            raise ValueError(f"its noun {self.noun!r} is no word of small letters")
        if self.rules is None and self.panel is None:
            raise ValueError("it has neither rules nor a panel, so nothing could ever be told")
        _check_entities(self.entities)
        _check_families(self.families)
        shipped = self.entities == ENTITIES and self.families == FAMILIES  # compiled once, whoever asks
        object.__setattr__(self, "program", PROGRAM if shipped else Program(self.families, self.entities))

    @property
    def features(self) -> tuple[Feature, ...]:
        """What models and rules see, in the order of the columns of X."""
        return self.program.features

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(feature.name for feature in self.program.features)

    @property
    def slices(self) -> dict[str, slice]:
        """The columns of X by family."""
        found, start = {}, 0
        for family in self.families:
            found[family.name] = slice(start, start + len(family.features))
            start += len(family.features)
        return found

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The last axis of the sequences S."""
        return SEQUENCE_CHANNELS

    @property
    def hash(self) -> str:
        """Of names, roles, entities and features (sha256, hex); part of the panel hash that alerts name."""
        parts = (
            self.name,
            self.version,
            self.noun,
            dict(self.roles.names),
            self.roles.required,
            dict(self.roles.words),
            self.program.hash,
        )
        entities = [(entity.name, entity.key, entity.width) for entity in self.entities]
        return hashlib.sha256(json.dumps([*parts, entities]).encode()).hexdigest()

    def schema(self, name: str = "transaction") -> dict[str, Any]:
        """The JSON Schema of the stream's transactions, or of its alerts (``"alert"``)."""
        shipped: dict[str, Any] = json.loads(resource_path("deploy", "schemas", f"{name}.json").read_text("utf-8"))
        if self.name == CARDS.name:
            return shipped
        own = {"$id": f"urn:fraudstream:schema:{self.name}:{name}:{self.version}"}
        if name == "transaction":
            return {**shipped, **own, **self._renamed(shipped["properties"], REQUIRED + self.roles.required)}
        inner = shipped["properties"]["transaction"]
        inner = {**inner, **self._renamed(inner["properties"], tuple(inner["required"]))}
        return {**shipped, **own, "properties": {**shipped["properties"], "transaction": inner}}

    def _renamed(self, properties: dict[str, Any], required: Sequence[str]) -> dict[str, Any]:
        given = {}
        for role, name in self.roles.names.items():
            told = f"Plays the part of {role}: {properties[role].get('description', '')}"
            given[name] = {**properties[role], "description": told}
            if role in self.roles.words:
                given[name] = {
                    "type": given[name]["type"],
                    "description": f"One of {', '.join(self.roles.words[role])}.",
                }
        return {"properties": given, "required": [self.roles.name(role) for role in required]}


def _check_entities(entities: Sequence[Entity]) -> None:
    names = [entity.name for entity in entities]
    if not entities or len(set(names)) < len(names):
        raise ValueError("it needs entities, each with a name of its own")
    if entities[0].key != "card_key":
        raise ValueError(f"its first entity {names[0]!r} must have the key card_key, which stands for the role card_id")
    for entity in entities:
        if entity.key not in _KEYS:
            raise ValueError(f"entity {entity.name!r} has the key {entity.key!r}, which is none of {', '.join(_KEYS)}")


def _check_families(families: Sequence[Family]) -> None:
    names = [feature.name for family in families for feature in family.features]
    if not names:
        raise ValueError("it has no features")
    for kind, some in (("family", [family.name for family in families]), ("feature", names)):
        if len(set(some)) < len(some):
            twice = next(name for name in some if some.count(name) > 1)
            raise ValueError(f"{kind} {twice!r} stands twice in it")


CARDS = StreamProfile(
    name="cards",
    roles=CARD_ROLES,
    entities=ENTITIES,
    families=FAMILIES,
    rules=resource_path("deploy", "rules.toml"),
    panel=resource_path("models"),
    version=FEATURES_VERSION,
)


@lru_cache(maxsize=16)
def load_profile(name: str) -> StreamProfile:
    """Find the profile that the setting ``engine.profile`` names.

    Parameters
    ----------
    name
        ``cards``, ``package.module:OBJECT``, or the name of an entry point of the group ``fraudstream.profiles``.

    Raises
    ------
    SettingError
        There is no such profile, or it is wrong.
    """
    if name == CARDS.name:
        return CARDS
    found = _imported(name) if ":" in name else _installed(name)
    if not isinstance(found, StreamProfile):
        raise SettingError(
            f"setting engine.profile: {name} is a {type(found).__name__}, not a StreamProfile; name the object itself"
        )
    return found


def _imported(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for step in path.split("."):
            found = getattr(found, step)
    except FraudstreamError:
        raise
    except Exception as error:  # somebody else's module: whatever it throws is a wrong setting of ours
        raise SettingError(f"setting engine.profile: {name} cannot be loaded ({_line(error)})") from None
    return found


def _installed(name: str) -> Any:
    points = entry_points(group=GROUP)
    for point in points:
        if point.name == name:
            try:
                return point.load()
            except Exception as error:
                raise SettingError(f"setting engine.profile: {name} cannot be loaded ({_line(error)})") from None
    known = ", ".join(sorted({CARDS.name, *points.names}))
    raise SettingError(
        f"setting engine.profile: there is no stream profile {name!r}; use {known} or package.module:OBJECT"
    )


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


__all__ = ["CARDS", "GROUP", "StreamProfile", "load_profile"]
