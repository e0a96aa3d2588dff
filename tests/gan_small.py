"""A small history and a hardly trained generator, made once for all tests that need one."""

from __future__ import annotations

import datetime as dt
import tempfile
from functools import cache
from pathlib import Path

from training.data.simulator import generate
from training.gan.build import Material, build, prepare
from training.gan.fit import Plan
from training.gan.store import Model

PLAN = Plan(rounds=20, batch=32, width=16)


@cache
def history() -> Path:
    """A folder with 110 cards and 14 days of a simulated bank."""
    folder = Path(tempfile.mkdtemp(prefix="fraudstream-test-gan-"))
    start = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    generate(bank_seed=5, seed=1, cards=110, days=14, prevalence_bp=400, start=start).write(folder)
    return folder


@cache
def material() -> Material:
    """Its halves."""
    return prepare(history(), 0)


@cache
def model() -> Model:
    """Trained for 20 updates: everything works, nothing is good."""
    return build(material(), PLAN, lambda _: None)
