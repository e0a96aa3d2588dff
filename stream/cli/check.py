"""`fraudstream check`: settings, rules, manifests and golden rows, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML settings file.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Validate settings, rules, model manifests and golden rows; start nothing.

    Example: fraudstream check --config fraudstream.toml
    """
    from stream.cliutil import emit_json
    from stream.features import FEATURES
    from stream.panels import load_panel
    from stream.rules import load_rules
    from stream.settings import load

    settings = load(config)
    panel = load_panel(settings)
    rules = load_rules(settings.decision.rules, FEATURES)
    found = {
        "ok": True,
        "models": [{"name": m.name, "version": m.version, "sha256": m.sha256} for m in panel.models],
        "devices": panel.device_info,
        "panel_hash": panel.hash,
        "simulated": panel.simulated,
        "rules": [rule.id for rule in rules.rules],
        "transactions": settings.topics.transactions,
    }
    if json_out:
        emit_json(found)
        return
    for model in panel.models:
        typer.echo(f"model {model.name} version {model.version} sha256 {model.sha256[:12]}: golden rows match")
    for rule in rules.rules:
        typer.echo(f"rule {rule.id}: ok")
    typer.echo(f"settings: ok; panel {panel.hash[:12]}" + ("; trained on simulated data" if panel.simulated else ""))
