"""Checkpoints of a partition's state in a compacted topic: written in transactions, read back block by block."""

from __future__ import annotations

from stream.checkpoint.block import BlockError
from stream.checkpoint.marker import Identity, Marker
from stream.checkpoint.producer import FencedError, Producer, UnwritableError

__all__ = ["BlockError", "FencedError", "Identity", "Marker", "Producer", "UnwritableError"]
