"""Declarative rules: what must be looked at whatever the models say, and what decides when no model answers.

A TOML file holds ``version`` and ``[[rules]]`` with ``id``, ``outcome``, ``text`` and ``when``, a list of conditions
that must all hold: ``{ feature = "speed", op = ">=", value = 900 }`` with the value in the feature's natural unit, or
``{ flag = "late" }`` (``value = false`` for its absence). A missing feature fulfils no condition.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from stream.errors import SettingError
from stream.events import F32, OUTCOMES, U8, Flag
from stream.resources import resource_path

_ID = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
_OPS = (">=", ">", "<=", "<", "==")
_EPSILON = 1e-6  # relative room for the rounding of float32
_INFINITY = float("inf")


class FeatureLike(Protocol):
    """The part of `stream.features.Feature` that rules need."""

    @property
    def name(self) -> str:
        """Column name."""

    @property
    def scale(self) -> Literal["linear", "log1p", "log"]:
        """How its natural value was bent."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `column` and `low <= x <= high` of each feature condition, and the flags that must and must not be."""

    id: str
    outcome: str
    text: str
    columns: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...]
    must: int
    must_not: int


class Rules:
    """A validated list of rules, evaluated for a whole batch at once.

    Attributes
    ----------
    outcomes
        Index into `OUTCOMES` of each rule, (r,).
    hash
        Of the file's bytes; part of the panel hash that alerts name.
    """

    def __init__(self, rules: Sequence[Rule], version: str, digest: str) -> None:
        self.rules = tuple(rules)
        self.version, self.hash = version, digest
        self.outcomes = np.array([OUTCOMES.index(rule.outcome) for rule in self.rules], np.int8)
        bounds = [bound for rule in self.rules for bound in rule.bounds]
        self._columns = np.array([column for rule in self.rules for column in rule.columns], np.int64)
        self._low = np.array([low for low, _ in bounds], np.float32)
        self._high = np.array([high for _, high in bounds], np.float32)
        self._owner = np.repeat(np.arange(len(self.rules)), [len(rule.columns) for rule in self.rules])
        self._must = np.array([rule.must for rule in self.rules], np.uint8)
        self._must_not = np.array([rule.must_not for rule in self.rules], np.uint8)

    def fired(self, X: F32, flags: U8) -> npt.NDArray[np.bool_]:
        """Tell which rules hold.

        Parameters
        ----------
        X
            Features (n, d), NaN where missing.
        flags
            `Flag` bits (n,).

        Returns
        -------
        bool (n, r)
        """
        given = flags[:, None]
        held = ((given & self._must) == self._must) & ((given & self._must_not) == 0)
        values = X[:, self._columns]
        fails = ~((values >= self._low) & (values <= self._high))
        for rule in range(len(self.rules)):
            held[:, rule] &= ~fails[:, self._owner == rule].any(axis=1)
        return held


class Ruled(Protocol):
    """The part of `stream.profile.StreamProfile` that rules need."""

    @property
    def name(self) -> str:
        """The profile's name."""

    @property
    def rules(self) -> Path | None:
        """Its own file of rules; None for none."""

    @property
    def features(self) -> Sequence[FeatureLike]:
        """What rules may speak of."""


def rules_of(profile: Ruled, path: Path | None) -> Rules:
    """The rules of a stream: those of the setting ``decision.rules``, else the profile's own, else none.

    Raises
    ------
    SettingError
        The file cannot be read, or a rule is wrong; the sentence names the rule.
    """
    if path is not None:
        return load_rules(path, profile.features)
    if profile.rules is None:
        return Rules((), "", hashlib.sha256(b"").hexdigest())
    return load_rules(profile.rules, profile.features, f"stream profile {profile.name}")


