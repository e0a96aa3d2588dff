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
    from stream.panels import load_panel
    from stream.profile import load_profile
    from stream.rules import rules_of
    from stream.settings import load

    settings = load(config)
    profile = load_profile(settings.engine.profile)
    panel = load_panel(settings)
    rules = rules_of(profile, settings.decision.rules)
    found = {
        "ok": True,
        "profile": profile.name,
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
    typer.echo(f"stream {profile.name}: {len(profile.features)} features")
    for model in panel.models:
        typer.echo(f"model {model.name} version {model.version} sha256 {model.sha256[:12]}: golden rows match")
    for rule in rules.rules:
        typer.echo(f"rule {rule.id}: ok")
    typer.echo(f"settings: ok; panel {panel.hash[:12]}" + ("; trained on simulated data" if panel.simulated else ""))
