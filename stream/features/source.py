"""The text of the compiled loop, written from the registry.

For each transaction: erase rows that have outlived the horizon, guard, write the features of every family, then update
every entity's row. What no sequence channel remembers is left out of a replay. A transaction whose clock was ahead of
the log counts at the partition's own clock, so that one bad clock cannot roll a card's windows into the future.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stream.events import TYPES, Flag
from stream.features import guard, sequence
from stream.features.kernel import COLUMN_OF, Event, clip
from stream.features.layout import DTYPES
from stream.features.prefetch import prefetch, wipe
from stream.features.registry import Entity, Family, Feature

NEWS = "merchant_new"  # the feature that tells profiles of merchants whether a card is new to them
_PREAUTH, _CLEARING = TYPES.index("preauth"), TYPES.index("clearing")
AHEAD = 2  # transactions by which rows are asked for before they are needed
_CONVERTED = {"f": "np.float64", "u": "np.int64", "i": "np.int64"}

Lines = list[str]


def write(families: Sequence[Family], entities: Sequence[Entity]) -> tuple[str, dict[str, Any]]:
    """Python text of the functions ``loop`` and ``clocks``, and the kernels that its names stand for.

    Parameters
    ----------
    families
        In order; columns of X follow it.
    entities
        Those of the families; the first one's row also holds guard and sequence.
    """
    names: dict[str, Any] = {"np": np, "Event": Event, "clip": clip, "prefetch": prefetch, "wipe": wipe}
    names |= {"check": guard.check, "remember": guard.remember, "outlived": guard.outlived}
    names |= {"history": sequence.history, "unpack": sequence.unpack}
    names |= {"quantise": sequence.quantise, "advance": sequence.advance}
    first, kept = entities[0], {channel.feature for channel in sequence.CHANNELS} | {NEWS}
    columns: dict[str, int] = {}
    slots = _slots(entities)
    features: Lines = []
    updates: dict[str, Lines] = {entity.name: [] for entity in entities}
    habit = 0
    for family in families:
        entity = next(e for e in entities if e.name == family.entity)
        one = _Family(family, entity, slots.get(entity.name, ""), len(columns), habit)
        columns |= {feature.name: len(columns) + k for k, feature in enumerate(family.features)}
        habit += one.habits
        features += one.lines(kept) if entity is first else one.guarded()
        names |= one.names
        if family.update is not None:
            view = f", view_{family.name}" if family.sees_view else ""
            updates[entity.name].append(f"update_{family.name}({one.state}, event{view})")
    return _template(entities, features, updates, columns), names


class _Family:
    """One family's part of the text."""

    def __init__(self, family: Family, entity: Entity, slot: str, column: int, habit: int) -> None:
        self.family, self.entity, self.slot, self.column, self.habit = family, entity, slot, column, habit
        self.habits = sum(callable(feature.usual) for feature in family.features)
        held = f"row_{entity.name}.{family.name}" if family.dtype is not None else "0"
        self.state = f"given_{entity.name}[i]" if entity.width else held
        self.names: dict[str, Any] = {f"look_{family.name}": family.look}
        if family.update is not None:
            self.names[f"update_{family.name}"] = family.update

    def _look(self) -> str:
        beside = f", view_{self.family.beside}" if self.family.beside else ""
        return f"view_{self.family.name} = look_{self.family.name}({self.state}, event{beside})"

    def _write(self, at: int, feature: Feature) -> str:
        self.names[f"feature_{at}"] = feature.compute
        value = f"feature_{at}({self.state}, event, view_{self.family.name})"
        return f"x[j, {at}] = clip(np.float64({value}), {float(feature.low)!r}, {float(feature.high)!r})"

    def _usual(self) -> Lines:
        lines, habit = [], self.habit
        for at, feature in enumerate(self.family.features, self.column):
            if callable(feature.usual):
                self.names[f"usual_{at}"] = feature.usual
                lines.append(f"    u[i, {habit}] = usual_{at}({self.state}, event, view_{self.family.name})")
                habit += 1
        return ["if told:", *lines] if lines else []

    def lines(self, kept: set[str]) -> Lines:
        """Of a family of the first entity: always what is kept, the rest where somebody asks."""
        written = [(f.name in kept, self._write(at, f)) for at, f in enumerate(self.family.features, self.column)]
        asked = [line for keep, line in written if not keep] + self._usual()
        always = [line for keep, line in written if keep]
        return [self._look(), *always, "if not update_only:", *_deeper(asked or ["pass"]), ""]

    def guarded(self) -> Lines:
        """Of a family of another entity: NaN where the transaction names none."""
        stop = self.column + len(self.family.features)
        written = [self._look(), *(self._write(at, f) for at, f in enumerate(self.family.features, self.column))]
        missing = [f"for c in range({self.column}, {stop}):", "    x[j, c] = np.nan"]
        if not self.entity.width:
            written = [f"if {self.slot} >= 0:", *_deeper(written), "else:", *_deeper(missing)]
        return ["if not update_only:", *_deeper(written), ""]


def _deeper(lines: Lines) -> Lines:
    return [f"    {line}" for line in lines]


