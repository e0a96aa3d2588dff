"""A real worker in a process of its own, with a panel whose scores depend on each card's history alone.

python -m tests.kafka.worker_process --bootstrap … --group …   (the options of `fraudstream worker`)
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, ClassVar

import numpy as np

from stream.events import F32, ModelRef
from stream.features import FEATURE_NAMES, SEQUENCE_CHANNELS
from stream.scoring.panel import PanelScores, Thresholds

HISTORY = FEATURE_NAMES.index("amount_vs_mean")
CUTS = Thresholds(0.5, 0.7, 0.9)


class HistoryPanel:
    """Flags some 3 % of the transactions, chosen by the amount against the card's own mean: state decides."""

    models: ClassVar = [ModelRef("history", "1", "0" * 64)]
    hash = "f" * 64
    thresholds = CUTS
    simulated = False
    device_info: ClassVar = {"history": "cpu"}
    neutral_features = np.zeros(len(FEATURE_NAMES), np.float32)
    neutral_sequence = np.zeros(len(SEQUENCE_CHANNELS), np.float32)

    def score(self, X: F32, S: F32) -> PanelScores:
        with np.errstate(invalid="ignore"):
            part = np.modf(np.abs(X[:, HISTORY].astype(np.float64)) * 997.0)[0]
            score = np.where(part > 0.97, 0.8, 0.1)
        logit = np.log(score / (1 - score))
        return PanelScores(("history",), score[:, None].astype(np.float32), logit, score, False, CUTS)


def _slow_down(seconds: float) -> None:
    """Let every recovery take that much longer."""
    from stream.recovery import Recovery

    at_once = Recovery._tails

    async def tails(self: Recovery, *args: Any) -> Any:
        await asyncio.sleep(seconds)
        return await at_once(self, *args)

    if seconds:
        Recovery._tails = tails  # type: ignore[method-assign]


def main() -> None:
    """Run the worker's own command with the panel in place of the shipped models."""
    import typer

    import stream.app.checks
    import stream.panels
    from stream.app.checks import Topics
    from stream.cli.worker import command
    from stream.errors import FraudstreamError
    from stream.recovery import Source

    stream.panels.load_panel = lambda settings, on_degraded=None: HistoryPanel()
    partitions = os.environ.pop("FRAUDSTREAM_UNCHECKED", "")
    if partitions:  # a mock cluster answers no admin client
        stream.app.checks.check_broker = lambda settings: Topics(int(partitions), Source("mock", True, int(partitions)))
    _slow_down(float(os.environ.pop("FRAUDSTREAM_SLOW_RECOVERY", "0")))
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except FraudstreamError as error:
        sys.stderr.write(f"fraudstream: {error}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
