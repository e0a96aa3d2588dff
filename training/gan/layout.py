"""The columns of a generated step: three numbers in [-1, 1] and one-hot heads."""

from __future__ import annotations

from training.gan.catalogue import CATEGORIES

STEPS = 16
NUMBERS = ("gap", "hour", "amount")
SLOTS = (
    "same", "p1", "p2", "p3", "p4", "p7", "new_home", "stay", "away", "abroad", "o1", "o2", "o3", "new_online",
)  # fmt: skip
KINDS = ("approved", "declined")
STATES = (*KINDS, "preauth", "clearing", "back")  # what rows are, follow-ups of payments among them
DEVICES = ("usual", "last", "new")
ADDRESSES = ("home", "last", "near", "abroad")
AMOUNTS = ("own", "as_before")
HEADS: tuple[tuple[str, int], ...] = (
    ("slot", len(SLOTS)),
    ("kind", len(KINDS)),
    ("category", CATEGORIES),
    ("device", len(DEVICES)),
    ("address", len(ADDRESSES)),
    ("repeat", len(AMOUNTS)),
)
WIDTH = len(NUMBERS) + sum(size for _, size in HEADS)
SLOT = {name: code for code, name in enumerate(SLOTS)}
KIND = {name: code for code, name in enumerate(STATES)}
NEW_SLOTS = tuple(SLOT[name] for name in ("new_home", "stay", "away", "abroad", "new_online"))
PHYSICAL_SLOTS = tuple(SLOT[name] for name in ("p1", "p2", "p3", "p4", "p7", "new_home", "stay", "away", "abroad"))
CLASSES = ("genuine", "fraud")


def slices() -> dict[str, slice]:
    """Columns of each head."""
    found, start = {}, len(NUMBERS)
    for name, size in HEADS:
        found[name] = slice(start, start + size)
        start += size
    return found


COLUMNS = slices()
