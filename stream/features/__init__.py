"""Features of a transaction, computed by the same compiled loop live and in training.

Order in the log is the order of computation; each transaction sees the state before it, and features never depend on
how the stream was cut into batches.
"""

from __future__ import annotations

from stream.features import (
    account,
    amount,
    context,
    customer,
    geography,
    novelty,
    risk,
    sequence,
    sharing,
    time,
    velocity,
)
from stream.features.driver import Program
from stream.features.entities import ENTITIES
from stream.features.registry import Channel, Entity, Family, Feature

__all__ = [
    "ENTITIES", "FAMILIES", "FAMILY_SLICES", "FEATURES", "FEATURES_HASH", "FEATURES_VERSION", "FEATURE_NAMES",
    "HORIZON_MS", "PROGRAM", "SEQUENCE_CHANNELS", "SEQUENCE_STEPS", "Channel", "Entity", "Family", "Feature",
]  # fmt: skip

FEATURES_VERSION = "2"
HORIZON_MS = 30 * 86_400_000

# The ordered registry: columns of X follow it.
FAMILIES: tuple[Family, ...] = (
    amount.FAMILY,
    velocity.FAMILY,
    time.FAMILY,
    novelty.FAMILY,
    geography.FAMILY,
    context.FAMILY,
    customer.FAMILY,
    sharing.DEVICE,
    sharing.IP,
    risk.MERCHANT,
    risk.TERMINAL,
    account.FAMILY,
)

PROGRAM = Program(FAMILIES)
FEATURES: tuple[Feature, ...] = PROGRAM.features
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
FEATURES_HASH: str = PROGRAM.hash
SEQUENCE_STEPS = sequence.STEPS
SEQUENCE_CHANNELS: tuple[Channel, ...] = sequence.CHANNELS


def _slices() -> dict[str, slice]:
    slices, start = {}, 0
    for family in FAMILIES:
        slices[family.name] = slice(start, start + len(family.features))
        start += len(family.features)
    return slices


FAMILY_SLICES: dict[str, slice] = _slices()
