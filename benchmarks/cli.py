"""`fraudstream bench`: figures as ratios to something that ran beside them; run on a quiet machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Measure the hot path beside something comparable on this machine.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write the JSON object to this file.")]


def _tell(result: dict[str, object], lines: list[str], as_json: bool, out: Path | None) -> None:
    from stream.cliutil import emit_json

    if out is not None:
        emit_json(result, out)
    if as_json:
        emit_json(result)
    else:
        typer.echo("\n".join(lines))


@app.command()
def pipeline(
    transactions: Annotated[int, typer.Option(help="Transactions a round.", min=20_000)] = 800_000,
    rounds: Annotated[int, typer.Option(help="Rounds; ours and the rival alternate.", min=1)] = 3,
    cards: Annotated[int, typer.Option(help="Distinct cards.", min=100)] = 200_000,
    json_out: Json = False,
    out: Out = None,
) -> None:
    """Flat-out throughput of one worker, beside a tuned confluent-kafka loop that calls the same functions.

    Both read the same records from the same embedded Kafka, score them with all models and make 1 % alerts durable
    before their offsets are committed. Needs the `dev` extra (confluent-kafka).

    Example: fraudstream bench pipeline --rounds 3 --json
    """
    from benchmarks.pipeline import describe, run
    from stream.cliutil import require_extra

    require_extra("confluent_kafka", "dev")
    result = run(transactions, rounds, cards)
    _tell(result, describe(result), json_out, out)


@app.command()
def features(json_out: Json = False, out: Out = None) -> None:
    """Microseconds an event and bytes a card of the feature kernels, by batch size and number of cards.

    Example: fraudstream bench features --json
    """
    from benchmarks.features import describe, run

    result = run()
    _tell(result, describe(result), json_out, out)


@app.command()
def recovery(
    cards: Annotated[int, typer.Option(help="Distinct cards.", min=1_000)] = 200_000,
    rate: Annotated[int, typer.Option(help="Transactions a second meanwhile.", min=100)] = 1_000,
    rounds: Annotated[int, typer.Option(help="Starts after a stop, and as many after a kill.", min=1)] = 1,
    json_out: Json = False,
    out: Out = None,
) -> None:
    """Seconds from a worker's start to a lag below a second, with the state of many cards to bring back.

    `recovery_seconds` counts from the process's start after a stop in order; after a kill the group first waits for
    the old member's session to end, which is told beside it.

    Example: fraudstream bench recovery --cards 200000 --json
    """
    from benchmarks.recovery import describe, run

    result = run(cards, rate, rounds)
    _tell(result, describe(result), json_out, out)


@app.command()
def replay(
    transactions: Annotated[int, typer.Option(help="Transactions of the history.", min=20_000)] = 1_000_000,
    cards: Annotated[int, typer.Option(help="Distinct cards.", min=10)] = 10_000,
    days: Annotated[float, typer.Option(help="Length of the history.", min=0.1)] = 2.0,
    rounds: Annotated[int, typer.Option(help="Rounds; the best one counts.", min=1)] = 3,
    json_out: Json = False,
    out: Out = None,
) -> None:
    """Transactions a second that training replays on one core: all features, windows, and profiles by the hour.

    Example: fraudstream bench replay --rounds 3 --json
    """
    from benchmarks.replay import describe, run

    result = run(transactions, cards, days, rounds)
    _tell(result, describe(result), json_out, out)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(help="How long.", min=0.5)] = 10.0,
    rate: Annotated[int, typer.Option(help="Transactions a second.", min=1_000)] = 20_000,
    json_out: Json = False,
    out: Out = None,
) -> None:
    """Resident memory of one worker at a steady rate, with new cards all the time and the horizon passing six times.

    Example: fraudstream bench soak --minutes 10 --json
    """
    from benchmarks.soak import describe, run

    result = run(minutes, rate)
    _tell(result, describe(result), json_out, out)


@app.command()
def state(
    cards: Annotated[int, typer.Option(help="Rows.", min=1_000)] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="Sweeps after the first full one.", min=1)] = 10,
    rate: Annotated[float, typer.Option(help="Transactions a second meanwhile.", min=1_000)] = 20_000,
    every_s: Annotated[float, typer.Option(help="Seconds between two sweeps.", min=1)] = 60.0,
    zipf: Annotated[bool, typer.Option("--zipf", help="A few cards have most of the transactions.")] = False,
    bootstrap: Annotated[str | None, typer.Option(help="A broker; an embedded one of its own when absent.")] = None,
    json_out: Json = False,
    out: Out = None,
) -> None:
    """Checkpoints through a real broker: bytes a minute, log over live, load, replay, and what a sweep costs meanwhile.

    `p99_added_ms` and `throughput_cost` compare batches while a sweep runs with those while none does, the latter over
    the whole interval; they want a quiet machine. `sweep_cpu_seconds` is the processor time of one sweep.

    Example: fraudstream bench state --cards 200000 --rounds 2 --every-s 10 --json
    """
    from benchmarks.state import describe, run

    result = run(cards, rounds, rate, every_s, zipf, bootstrap)
    _tell(result, describe(result), json_out, out)
