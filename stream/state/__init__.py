"""State in memory: tables of rows by key, one arena per source partition, consistent copies; no Kafka."""

from __future__ import annotations

from stream.state.arena import NO_WATERMARK, Arena, Small
from stream.state.sweep import Block, Sweep
from stream.state.table import Table

__all__ = ["NO_WATERMARK", "Arena", "Block", "Small", "Sweep", "Table"]
