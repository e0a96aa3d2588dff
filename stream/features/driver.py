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
import operator
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np

from stream.events import Columns, Flag
from stream.features import guard, sequence
from stream.features.kernel import COLUMN_OF, Event, clip
from stream.features.prefetch import LINE, prefetch
from stream.features.registry import Family, Feature, Matrix, features_hash

# Columns that the loop reads, in the order of its arguments.
_DTYPES = {
    "slot": "int64",
    "transaction_key": "uint64",
    "event_time": "int64",
    "local_time": "int64",
    "merchant_key": "uint64",
    "terminal_key": "uint64",
    "device_key": "uint64",
    "amount_minor": "int64",
    "mcc": "int32",
    "country": "int32",
    "ip_country": "int32",
    "type": "uint8",
    "channel": "uint8",
    "entry_mode": "uint8",
    "three_ds": "uint8",
    "cvv_result": "uint8",
    "avs_result": "uint8",
    "latitude": "float32",
    "longitude": "float32",
    "card_age_days": "float32",
    "account_age_days": "float32",
    "flags": "uint8",
}
_ARRAYS = operator.attrgetter(*_DTYPES)


class Program:
    """The compiled loop of a list of families, and what models must know about it.

    Parameters
    ----------
    families
        In order; columns of X follow it. Guard and sequence are added by the program itself.
    """

    def __init__(self, families: tuple[Family, ...]) -> None:
        self.families = families
        self.features: tuple[Feature, ...] = tuple(f for family in families for f in family.features)
        self.hash = features_hash((guard.FAMILY, *families, sequence.FAMILY), sequence.CHANNELS)
        owners = [guard.FAMILY, *families, sequence.FAMILY]
        self.row = _row([(o.name, o.dtype) for o in owners if o.dtype is not None])
        self.habits = np.array([k for k, f in enumerate(self.features) if callable(f.usual)], np.int64)
        self._constants = np.array([_constant(feature) for feature in self.features], np.float32)
        self.steps = np.array([c.step for c in sequence.CHANNELS[1:]], np.float32)
        self._module: ModuleType | None = None

    def run(self, state: Any, clock: Any, horizon_ms: int, columns: Columns, *out: Any) -> None:
        """Pass a batch through the loop into ``(x, s, u, update_only)``; the rest as in `stream.features.compute`.

        `u` is float32 (n, len(habits)), or has no rows where nobody asks what was usual.

        Raises
        ------
        ValueError
            A slot is not a row of the arena.
        TypeError
            A column has another type or layout than `Columns` says.
        """
        try:
            bad = self._loop(state, clock, horizon_ms, self.steps, *out, *_ARRAYS(columns))
        except TypeError:
            _check_layout(columns)
            raise
        if bad >= 0:
            raise ValueError(f"transaction {bad} of the batch has no row in this arena: fill columns.slot first")

    def usual(self, u: Matrix) -> Matrix:
        """Spread the habits (k, len(habits)) over all features, (k, d), natural values; NaN where nothing is usual."""
        out = np.tile(self._constants, (len(u), 1))
        out[:, self.habits] = u
        return out

    @property
    def _loop(self) -> Callable[..., int]:
        return self._compiled().loop

    def _compiled(self) -> ModuleType:
        if self._module is None:
            self._module = self._compile()
        return self._module

    def _compile(self) -> ModuleType:
        source, kernels = _source(self)
        name = f"fraudstream_features_{_digest(source, kernels)[:24]}"
        spec = importlib.util.spec_from_file_location(name, _written(name, source))
        if spec is None or spec.loader is None:
            raise ImportError(f"the generated module {name} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        module.__dict__.update(kernels)
        sys.modules[name] = module  # numba finds the globals of a cached function there
        spec.loader.exec_module(module)
        options = {"nogil": True, "error_model": "numpy", "cache": True}
        module.loop = numba.njit(_signature(self.row), **options)(module.loop)  # type: ignore[attr-defined]
        return module


def _check_layout(columns: Columns) -> None:
    """Name the column that the compiled loop cannot read."""
    for name, dtype in _DTYPES.items():
        array = getattr(columns, name)
        fits = isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == 1
        if not fits or not array.flags.c_contiguous or not array.flags.writeable:
            raise TypeError(f"column {name} must be a writable, contiguous array of {dtype}")


def _row(fields: list[tuple[str, np.dtype[Any]]]) -> np.dtype[Any]:
    """Row layout of the families side by side, filled up to whole cache lines."""
    size = np.dtype(fields, align=True).itemsize
    return (
        np.dtype([*fields, ("spare", np.uint8, -size % LINE)], align=True)
        if size % LINE
        else np.dtype(fields, align=True)
    )


def _signature(row: np.dtype[Any]) -> Any:
    columns = [getattr(numba, dtype)[::1] for dtype in _DTYPES.values()]
    return numba.int64(
        numba.from_dtype(row)[::1],
        numba.int64[::1],
        numba.int64,
        numba.float32[::1],
        numba.float32[:, ::1],
        numba.float32[:, :, ::1],
        numba.float32[:, ::1],
        numba.boolean,
        *columns,
    )


def _source(program: Program) -> tuple[str, dict[str, Any]]:
    """Python text of the loop, and the kernels that its names stand for."""
    names: dict[str, Any] = {"np": np, "Event": Event, "clip": clip, "check": guard.check, "remember": guard.remember}
    names |= {
        "history": sequence.history,
        "quantise": sequence.quantise,
        "advance": sequence.advance,
        "prefetch": prefetch,
    }
    write, update = [], []
    column = habit = 0
    for family in program.families:
        state = f"row.{family.name}" if family.dtype is not None else "0"
        names[f"look_{family.name}"] = family.look
        write.append(f"view = look_{family.name}({state}, event)")
        usual = []
        for feature in family.features:
            bounds = f"{float(feature.low)!r}, {float(feature.high)!r}"
            names[f"feature_{column}"] = feature.compute
            write.append(f"x[j, {column}] = clip(np.float64(feature_{column}({state}, event, view)), {bounds})")
            if callable(feature.usual):
                names[f"usual_{column}"] = feature.usual
                usual.append(f"    u[i, {habit}] = usual_{column}({state}, event, view)")
                habit += 1
            column += 1
        write += ["if told:", *usual, ""] if usual else [""]
        if family.update is not None:
            names[f"update_{family.name}"] = family.update
            update.append(f"update_{family.name}({state}, event)")
    return _template(write, update, _bytes(program)), names


def _constant(feature: Feature) -> float:
    return feature.usual if isinstance(feature.usual, float | int) else np.nan


def _bytes(program: Program) -> list[str]:
    """Quantise this transaction's channels into the ring's open step; it counts only once `advance` closes it."""
    index = {feature.name: k for k, feature in enumerate(program.features)}
    lines = []
    for c, channel in enumerate(sequence.CHANNELS[1:]):
        value = f"x[j, {index[channel.feature]}]" if channel.feature in index else "np.nan"
        lines.append(f"now[{c}] = quantise({value}, {channel.step!r}, {channel.neutral!r})")
    return lines


def _template(write: list[str], update: list[str], steps: list[str]) -> str:
    fields = []
    for field in Event._fields[:-1]:
        column = COLUMN_OF.get(field, field)
        kind = {"f": "np.float64", "u": "np.int64", "i": "np.int64"}[np.dtype(_DTYPES[column]).kind]
        fields.append(f"{column}[i]" if _DTYPES[column] == "uint64" else f"{kind}({column}[i])")
    fields[0] = "max(event_time[i], 0)"
    fields[Event._fields.index("amount")] = "max(amount_minor[i], 0)"
    fields.append(f"flags[i] & {int(Flag.DECLINED)} != 0")

    def block(lines: list[str], depth: int) -> str:
        return "\n".join(f"{' ' * depth}{line}" for line in lines).rstrip()

    return f'''"""Generated from the feature registry; do not edit."""


def loop(rows, clock, horizon, quanta, x, s, u, update_only, {", ".join(_DTYPES)}):
    for i in range(len(slot)):
        if slot[i] < 0 or slot[i] >= len(rows):
            return i
    told = len(u) > 0
    now = np.empty({sequence.STORED}, np.int8)
    for i in range(len(slot)):
        if i + 1 < len(slot):
            prefetch(rows, slot[i + 1])
        j = 0 if update_only else i
        row = rows[slot[i]]
        event = Event({", ".join(fields)})
        added = check(row.guard, transaction_key[i], event.time, clock[0], horizon)
        flags[i] |= np.uint8(added)
{block(write, 8)}
{block(steps, 8)}
        if not update_only:
            history(row.sequence, quanta, s[i])
            s[i, {sequence.STEPS - 1}, 0] = 1.0
            for c in range({sequence.STORED}):
                s[i, {sequence.STEPS - 1}, c + 1] = now[c] * quanta[c]
        if added != 0:
            continue
        remember(row.guard, transaction_key[i])
        if flags[i] & {int(Flag.CLOCK_SKEW)} == 0:
            clock[0] = max(clock[0], event.time)
        if flags[i] & {int(Flag.REVERSAL)} != 0:
            continue
{block(update, 8)}
        for c in range({sequence.STORED}):
            row.sequence.steps[row.sequence.head, c] = now[c]
        advance(row.sequence)
    return -1
'''


def _digest(source: str, kernels: dict[str, Any]) -> str:
    """Hash of the generated text and of every file whose code is compiled into it."""
    digest = hashlib.sha256(source.encode())
    files = {Path(__file__).with_name(path.name) for path in Path(__file__).parent.glob("*.py")}
    files |= {Path(inspect.getfile(getattr(k, "py_func", k))) for k in kernels.values() if hasattr(k, "py_func")}
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _written(name: str, source: str) -> Path:
    """Write the generated module once; a private folder of this process stands in where no cache can be written."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    try:
        return _write(base / "fraudstream" / "features", name, source)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="fraudstream-features-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return _write(folder, name, source)


def _write(folder: Path, name: str, source: str) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    if not path.is_file() or path.read_text(encoding="utf-8") != source:
        partial = folder / f"{name}.{os.getpid()}.tmp"
        partial.write_text(source, encoding="utf-8")
        partial.replace(path)
    return path
