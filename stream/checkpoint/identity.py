"""What a state belongs to, as hashes that a marker can carry."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import numpy as np

from stream.codec.tokens import token_key
from stream.settings import Settings


def layout_hash(layouts: Mapping[str, np.dtype[Any]]) -> str:
    """Hash of the tables' names and the layouts of their rows: names, types and places of the fields."""
    text = "\n".join(f"{name} {dtype.itemsize} {dtype!r}" for name, dtype in sorted(layouts.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def decoding_hash(settings: Settings, roles: str) -> str:
    """Hash of what turns records into keys and amounts; keyed, so that it tells nothing about the token key.

    `roles` names the fields of the stream's messages. Rates are left out: they change every day, and amounts of
    yesterday were rightly taken at yesterday's.
    """
    key, _ = token_key(settings.security)
    text = f"{settings.mapping.model_dump_json()}\n{settings.engine.base_currency}\n{roles}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]


def keeps_checkpoints(settings: Settings) -> bool:
    """Whether there is a topic for them, and a later process can use them: not with a token key of this one alone."""
    return bool(settings.topics.checkpoints) and not token_key(settings.security)[1]
