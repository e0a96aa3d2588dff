"""From bytes to columns: decode, map, validate, replace card numbers; what is no transaction becomes a dead letter."""

from stream.codec.codec import Codec, Decoded, dead_letter
from stream.codec.columns import columns_from, columns_of, concat, take
from stream.codec.history import read_columns, read_history
from stream.codec.masking import mask_text
from stream.codec.tokens import Tokens

__all__ = [
    "Codec",
    "Decoded",
    "Tokens",
    "columns_from",
    "columns_of",
    "concat",
    "dead_letter",
    "mask_text",
    "read_columns",
    "read_history",
    "take",
]
