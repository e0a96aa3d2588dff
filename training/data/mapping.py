"""How the columns of somebody else's file become transactions: a TOML file, checked before anything is read."""

import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from stream.errors import SettingError
from stream.events import Transaction

FIELDS = tuple(field.name for field in msgspec.structs.fields(Transaction))
REQUIRED = ("event_time", "card_id", "merchant_id", "amount", "currency")
NUMBERS = ("amount", "amount_base", "latitude", "longitude")
TIMES = ("event_time", "card_opened_at", "account_opened_at")

Scalar = str | int | float | bool


class Time(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How times are written: a zone for those that name none, a unit for numbers, a format for texts."""

    zone: str = "UTC"
    unit: Literal["s", "ms", "us", "ns"] = "s"
    format: str | None = None


class Labels(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The file's own verdicts: which column, which values mean fraud, and names for its scenarios."""

    truth: str
    scenario: str | None = None
    fraud_values: list[Scalar] = []
    scenarios: dict[str, str] = {}


class Mapping(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A mapping file.

    Attributes
    ----------
    columns : dict
        Field of a transaction -> column of the file.
    constants : dict
        Field -> the same value for every row.
    prefix : dict
        Field -> text put before its values.
    values : dict
        Field -> table from the file's values to ours; others stay as they are.
    units : dict
        Field -> "major" or "minor" (cents).
    time : Time
    labels : Labels, optional
    """

    columns: dict[str, str]
    constants: dict[str, Scalar] = {}
    prefix: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    units: dict[str, Literal["major", "minor"]] = {}
    time: Time = Time()
    labels: Labels | None = None

    def needed(self) -> list[str]:
        """Columns of the file that are read, each once."""
        wanted = [*self.columns.values()]
        if self.labels:
            wanted += [name for name in (self.labels.truth, self.labels.scenario) if name]
        return list(dict.fromkeys(wanted))


def load_mapping(path: Path) -> Mapping:
    """Read and check a mapping file.

    Parameters
    ----------
    path : pathlib.Path
        A TOML file.

    Raises
    ------
    SettingError
        If it cannot be read, has an unknown key or field, or leaves a required field open.
    """
    try:
        mapping = msgspec.toml.decode(path.read_bytes(), type=Mapping)
    except OSError as error:
        raise SettingError(f"the mapping {path} cannot be read: {error.strerror}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"the mapping {path} is not right: {error}.") from None
    for problem in _problems(mapping):
        raise SettingError(f"the mapping {path} {problem}.")
    return mapping


def _problems(mapping: Mapping) -> Iterator[str]:
    tables: dict[str, dict[str, Any]] = {
        "columns": mapping.columns,
        "constants": mapping.constants,
        "prefix": mapping.prefix,
        "values": mapping.values,
        "units": mapping.units,
    }
    for table, entries in tables.items():
        for name in entries:
            if name not in FIELDS:
                yield f"names {name!r} in [{table}], which is no field: choose from {', '.join(FIELDS)}"
    for name in mapping.columns.keys() & mapping.constants.keys():
        yield f"gives {name!r} both a column and a constant: keep one of them"
    for name in REQUIRED:
        if name not in mapping.columns and name not in mapping.constants:
            yield f"says nothing about {name!r}, which every transaction needs: add it to [columns] or [constants]"
    for name in mapping.units:
        if name not in ("amount", "amount_base"):
            yield f"gives a unit to {name!r}: only amount and amount_base have one"
    try:
        zoneinfo.ZoneInfo(mapping.time.zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        yield f"names the time zone {mapping.time.zone!r}, which does not exist: write one like UTC or Europe/Paris"
