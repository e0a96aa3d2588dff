"""Tokens instead of card numbers: a keyed hash that is the same in every worker and tells nothing without the key."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

import numpy as np

from stream.codec.masking import luhn
from stream.codec.native import native_cached
from stream.errors import SettingError
from stream.events import U8, U64
from stream.settings import PLACEHOLDERS, SecuritySettings

_REMEMBERED = 131_072
_BLOCK = 64  # bytes, SHA-256's
_LENGTH = 36  # characters of a token


def token_key(security: SecuritySettings) -> tuple[bytes, bool]:
    """Read the key of the tokens.

    Returns
    -------
    bytes, bool
        The key, and whether it is one of this process only (no key was set): tokens then change with a restart.

    Raises
    ------
    SettingError
        Both settings are there, the key file cannot be read, or its key is a placeholder or shorter than 16 bytes.
    """
    if security.token_key is not None and security.token_key_file is not None:
        raise SettingError("settings security.token_key and security.token_key_file are both there; remove one of them")
    if security.token_key is not None:
        return security.token_key.get_secret_value().encode(), False
    if security.token_key_file is None:
        return secrets.token_bytes(32), True
    try:
        key = security.token_key_file.read_bytes().strip()
    except OSError as error:
        raise SettingError(
            f"setting security.token_key_file: {security.token_key_file} cannot be read ({error.strerror}); "
            "name a readable file"
        ) from None
    if len(key) < 16 or key.lower().decode("utf-8", "replace") in PLACEHOLDERS:
        raise SettingError(
            f"setting security.token_key_file: the key in {security.token_key_file} is shorter than 16 bytes; "
            "write a random one into it"
        )
    return key, False


def canonical_card(card_id: str) -> str:
    """One spelling of a card: outer blanks go, and from a card number also the blanks and dashes between its groups."""
    text = card_id.strip()
    digits = text.replace(" ", "").replace("-", "")
    if len(digits) != len(text) and 13 <= len(digits) <= 19 and digits.isascii() and digits.isdigit():
        return digits if luhn(digits.encode()) else text
    return text


def card_key(token: str) -> int:
    """The number that its first 16 hexadecimal digits are, never 0; 0 for no token."""
    return max(int(token[4:20], 16), 1) if token else 0


@native_cached
def _keys(data: U8, out: U64) -> int:
    """As `card_key`, for tokens of `_LENGTH` bytes one behind the other; returns how many it read."""
    for i in range(len(out)):
        key, at = np.uint64(0), i * _LENGTH + 4
        for p in range(at, at + 16):
            digit = np.uint64(data[p])
            key = (key << np.uint64(4)) | (digit - np.uint64(48 if digit < 58 else 87))
        out[i] = max(key, np.uint64(1))
    return len(out)


class Tokens(dict[str, str]):
    """``card_id -> token``, remembered for the cards seen lately (two generations of 131,072); "" for a blank id.

    Parameters
    ----------
    key
        Secret of at least 16 bytes; the same key gives the same tokens (HMAC-SHA-256, RFC 2104).
    """

    def __init__(self, key: bytes) -> None:
        super().__init__()
        block = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))
        self._older: dict[str, str] = {}

    def __missing__(self, card_id: str) -> str:
        token = self._older.get(card_id)
        if token is None:
            card = canonical_card(card_id).encode("utf-8", "surrogatepass")
            token = "tok_" + self._hmac(card)[:32] if card else ""
        if len(self) >= _REMEMBERED:
            self._older = dict(self)
            self.clear()
        self[card_id] = token
        return token

    def _hmac(self, text: bytes) -> str:
        """HMAC-SHA-256 from the two states that the key alone determines: a third of the usual cost (RFC 2104)."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.hexdigest()

    def keys_of(self, tokens: Sequence[str]) -> U64:
        """The number that stands for each card in the engine's state, uint64 (n,)."""
        out, data = np.empty(len(tokens), np.uint64), "".join(tokens).encode()
        if len(data) == _LENGTH * len(tokens):
            _keys(np.frombuffer(data, np.uint8), out)
            return out
        return np.fromiter(map(card_key, tokens), np.uint64, len(tokens))

    def twin(self) -> Tokens:
        """The same tokens with a memory of its own, for another thread."""
        twin = Tokens(b"")
        twin._inner, twin._outer = self._inner, self._outer
        return twin

    def of(self, card_id: str) -> str:
        """Token of one card: ``tok_`` and 32 hexadecimal digits."""
        return self[card_id]
