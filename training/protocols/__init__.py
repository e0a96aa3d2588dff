"""Published protocols: one module each, with `run(data, quick=…, seed=…, say=…) -> Table`.

A protocol opens its test set once, after every choice was made on what the protocol allows.
"""

from __future__ import annotations

from importlib import import_module

from training.protocols.table import Protocol, Row, Table

PROTOCOLS = {
    "fdh": "training.protocols.fdh",
    "adbench": "training.protocols.adbench",
    "nab": "training.protocols.nab",
    "prices": "training.protocols.prices",
    "ulb": "training.protocols.ulb",
    "german": "training.protocols.german",
}

__all__ = ["PROTOCOLS", "Protocol", "Row", "Table", "protocol"]


def protocol(name: str) -> Protocol:
    """Load a protocol by its name; KeyError when there is none."""
    module: Protocol = import_module(PROTOCOLS[name])
    return module
