"""The careful way into a `Transaction`: for mapped fields, and for messages that the strict decoder refused.

A required field that is no use makes a dead letter; an optional one becomes missing, and the rest is scored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import msgspec

from stream.codec.lexicon import fits
from stream.codec.money import Rates
from stream.codec.parsed import parse_number
from stream.codec.roles import CARD_ROLES, REQUIRED, Roles
from stream.codec.times import INVALID, parse_time
from stream.errors import DecodeError, SettingError
from stream.events import Transaction
from stream.settings import MappingSettings

ID_MAX = 256  # characters of an id or a word
_TIMES = ("event_time", "card_opened_at", "account_opened_at")
_NUMBERS = ("amount", "amount_base", "latitude", "longitude")


def _text(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**ID_MAX:
        return str(value)
    return value if isinstance(value, str) and len(value) <= ID_MAX else None


def _time(value: Any) -> str | int | float | None:
    usable = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if usable and not (isinstance(value, str) and len(value) > ID_MAX) else None


def _number(value: Any) -> float | None:
    number = parse_number(value)
    return number if math.isfinite(number) else None


def _converter(name: str) -> Callable[[Any], Any]:
    return _time if name in _TIMES else _number if name in _NUMBERS else _text


_CONVERT: dict[str, Callable[[Any], Any]] = {name: _converter(name) for name in Transaction.__struct_fields__}


def transaction_from(given: dict[str, Any], roles: Roles = CARD_ROLES) -> Transaction:
    """Build a transaction from loosely typed values by role; others are ignored. Errors name the fields in `roles`.

    Raises
    ------
    DecodeError
        A required field is absent or of no use (stage ``validate``).
    """
    values = {name: _CONVERT[name](value) for name, value in given.items() if name in _CONVERT and value is not None}
    for role in REQUIRED:
        if values.get(role) is None:
            if given.get(role) is None:
                raise DecodeError("validate", f"{roles.name(role)} is missing")
            what = "not a finite number" if role in _NUMBERS else f"no text or number of at most {ID_MAX} characters"
            raise DecodeError("validate", f"{roles.name(role)} is {what} (a JSON {type(given[role]).__name__})")
    return Transaction(**values)


def read_object(value: bytes) -> dict[str, Any]:
    """Parse one message into a dictionary; ``NaN`` and ``Infinity`` as other JSON writers leave them are read too.

    Raises
    ------
    DecodeError
        It is no JSON object (stage ``decode``).
    """
    try:
        parsed = msgspec.json.decode(value)
    except RecursionError:
        raise DecodeError("decode", "JSON is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        if b"NaN" not in value and b"Infinity" not in value:
            raise DecodeError("decode", str(error)) from None
        parsed = _read_nan(value)
    if not isinstance(parsed, dict):
        raise DecodeError("decode", f"the message is a JSON {type(parsed).__name__}, not an object")
    return parsed


def _read_nan(value: bytes) -> Any:
    try:
        return json.loads(value.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DecodeError("decode", f"no JSON: {error}") from None


class Mapping:
    """Reads other people's field names: a dotted path per field, constants, and amounts in minor units.

    Parameters
    ----------
    roles
        The stream's own names, which the settings map from.

    Raises
    ------
    SettingError
        A mapped field is not one of the stream's, or a constant cannot be read.
    """

    def __init__(self, settings: MappingSettings, rates: Rates, roles: Roles = CARD_ROLES) -> None:
        for kind, names in (("fields", settings.fields), ("constants", settings.constants)):
            for name in names:
                if name not in roles.role_of:
                    known = ", ".join(roles.role_of)
                    raise SettingError(f"setting mapping.{kind}.{name}: no such field; use one of {known}")
        _check_values(settings, roles)
        self._roles, self._renames = roles, bool(settings.fields)
        self._constants = {roles.role_of[name]: value for name, value in settings.constants.items()}
        paths = {role: settings.fields.get(name, name) for role, name in roles.names.items()}
        self._names = {role: path for role, path in paths.items() if role not in self._constants}
        self._paths = [
            (name, flat, tuple(flat.split(".")) if "." in flat else None) for name, flat in self._names.items()
        ]
        self._minor, self._rates = settings.amount_unit == "minor", rates
        names = {name: flat for name, flat in self._names.items() if fits(flat)}
        renamed = not self._constants and not self._minor and len(set(names.values())) == len(roles.names)
        self.plain_names = names if renamed else None  # when it does no more than rename: each field's name, if short

    def __call__(self, value: bytes) -> Transaction:
        """Decode and map one message.

        Raises
        ------
        DecodeError
            It is no JSON object, a mapped required field is absent, or a field is of no use.
        """
        message = read_object(value)
        given = dict(self._constants)
        for name, flat, path in self._paths:
            found = message.get(flat)
            if found is None and path is not None:
                found = _find(message, path)
            if found is not None:
                given[name] = found
        for role in REQUIRED if self._renames else ():
            if role not in given:
                told = f"{self._roles.name(role)} is read from {self._names[role]!r}"
                raise DecodeError("mapping", f"{told}, which the message lacks")
        try:
            row = msgspec.convert(given, Transaction)
        except (msgspec.ValidationError, ValueError, OverflowError):
            row = transaction_from(given, self._roles)
        return self._in_major_units(row) if self._minor else row

    def _in_major_units(self, row: Transaction) -> Transaction:
        amount = parse_number(row.amount) / 10 ** self._rates.digits(row.currency)
        base = None if row.amount_base is None else row.amount_base / 10 ** self._rates.digits(self._rates.base)
        return msgspec.structs.replace(row, amount=amount, amount_base=base)


def _check_values(settings: MappingSettings, roles: Roles) -> None:
    for name, path in settings.fields.items():
        if not path.strip():
            raise SettingError(f"setting mapping.fields.{name} is empty; name the field that holds the {name}")
    for name, constant in settings.constants.items():
        role = roles.role_of[name]
        value = _CONVERT[role](constant)
        if value is None or value == "" or (role in _TIMES and parse_time(value)[0] == INVALID):
            raise SettingError(f"setting mapping.constants.{name} is {constant!r}, which is no {name}; correct it")


def _find(message: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Follow a dotted path through objects and, by position, lists; None where it leads nowhere."""
    found: Any = message
    for step in path:
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isascii() and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found
