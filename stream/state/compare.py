"""Whether two arenas hold the same state: entity by entity, wherever a row happens to lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.state.arena import Arena, Small
from stream.state.table import Table

Words = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and the first difference; "" when there is none."""

    rows: int
    difference: str

    @property
    def equal(self) -> bool:
        """Whether the states are the same."""
        return not self.difference


def compare(
    ours: Arena, theirs: Arena, horizon_ms: int = 1 << 60, kept_ms: Mapping[str, int] | None = None
) -> Comparison:
    """Compare two states of one partition at one offset of its log and of the log beside it.

    Parameters
    ----------
    ours, theirs
        The names that a difference is told under.
    horizon_ms
        Rows silent for more than twice as long are as good as gone: whether they were freed already does not count,
        nor do rows that nothing ever updated.
    kept_ms
        Silence after which the rows of some tables may be freed, where it is another.
    """
    rows = 0
    for name in ("next_offset", "side_offset", "watermark"):
        if getattr(ours, name) != getattr(theirs, name):
            return Comparison(0, f"{name}: ours {getattr(ours, name)}, theirs {getattr(theirs, name)}")
    if ours.tables.keys() != theirs.tables.keys():
        return Comparison(0, f"tables: ours {sorted(ours.tables)}, theirs {sorted(theirs.tables)}")
    for name, table in ours.tables.items():
        before = ours.watermark - (kept_ms or {}).get(name, 2 * horizon_ms)
        mine, other = _living(table, before), _living(theirs.tables[name], before)
        rows += len(mine)
        difference = _first(name, mine, other, table.dtype)
        if difference:
            return Comparison(rows, difference)
    for name, state in ours.small.items():
        if _canonical(state) != _canonical(theirs.small[name]):
            return Comparison(rows, f"{name}: the small states differ")
    return Comparison(rows, "")


def _canonical(state: Small) -> bytes:
    """A small state's bytes; where it knows an order for comparisons, in that."""
    canonical: Callable[[], bytes] = getattr(state, "canonical", state.dump)
    return canonical()


def _living(table: Table, before: int) -> Words:
    """Rows that count, as 64-bit words, by key; numpy copies of rows would not keep the bytes between their fields."""
    words = table.rows[: table.used].view(np.int64).reshape(table.used, table.dtype.itemsize // 8)
    words = words[(words[:, 0] != 0) & (words[:, 1] >= before)]
    words = words[words[:, 1:].any(axis=1)]
    return words[np.argsort(words[:, 0].view(np.uint64))]


def _first(name: str, ours: Words, theirs: Words, dtype: np.dtype[Any]) -> str:
    """Words for the first row that differs."""
    mine, other = (words[:, 0].view(np.uint64) for words in (ours, theirs))
    only = np.setxor1d(mine, other)
    if len(only):
        where = "ours" if only[0] in mine else "theirs"
        return f"{name} {int(only[0]):016x} is only in {where} ({len(ours)} rows here, {len(theirs)} there)"
    differing = np.flatnonzero((ours != theirs).any(axis=1))
    if not len(differing):
        return ""
    at = differing[0]
    path = _field(ours[at].view(dtype)[0], theirs[at].view(dtype)[0], "")
    return f"{name} {int(mine[at]):016x}{path} ({len(differing)} of {len(ours)} rows differ)"


def _field(ours: Any, theirs: Any, path: str) -> str:
    """Path and values of the first field that differs; its bytes count, so that NaN equals itself."""
    names = ours.dtype.names
    if names is None:
        a, b = np.ravel(ours), np.ravel(theirs)
        at = next((i for i in range(len(a)) if a[i].tobytes() != b[i].tobytes()), 0)
        if a.dtype.names is not None:
            return _field(a[at], b[at], f"{path}[{at}]")
        index = f"[{at}]" if len(a) > 1 else ""
        return f"{path}{index}: ours {a[at]}, theirs {b[at]}"
    for name in names:
        if np.asarray(ours[name]).tobytes() != np.asarray(theirs[name]).tobytes():
            return _field(ours[name], theirs[name], f"{path}.{name}")
    return f"{path}: only bytes between the fields differ"
