"""One compiled loop over a batch, written from the registry: guard, then each family's features, then the updates.

The source of the loop is generated once, kept in the user's cache folder under a name that hashes every kernel it
calls, and compiled by numba, whose own cache lies beside it; so a new feature is one function and one line, and a
read-only installation starts as quickly as any other.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import inspect
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np

from stream.events import I64, U64, Columns
from stream.features import guard, sequence, source
from stream.features.entities import ENTITIES
from stream.features.layout import DTYPES, arrays_of, check_layout, row_of
from stream.features.registry import Entity, Family, Feature, Matrix, features_hash


class Program:
    """The compiled loop of a list of families, and what models must know about it.

    Parameters
    ----------
    families
        In order; columns of X follow it. Guard and sequence are added by the program itself.
    entities
        Whom the families are about; those without a family are left out. The first one, without which there is no
        transaction, keeps guard and sequence in its row.

    Raises
    ------
    ValueError
        A family's entity is not among them, or it wants what only the first entity's families may have.
    """

    def __init__(self, families: tuple[Family, ...], entities: Sequence[Entity] = ENTITIES) -> None:
        self.families = families
        self.entities = _used(families, entities)
        self.local = tuple(entity for entity in self.entities if not entity.width)
        self.given = tuple(entity for entity in self.entities if entity.width)
        self.features: tuple[Feature, ...] = tuple(f for family in families for f in family.features)
        self.hash = features_hash((guard.FAMILY, *families, sequence.FAMILY), sequence.CHANNELS)
        self.layouts: dict[str, np.dtype[Any]] = {entity.name: self._layout(entity) for entity in self.local}
        self.habits = np.array([k for k, f in enumerate(self.features) if callable(f.usual)], np.int64)
        self._constants = np.array([_constant(feature) for feature in self.features], np.float32)
        self.steps = np.array([c.step for c in sequence.CHANNELS[1:]], np.float32)
        self.untold = np.empty((0, len(self.habits)), np.float32)  # habits where nobody asks for them
        self._keys = [entity.key for entity in self.local]
        self._module: ModuleType | None = None

    def _layout(self, entity: Entity) -> np.dtype[Any]:
        owners = [family for family in self.families if family.entity == entity.name]
        if entity is self.entities[0]:
            owners = [guard.FAMILY, *owners, sequence.FAMILY]
        return row_of([(owner.name, owner.dtype) for owner in owners if owner.dtype is not None])

    def clocks(self, columns: Columns, clock: int, clock_at: I64) -> int:
        """Write the clock before each transaction, ms, int64 (n,); returns the clock after the last.

        The clock is the newest event time so far of those that were not ahead of the log's own time.
        """
        found: int = self._compiled().clocks(columns.event_time, columns.flags, clock, clock_at)
        return found

    def keys(self, columns: Columns) -> list[U64]:
        """What the transactions name: the keys of each entity of `local`."""
        return [getattr(columns, key) for key in self._keys]

    def run(
        self, rows: Sequence[Any], slots: I64, given: Sequence[Any], clock_at: I64, horizon_ms: int, *rest: Any
    ) -> None:
        """Pass a batch through the loop.

        Parameters
        ----------
        rows
            The tables' rows of each entity of `local`.
        slots
            Which of them the transactions are about, int64 (entities, n); -1 where one names none.
        given
            The rows of each entity of `given`, float64 (n, width); (0, width) where only state is to move.
        clock_at
            As `clocks` wrote it.
        rest
            ``x, s, u, news, update_only, columns``: `x` float32 (n, d), or (1, d) where only state is to move; `s`
            float32 (n, K, C); `u` float32 (n, len(habits)), or without rows where nobody asks what was usual; `news`
            uint8 (n,).

        Raises
        ------
        ValueError
            A slot is not a row; nothing has moved.
        TypeError
            A column has another type or layout than `Columns` says.
        """
        *out, columns = rest
        loop = self._compiled().loop
        try:
            bad = loop(
                *rows,
                slots,
                *given,
                clock_at,
                horizon_ms,
                self.steps,
                np.empty(sequence.STORED, np.int8),
                *out,
                *arrays_of(columns),
            )
        except TypeError:
            check_layout(columns)
            raise
        if bad >= 0:
            raise no_row(bad)

    def usual(self, u: Matrix) -> Matrix:
        """Spread the habits (k, len(habits)) over all features, (k, d), natural values; NaN where nothing is usual."""
        out = np.tile(self._constants, (len(u), 1))
        out[:, self.habits] = u
        return out

    def _compiled(self) -> ModuleType:
        if self._module is None:
            self._module = self._compile()
        return self._module

    def _compile(self) -> ModuleType:
        text, kernels = source.write(self.families, self.entities)
        name = f"fraudstream_features_{_digest(text, kernels)[:24]}"
        spec = importlib.util.spec_from_file_location(name, _written(name, text))
        if spec is None or spec.loader is None:
            raise ImportError(f"the generated module {name} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        module.__dict__.update(kernels)
        sys.modules[name] = module  # numba finds the globals of a cached function there
        spec.loader.exec_module(module)
        options = {"nogil": True, "error_model": "numpy", "cache": True, "_nrt": False}
        module.loop = numba.njit(self._signature(), **options)(module.loop)  # type: ignore[attr-defined]
        module.clocks = numba.njit(_CLOCKS, **options)(module.clocks)  # type: ignore[attr-defined]
        return module

    def _signature(self) -> Any:
        rows = [numba.from_dtype(self.layouts[e.name])[::1] for e in self.local]
        given = [numba.float64[:, ::1] for _ in self.given]
        single = numba.float32
        out = [single[:, ::1], single[:, :, ::1], single[:, ::1], numba.uint8[::1], numba.boolean]
        columns = [getattr(numba, dtype)[::1] for dtype in DTYPES.values()]
        return numba.int64(
            *rows,
            numba.int64[:, ::1],
            *given,
            numba.int64[::1],
            numba.int64,
            single[::1],
            numba.int8[::1],
            *out,
            *columns,
        )


_CLOCKS = numba.int64(numba.int64[::1], numba.uint8[::1], numba.int64, numba.int64[::1])


def no_row(position: int) -> ValueError:
    """Word that a transaction names nobody to keep state of."""
    return ValueError(f"transaction {position} of the batch has no row in this arena: its key is missing")


def _used(families: tuple[Family, ...], entities: Sequence[Entity]) -> tuple[Entity, ...]:
    """The first entity and those that a family is about."""
    known = {entity.name for entity in entities}
    first = entities[0].name
    for at, family in enumerate(families):
        if family.entity not in known:
            raise ValueError(f"family {family.name} is about {family.entity!r}, which is none of {sorted(known)}")
        if family.entity != first and (family.sees_view or any(callable(f.usual) for f in family.features)):
            raise ValueError(f"family {family.name} tells what is usual or updates by what it saw: {first!r} alone can")
        before = {one.name for one in families[:at] if one.entity == first}
        if family.beside and (family.beside not in before or family.entity == first):
            raise ValueError(
                f"family {family.name} wants to see {family.beside!r}, which is no family of {first!r} before"
            )
    wanted = {first, *(family.entity for family in families)}
    return tuple(entity for entity in entities if entity.name in wanted)


def _constant(feature: Feature) -> float:
    return feature.usual if isinstance(feature.usual, float | int) else np.nan


def _digest(text: str, kernels: dict[str, Any]) -> str:
    """Hash of the generated text and of every file whose code is compiled into it."""
    digest = hashlib.sha256(text.encode())
    files = {Path(__file__).with_name(path.name) for path in Path(__file__).parent.glob("*.py")}
    files |= {Path(inspect.getfile(getattr(k, "py_func", k))) for k in kernels.values() if hasattr(k, "py_func")}
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _written(name: str, text: str) -> Path:
    """Write the generated module once; a private folder of this process stands in where no cache can be written."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    try:
        return _write(base / "fraudstream" / "features", name, text)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="fraudstream-features-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return _write(folder, name, text)


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        partial = folder / f"{name}.{os.getpid()}.tmp"
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    return path
