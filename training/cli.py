"""The workshop's commands, found by the root command through the entry-point group ``fraudstream.commands``.

The only library-facing place that knows both the simulator and the trainers: models never see the simulator.
"""

from __future__ import annotations

from training.cli_audit import app as audit
from training.cli_data import replay, simulate
from training.cli_draw import app as draw
from training.cli_evaluate import evaluate
from training.cli_forecast import forecast
from training.cli_gan import app as synthesize
from training.cli_impute import impute
from training.cli_models import train
from training.cli_report import report
from training.cli_risk import app as risk

__all__ = [
    "audit",
    "draw",
    "evaluate",
    "forecast",
    "impute",
    "replay",
    "report",
    "risk",
    "simulate",
    "synthesize",
    "train",
]
