"""One record of a checkpoint: a header, and rows whose zero words are left out.

A row is mostly zeros (windows without events, habits not yet formed). For every 32 words of 32 bits one word tells
which of them follow. A checksum over header and words names the block that was damaged, wherever that happened.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.errors import FraudstreamError
from stream.state.kernels import native

I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]

_MAGIC = b"fsck"
VERSION = 1
_HEADER = struct.Struct("<4sHHQIII")  # magic, version, spare, incarnation, rows, bytes when whole, checksum
HEAD_BYTES = _HEADER.size


class BlockError(FraudstreamError):
    """A record of the checkpoint is not what was written."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Head:
    """What a record says about itself."""

    incarnation: int
    rows: int
    size: int
    crc: int


@native
def _squeeze(words: Any, out: Any) -> int:
    """Leave the zeros of 32-bit words out; return the words written."""
    at = 0
    for start in range(0, len(words), 32):
        mask, place = np.uint32(0), at
        at += 1
        for k in range(start, min(start + 32, len(words))):
            if words[k] != 0:
                mask |= np.uint32(1) << np.uint32(k - start)
                out[at] = words[k]
                at += 1
        out[place] = mask
    return at


@native
def _spread(words: Any, out: Any) -> int:
    """Undo `_squeeze`; return the words read, -1 when they do not fill `out` exactly."""
    at = 0
    for start in range(0, len(out), 32):
        if at >= len(words):
            return -1
        mask = words[at]
        at += 1
        for k in range(start, min(start + 32, len(out))):
            if (mask >> np.uint32(k - start)) & np.uint32(1):
                if at >= len(words):
                    return -1
                out[k] = words[at]
                at += 1
            else:
                out[k] = 0
    return at if at == len(words) else -1


def encode(words: I64, rows: int, incarnation: int) -> tuple[bytes, int]:
    """Pack the rows of a block.

    Parameters
    ----------
    words
        The rows as 64-bit words, contiguous.
    rows, incarnation
        What the header tells.

    Returns
    -------
    tuple
        The record's value and its checksum.
    """
    whole = words.view(np.uint32)
    out = np.empty(len(whole) + len(whole) // 32 + 1, np.uint32)
    return _seal(out[: _squeeze(whole, out)].tobytes(), rows, words.nbytes, incarnation)


def encode_bytes(data: bytes, incarnation: int) -> tuple[bytes, int]:
    """Pack a piece of a small state as it is."""
    return _seal(data, 0, len(data), incarnation)


def _seal(payload: bytes, rows: int, size: int, incarnation: int) -> tuple[bytes, int]:
    head = _HEADER.pack(_MAGIC, VERSION, 0, incarnation, rows, size, 0)[:-4]
    crc = zlib.crc32(payload, zlib.crc32(head))
    return b"".join((head, crc.to_bytes(4, "little"), payload)), crc


def head_of(value: bytes, name: str) -> Head:
    """Read a record's header and check the record against its checksum.

    Raises
    ------
    BlockError
        It is none of ours, of another version, or damaged; the message says `name`.
    """
    if len(value) < _HEADER.size or value[:4] != _MAGIC:
        raise BlockError(f"{name} is damaged: it does not begin as a block does")
    _, version, _, incarnation, rows, size, crc = _HEADER.unpack_from(value)
    if version != VERSION:
        raise BlockError(f"{name} is of block version {version}, and {VERSION} is known here")
    view = memoryview(value)
    if zlib.crc32(view[_HEADER.size :], zlib.crc32(view[: _HEADER.size - 4])) != crc:
        raise BlockError(f"{name} is damaged: its checksum is another")
    return Head(incarnation, rows, size, crc)


def words_of(value: bytes, head: Head, name: str) -> I64:
    """Rows of a block whose header was read, int64 words.

    Raises
    ------
    BlockError
        The words do not give what the header says.
    """
    packed = np.frombuffer(value, np.uint32, offset=_HEADER.size)
    out = np.empty(head.size // 8, np.int64)
    if _spread(packed, out.view(np.uint32)) < 0:
        raise BlockError(f"{name} is damaged: it does not hold what its header says")
    return out


def bytes_of(value: bytes) -> bytes:
    """The piece of a small state in a record whose header was read."""
    return value[_HEADER.size :]
