"""Whom a card transaction names: rows of one's own for those that stay within a partition, given ones for the rest."""

from __future__ import annotations

from stream.entities import takeover
from stream.features.registry import Entity

PROFILE_WIDTH = 7

ENTITIES = (
    Entity("card", "card_key"),
    Entity("customer", "customer_key"),
    Entity("device", "device_key"),
    Entity("ip", "ip_key"),
    Entity("merchant", "merchant_key", PROFILE_WIDTH),
    Entity("terminal", "terminal_key", PROFILE_WIDTH),
    Entity("takeover", "customer_key", len(takeover.COLUMNS)),
)
