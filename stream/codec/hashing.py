"""Stable 64-bit hashes of ids, a whole column at a time: the same in every process, release and language."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream.codec.native import native_cached
from stream.events import U8, U64

_OFFSET = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_MASK = 0xFFFFFFFFFFFFFFFF
_MIX = 0xFF51AFD7ED558CCD


@native_cached
def hash_span(data: U8, start: int, end: int) -> np.uint64:
    """As `hash_text`, for the bytes from `start` to `end`."""
    if end == start:
        return np.uint64(0)
    value, shift = np.uint64(_OFFSET), np.uint64(33)
    for i in range(start, end):
        value = (value ^ np.uint64(data[i])) * np.uint64(_PRIME)
    value = (value ^ (value >> shift)) * np.uint64(_MIX)
    return max(value ^ (value >> shift), np.uint64(1))


@native_cached
def _hash_joined(data: U8, out: U64) -> int:
    """Hash each NUL-separated piece of `data`; return how many pieces there were."""
    piece, start, n = 0, 0, len(data)
    for end in range(n + 1):
        if end < n and data[end] != 0:
            continue
        if piece == len(out):
            return piece + 1
        out[piece] = hash_span(data, start, end)
        piece += 1
        start = end + 1
    return piece


def hash_text(text: str) -> int:
    """Hash one id: FNV-1a 64 over its UTF-8 bytes, finished with one round of Murmur3's mixer; "" is 0 (missing)."""
    if not text:
        return 0
    value = _OFFSET
    for byte in text.encode("utf-8", "surrogatepass"):
        value = ((value ^ byte) * _PRIME) & _MASK
    value = ((value ^ (value >> 33)) * _MIX) & _MASK
    return max(value ^ (value >> 33), 1)


def hash_column(texts: Sequence[str | None]) -> U64:
    """Hash a column of ids; None and "" become 0.

    Returns
    -------
    uint64 (n,)
        Equal to `hash_text` of each item.
    """
    out = np.empty(len(texts), np.uint64)
    if not len(texts):
        return out
    words = [text or "" for text in texts]
    try:
        data = np.frombuffer("\0".join(words).encode(), np.uint8)
    except UnicodeEncodeError:
        data = None
    if data is None or _hash_joined(data, out) != len(words):  # a lone surrogate, or an id that holds a NUL
        return np.array([hash_text(word) for word in words], np.uint64)
    return out