def _event() -> str:
    """Arguments that make the event of transaction `i`."""
    fields = []
    for field in Event._fields[:-3]:
        column = COLUMN_OF.get(field, field)
        kind = _CONVERTED[np.dtype(DTYPES[column]).kind]
        fields.append(f"{column}[i]" if DTYPES[column] == "uint64" else f"{kind}({column}[i])")
    fields[0] = "time"
    fields[Event._fields.index("amount")] = "max(amount_minor[i], 0)"
    fields += ["declined", f"type[i] != {_CLEARING}", f"not declined and type[i] != {_PREAUTH}"]
    return ", ".join(fields)


def _slots(entities: Sequence[Entity]) -> dict[str, str]:
    """Where the loop finds the row of transaction `i` in each entity's table."""
    local = [entity.name for entity in entities if not entity.width]
    return {name: f"slots[{k}, i]" for k, name in enumerate(local)}


def _rows(entities: Sequence[Entity]) -> Lines:
    """Ask for the next rows, and erase this transaction's where they have outlived the horizon."""
    slots = _slots(entities)
    lines = [f"if i + {AHEAD} < n:"]
    lines += [f"    prefetch(rows_{name}, slots[{k}, i + {AHEAD}])" for k, name in enumerate(slots)]
    for name, slot in slots.items():
        erase = [
            f"row_{name} = rows_{name}[max({slot}, 0)]",
            f"if {slot} >= 0 and outlived(row_{name}.seen, event.time, clock_at[i], horizon):",
            f"    wipe(rows_{name}, {slot})",
        ]
        lines += erase
    return lines


def _steps(columns: dict[str, int]) -> Lines:
    """Quantise this transaction's channels into the ring's open step; it counts only once `advance` closes it."""
    lines = []
    for c, channel in enumerate(sequence.CHANNELS[1:]):
        value = f"x[j, {columns[channel.feature]}]" if channel.feature in columns else "np.nan"
        lines.append(f"now[{c}] = quantise({value}, {channel.step!r}, {channel.neutral!r})")
    return lines


def _moves(entities: Sequence[Entity], updates: dict[str, Lines]) -> Lines:
    """Let the transaction update the row of every entity that it names."""
    lines = list(updates[entities[0].name])
    for name, slot in list(_slots(entities).items())[1:]:
        seen = f"row_{name}.seen = max(row_{name}.seen, event.time)"
        lines += [f"if {slot} >= 0:", *_deeper([*updates[name], seen])]
    return lines


def _template(entities: Sequence[Entity], features: Lines, updates: dict[str, Lines], columns: dict[str, int]) -> str:
    slots = _slots(entities)
    arguments = [f"rows_{name}" for name in slots] + ["slots"]
    arguments += [f"given_{entity.name}" for entity in entities if entity.width]
    outside = " or ".join(f"{slot} >= len(rows_{name})" for name, slot in slots.items())
    first = entities[0].name
    news = f"news[i] = x[j, {columns[NEWS]}] == 1.0" if NEWS in columns else "news[i] = 0"

    def block(lines: Lines, depth: int = 8) -> str:
        return "\n".join(f"{' ' * depth}{line}" if line else "" for line in lines).rstrip()

    return f'''"""Generated from the feature registry; do not edit."""


def clocks(event_time, flags, clock, clock_at):
    for i in range(len(event_time)):
        clock_at[i] = clock
        if flags[i] & {int(Flag.CLOCK_SKEW)} == 0:
            clock = max(clock, event_time[i], 0)
    return clock


def loop({", ".join(arguments)}, clock_at, horizon, quanta, now, x, s, u, news, update_only, {", ".join(DTYPES)}):
    n = len(event_time)
    for i in range(n):
        if {slots[first]} < 0 or {outside}:
            return i
    for i in range(min({AHEAD}, n)):
{block([f"prefetch(rows_{name}, slots[{k}, i])" for k, name in enumerate(slots)])}
    told = len(u) > 0
    for i in range(n):
        j = 0 if update_only else i
        declined = flags[i] & {int(Flag.DECLINED)} != 0
        time = max(event_time[i], 0)
        if flags[i] & {int(Flag.CLOCK_SKEW)} != 0 and clock_at[i] >= 0:
            time = min(time, clock_at[i])
        event = Event({_event()})
{block(_rows(entities))}
        added = check(row_{first}.guard, transaction_key[i], event.time, clock_at[i], horizon)
        flags[i] |= np.uint8(added)
{block(features)}
{block(_steps(columns))}
        {news}
        if not update_only:
            history(row_{first}.sequence, quanta, s[i])
            s[i, {sequence.STEPS - 1}, 0] = 1.0
            unpack(now, 0, quanta, s[i], {(sequence.STEPS - 1) * (sequence.STORED + 1) + 1})
        if added != 0:
            continue
        remember(row_{first}.guard, transaction_key[i])
        row_{first}.seen = max(row_{first}.seen, event.time)
        if flags[i] & {int(Flag.REVERSAL)} != 0:
            continue
{block(_moves(entities, updates))}
        if event.attempt:
            for c in range({sequence.STORED}):
                row_{first}.sequence.steps[row_{first}.sequence.head, c] = now[c]
            advance(row_{first}.sequence)
    return -1
'''
