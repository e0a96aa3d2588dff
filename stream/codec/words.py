"""Small vocabularies as codes: each word is normalised once, then it is one dictionary look-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stream.events import AVS_RESULTS, CHANNELS, CVV_RESULTS, ENTRY_MODES, THREE_DS, TYPES

_REMEMBERED = 4096


class Memo(dict[Any, int]):
    """``value -> code``, computed on first sight and remembered for a bounded number of spellings."""

    def __init__(self, code: Callable[[Any], int]) -> None:
        super().__init__()
        self._code = code

    def __missing__(self, key: Any) -> int:
        code = self._code(key)
        if len(self) < _REMEMBERED:
            self[key] = code
        return code


def normalise(value: object) -> str:
    """Lower case, no outer whitespace, inner blanks and dashes as underscores."""
    return str(value).strip().lower().replace(" ", "_").replace("-", "_")


def vocabulary(words: tuple[str, ...], also: Mapping[str, str]) -> Memo:
    """Codes of words and of others that mean the same: their places; 0 is missing, the last place is any other word."""
    codes = {word: code for code, word in enumerate(words[:-1])}
    codes.update({alias: codes[word] for alias, word in also.items()})
    return Memo(lambda value: 0 if value is None else codes.get(normalise(value), len(words) - 1))


TYPE = vocabulary(TYPES, {"sale": "purchase", "payment": "purchase", "withdrawal": "cash", "void": "reversal"})
CHANNEL = vocabulary(CHANNELS, {"ecommerce": "ecom", "e_commerce": "ecom", "online": "ecom", "web": "ecom"})
ENTRY_MODE = vocabulary(ENTRY_MODES, {"nfc": "contactless", "magstripe": "swipe", "manual": "keyed"})
# One-letter codes are those of the card schemes (3-D Secure transStatus, CVV2 and AVS result codes).
THREE_DS_RESULT = vocabulary(THREE_DS, {"y": "authenticated", "a": "attempted", "n": "failed", "u": "none"})
CVV_RESULT = vocabulary(CVV_RESULTS, {"m": "match", "n": "no_match", "p": "not_provided", "u": "not_provided"})
AVS_RESULT = vocabulary(
    AVS_RESULTS, {"y": "match", "a": "partial", "z": "partial", "n": "no_match", "u": "not_provided"}
)

_APPROVED = frozenset({"00", "0", "000", "10", "11", "85", "approved", "approve", "ok", "success"})


def _declined(value: object) -> int:
    word = "" if value is None else normalise(value)
    return int(word != "" and word not in _APPROVED)


def _country(value: object) -> int:
    word = "" if value is None else str(value).strip().upper()
    if len(word) != 2 or not (word.isascii() and word.isalpha()):
        return 0
    return (ord(word[0]) - 65) * 26 + ord(word[1]) - 65 + 1


def _mcc(value: object) -> int:
    text = "" if value is None or isinstance(value, bool) else str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else -1


DECLINED = Memo(_declined)  # 1 when a response code is there and is not an approval (ISO 8583 field 39)
COUNTRY = Memo(_country)  # ISO 3166 alpha-2 -> 1..676; 0 is missing or no such code
MCC = Memo(_mcc)  # ISO 18245, -1 is missing