def load_rules(path: Path | None, features: Sequence[FeatureLike], named_by: str = "setting decision.rules") -> Rules:
    """Read and check a file of rules; the shipped one when `path` is None.

    Parameters
    ----------
    features
        What the rules may speak of.
    named_by
        Who names the file, for the sentence that says what is wrong with it.

    Raises
    ------
    SettingError
        The file cannot be read, or a rule is wrong; the sentence names the rule.
    """
    source = path or resource_path("deploy", "rules.toml")
    try:
        data = source.read_bytes()
        table = tomllib.loads(data.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"{named_by}: {source} cannot be read as TOML ({error})") from None
    known = {feature.name: (column, feature.scale) for column, feature in enumerate(features)}
    given = table.get("rules", [])
    if not isinstance(given, list) or table.keys() - {"version", "rules"}:
        raise SettingError(f"{named_by}: {source} may hold only version and [[rules]]")
    rules: list[Rule] = []
    for position, entry in enumerate(given, 1):
        try:
            rules.append(_rule(entry, known))
        except _RuleError as error:
            name = entry.get("id", f"number {position}") if isinstance(entry, dict) else f"number {position}"
            raise SettingError(f"{named_by}: rule {name} in {source} {error}") from None
    ids = [rule.id for rule in rules]
    for name in ids:
        if ids.count(name) > 1:
            raise SettingError(f"{named_by}: rule {name} stands twice in {source}; rename one")
    return Rules(rules, str(table.get("version", "")), hashlib.sha256(data).hexdigest())


class _RuleError(Exception):
    """What is wrong with a rule, as the end of a sentence."""


def _rule(entry: Any, known: Mapping[str, tuple[int, str]]) -> Rule:
    if not isinstance(entry, dict):
        raise _RuleError("is no table; write [[rules]]")
    if unknown := entry.keys() - {"id", "outcome", "text", "when"}:
        raise _RuleError(f"has an unknown key {min(unknown)}; use id, outcome, text and when")
    name, outcome, text, when = (entry.get(key) for key in ("id", "outcome", "text", "when"))
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise _RuleError("needs an id of capitals, digits and underscores")
    if outcome not in OUTCOMES[1:]:
        raise _RuleError(f"needs an outcome of {', '.join(OUTCOMES[1:])}")
    if not isinstance(text, str) or not text.strip():
        raise _RuleError("needs a text for the analyst")
    if not isinstance(when, list) or not when:
        raise _RuleError("needs at least one condition in when")
    columns, bounds, must, must_not = [], [], 0, 0
    for condition in when:
        if isinstance(condition, dict) and "flag" in condition:
            bit, wanted = _flag(condition)
            must, must_not = (must | bit, must_not) if wanted else (must, must_not | bit)
        else:
            column, bound = _interval(condition, known)
            columns.append(column)
            bounds.append(bound)
    return Rule(name, outcome, text.strip(), tuple(columns), tuple(bounds), must, must_not)


def _flag(condition: dict[str, Any]) -> tuple[int, bool]:
    name, wanted = condition["flag"], condition.get("value", True)
    names = {flag.name.lower(): flag for flag in Flag if flag.name}
    if (
        not isinstance(name, str)
        or name not in names
        or not isinstance(wanted, bool)
        or condition.keys() - {"flag", "value"}
    ):
        raise _RuleError(
            f"has a wrong flag condition {condition}; flags are {', '.join(names)}, value is true or false"
        )
    return int(names[name]), wanted


def _interval(condition: Any, known: Mapping[str, tuple[int, str]]) -> tuple[int, tuple[float, float]]:
    if not isinstance(condition, dict) or condition.keys() != {"feature", "op", "value"}:
        raise _RuleError("has a condition that is neither {feature, op, value} nor {flag}")
    name, op, value = condition["feature"], condition["op"], condition["value"]
    if not isinstance(name, str) or name not in known:
        raise _RuleError(f"names an unknown feature {name!r}; `fraudstream features` lists them")
    if op not in _OPS or isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _RuleError(f"has a wrong condition on {name}; op is one of {' '.join(_OPS)} and value a number")
    column, scale = known[name]
    cut = _bent(name, scale, float(value))
    room = _EPSILON * max(1.0, abs(cut))
    if op == "==":
        return column, (cut - room, cut + room)
    if op in (">=", ">"):
        return column, (cut - room if op == ">=" else cut + room, _INFINITY)
    return column, (-_INFINITY, cut + room if op == "<=" else cut - room)


def _bent(name: str, scale: str, value: float) -> float:
    if (scale == "log1p" and value <= -1) or (scale == "log" and value <= 0):
        raise _RuleError(f"compares {name} with {value:g}, which it can never be")
    return math.log1p(value) if scale == "log1p" else math.log(value) if scale == "log" else value
