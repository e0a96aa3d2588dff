"""Options that make no sense are refused before anything starts."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from stream.cli.worker import command


def test_a_worker_waits_no_negative_time_for_work() -> None:
    app = typer.Typer()
    app.command()(command)
    refused = CliRunner().invoke(app, ["--exit-when-idle", "-1"])
    assert refused.exit_code == 2 and "--exit-when-idle" in refused.output
