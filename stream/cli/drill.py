"""`fraudstream drill`: break a running worker on purpose and check that nothing shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    kind: Annotated[str, typer.Argument(help="kill, term, rebalance, broker or zombie (three brokers).")],
    *,
    rounds: Annotated[int, typer.Option(min=1, help="How often.")] = 10,
    compare_state: Annotated[
        bool, typer.Option("--compare-state", help="Compare the state row by row with that of an uninterrupted run.")
    ] = False,
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap", "-b", help="Kafka to use; one is started when left out.")
    ] = None,
    rate: Annotated[float, typer.Option(min=10, help="Transactions a second.")] = 1_000.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the stream and of the moments.")] = 42,
    directory: Annotated[Path, typer.Option("--dir", help="Takes logs, and the broker's data while it runs.")] = Path(
        ".run/drill"
    ),
    without_rules: Annotated[
        bool, typer.Option("--without-rules", hidden=True, help="Workers without the rules against a second writer.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Run a worker on a simulated stream and kill it, stop it, rebalance it or stop its broker, round after round.

    Afterwards an independent client reads everything back: each alert that an uninterrupted run gives stands in one
    chain, once; what a fenced worker added is superseded. Exit code 1 when something is lost, extra, repeated or
    different.

    Examples:

        fraudstream drill kill --rounds 10 --compare-state --json

        fraudstream drill rebalance --rounds 3
    """
    from stream.cliutil import emit_json
    from stream.drill import CARELESS, WORKER, Plan, run

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    plan = Plan(
        kind,
        directory / kind,
        rounds=rounds,
        rate=rate,
        seed=seed,
        compare_state=compare_state,
        bootstrap=bootstrap,
        worker=CARELESS if without_rules else WORKER,
    )
    result = run(plan, say)
    if as_json:
        emit_json(result.as_dict())
    else:
        typer.echo("\n".join(f"{name:<22} {value}" for name, value in result.as_dict().items()))
    if not (result.two_writers if without_rules else result.ok):  # the control has to fail
        raise typer.Exit(1)
