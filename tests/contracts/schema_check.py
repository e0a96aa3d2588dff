"""The part of JSON Schema that our schemas use, as a checker."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
KNOWN = {
    "type", "description", "properties", "required", "additionalProperties", "items", "enum", "pattern", "minimum",
    "maximum", "minLength", "maxLength", "format", "anyOf", "$schema", "$id", "title", "version",
}  # fmt: skip


def types_of(schema: dict[str, Any]) -> set[str]:
    kinds = schema.get("type", list(_TYPES))
    return {kinds} if isinstance(kinds, str) else set(kinds)


def problems(value: Any, schema: dict[str, Any], at: str = "$") -> list[str]:
    """Where a value does not fit a schema."""
    unknown = schema.keys() - KNOWN
    assert not unknown, f"the checker knows no {unknown}"
    fits = [kind for kind in types_of(schema) if isinstance(value, _TYPES[kind])]
    if isinstance(value, bool):
        fits = [kind for kind in fits if kind == "boolean"]
    if not fits:
        return [f"{at}: {value!r} is no {schema['type']}"]
    found = [f"{at}: {value!r} is not in the enum"] if value not in schema.get("enum", [value]) else []
    if "anyOf" in schema and not any(not problems(value, some, at) for some in schema["anyOf"]):
        found.append(f"{at}: none of anyOf")
    if isinstance(value, str):
        found += [f"{at}: {value!r} breaks the pattern"] * (not re.search(schema.get("pattern", ""), value))
        found += [f"{at}: length"] * (not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9))
    if isinstance(value, int | float) and not isinstance(value, bool):
        found += [f"{at}: range"] * (not schema.get("minimum", value) <= value <= schema.get("maximum", value))
    if isinstance(value, list):
        found += [p for i, item in enumerate(value) for p in problems(item, schema.get("items", {}), f"{at}[{i}]")]
    if isinstance(value, dict):
        found += [f"{at}: lacks {name}" for name in schema.get("required", []) if name not in value]
        more, known = schema.get("additionalProperties", True), schema.get("properties", {})
        for name, item in value.items():
            below = known.get(name, more if isinstance(more, dict) else {})
            found += problems(item, below, f"{at}.{name}")
            found += [f"{at}: unknown {name}"] * (name not in known and more is False)
    return found
