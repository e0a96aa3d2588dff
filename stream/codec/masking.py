"""Card numbers in free text and raw bytes: found by shape and Luhn's check digit, all but the last four starred.

They are also found where a message writes its digits as JSON escapes, and in what is compressed.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable
from typing import Protocol

PAYLOAD_MAX = 65_536
_SHORTEST, _LONGEST, _KEPT = 13, 19, 4
_SLACK = 512  # bytes kept beyond the cut while masking, so that no number is cut in two before it is seen
_RUN = re.compile(rb"[0-9](?:[ \-\0]{0,3}[0-9]){12,}")  # NUL: UTF-16 or UTF-32 that came unannounced
_MAY_HOLD = re.compile(r"[0-9](?:[ \-\0]{0,3}[0-9]){12}")
_ESCAPE = re.compile(rb"\\+u00(3[0-9]|2[0dD])")  # a digit, blank or dash; JSON within JSON doubles the backslash
_GROUP = re.compile(rb"[0-9]+")
_DIGIT = re.compile(rb"[0-9]")
# Inside a longer run of digits only numbers of the great schemes are looked for: (first digits, length).
_ISSUED = re.compile(rb"(?=(4[0-9]{15}|5[1-5][0-9]{14}|2[2-7][0-9]{14}|3[47][0-9]{13}|6(?:011|5[0-9]{2})[0-9]{12}))")
_VALUE = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))


def luhn(digits: bytes) -> bool:
    """Tell whether ASCII digits end in the right check digit (ISO/IEC 7812-1, annex B)."""
    return (sum(digits[-1::-2].translate(_VALUE)) + sum(digits[-2::-2].translate(_DOUBLED))) % 10 == 0


def _star(run: bytearray, start: int, end: int) -> None:
    hidden = len(_DIGIT.findall(run[start:end])) - _KEPT
    for i in range(start, end):
        if hidden > 0 and 48 <= run[i] <= 57:
            run[i] = 42
            hidden -= 1


def _mask_run(match: re.Match[bytes]) -> bytes:
    """Mask every card number among the groups of one run of digits, blanks and dashes."""
    run = match.group()
    masked = bytearray(run)
    groups = [found.span() for found in _GROUP.finditer(run)]
    for first, (start, _) in enumerate(groups):
        digits = b""
        for begin, end in groups[first : first + _LONGEST]:
            digits += run[begin:end]
            if len(digits) > _LONGEST:
                break
            if len(digits) >= _SHORTEST and luhn(digits):
                _star(masked, start, end)
    for begin, end in groups:
        if end - begin > _LONGEST:
            for found in _ISSUED.finditer(run, begin, end):
                if luhn(found.group(1)):
                    _star(masked, found.start(1), found.end(1))
    return bytes(masked)


def mask_bytes(data: bytes) -> bytes:
    """Star card numbers of 13 to 19 digits, also written in groups with blanks or dashes; the length stays."""
    return _RUN.sub(_mask_run, data)


def mask_text(text: str) -> str:
    """As `mask_bytes`, for a text; one without a run of digits comes back as it is."""
    if len(text) < _SHORTEST or not _MAY_HOLD.search(text):
        return text
    data = text.encode("utf-8", "surrogatepass")
    masked = mask_bytes(data)
    return text if masked == data else masked.decode("utf-8", "surrogatepass")


def mask_payload(payload: bytes) -> bytes:
    """The first 64 KiB of a message that could not be processed, masked.

    A compressed one is given unpacked, or withheld where it cannot be looked into. Digits written as escapes are
    written as digits where they make up a card number.
    """
    for magic, (kind, unpack) in _PACKED.items():
        if payload.startswith(magic):
            return _unpacked(payload, kind, unpack)
    return _masked(payload[: PAYLOAD_MAX + _SLACK])


def _masked(data: bytes) -> bytes:
    plain = _ESCAPE.sub(_digit, data)
    if len(plain) < len(data):
        masked = mask_bytes(plain)
        if masked != plain:
            return masked[: len(_ESCAPE.sub(_digit, data[:PAYLOAD_MAX]))]
    return mask_bytes(data)[:PAYLOAD_MAX]


def _digit(match: re.Match[bytes]) -> bytes:
    return bytes((int(match.group(1), 16),))


def _unpacked(payload: bytes, kind: str, unpack: Callable[[], _Unpacker] | None) -> bytes:
    if unpack is not None:
        try:
            return _masked(unpack().decompress(payload, PAYLOAD_MAX + _SLACK))
        except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
            if kind == "zlib":  # its two bytes are also how a text may begin
                return _masked(payload[: PAYLOAD_MAX + _SLACK])
    return f"withheld: {len(payload)} bytes of {kind} data, in which card numbers cannot be masked".encode()


class _Unpacker(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_PACKED: dict[bytes, tuple[str, Callable[[], _Unpacker] | None]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(31)),
    b"x\x01": ("zlib", zlib.decompressobj),
    b"x\x5e": ("zlib", zlib.decompressobj),
    b"x\x9c": ("zlib", zlib.decompressobj),
    b"x\xda": ("zlib", zlib.decompressobj),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
    b"\xfd7zXZ\0": ("xz", lambda: lzma.LZMADecompressor(memlimit=64 << 20)),
    b"\x28\xb5\x2f\xfd": ("zstd", None),
    b"\x04\x22\x4d\x18": ("lz4", None),
    b"\xff\x06\0\0sNaPpY": ("snappy", None),
    b"\x82SNAPPY\0": ("snappy", None),
    b"PK\x03\x04": ("zip", None),
}
