"""Names of a checkpoint's records. Compaction keeps the last record of each."""

from __future__ import annotations

MARKER = b"marker"
PIECE_BYTES = 192 << 10
_SMALL = "small"


def block_key(table: str, number: int) -> bytes:
    """Key of a block of a table."""
    return f"{table}/{number:08d}".encode()


def piece_key(small: str, number: int) -> bytes:
    """Key of a piece of a small state."""
    return f"{_SMALL}/{small}/{number:04d}".encode()


def parse(key: bytes | None) -> tuple[str, bool, int] | None:
    """Name of table or small state, whether it is a small one, and number; None for what is neither."""
    parts = (key or b"").decode("utf-8", "replace").split("/")
    small = len(parts) == 3 and parts[0] == _SMALL
    if not parts[-1].isdigit() or len(parts[-1]) > 9 or not (small or len(parts) == 2):
        return None
    return parts[-2], small, int(parts[-1])
