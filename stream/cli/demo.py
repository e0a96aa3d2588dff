"""`fraudstream demo`: watch a live stream being scored on a real Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    seconds: Annotated[float, typer.Option(help="Length of the live part.", min=5, max=3600)] = 60.0,
    cards: Annotated[int, typer.Option(help="Cards of the simulated bank.", min=50, max=200_000)] = 2_500,
    bank: Annotated[int, typer.Option(help="Seed of the bank: all its parameters are drawn from it.")] = 7_001,
    seed: Annotated[int, typer.Option(help="Seed of the stream.")] = 42,
    prevalence_bp: Annotated[int, typer.Option(help="Frauds in 10,000 transactions.", min=0, max=1000)] = 80,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    directory: Annotated[Path, typer.Option("--dir", help="Folder of the run.")] = Path(".run/demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave broker and worker running, print addresses.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Only end what an earlier --keep left running.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Also draw the last live table into this SVG file.")] = None,
) -> None:
    """Start Kafka, a worker and a simulated bank; show alerts with reasons as they come; judge the run; clean up.

    Nothing but Python is needed. The models were trained on other banks and other seeds than the one shown. The
    summary goes to DIR/summary.json.

    Example: fraudstream demo --seconds 30
    """
    import logging
    import signal

    from rich.console import Console

    from stream.demo.run import Demo, Plan, first_day
    from stream.demo.summary import conclude

    plan = Plan(
        start=first_day(Plan.warmup_days + Plan.live_days),
        directory=directory.resolve(),
        seconds=seconds,
        cards=cards,
        bank=bank,
        seed=seed,
        prevalence_bp=prevalence_bp,
        device=device,
        keep=keep,
        svg=svg,
    )
    console = Console()
    for name in ("fraudstream", "stream"):
        logging.getLogger(name).setLevel(logging.ERROR)  # the worker's own log tells its warnings
    demo = Demo(plan, console)
    for number in (signal.SIGTERM, signal.SIGINT):  # a parent may have left SIGINT ignored, as shells do for jobs
        signal.signal(number, signal.default_int_handler)
    kept = ok = False
    try:
        demo.prepare()
        if stop:
            console.print("nothing of the demo runs any more")
            return
        ran = demo.play()
        if not keep:
            ran.worker_code = demo.stop_worker()
        ok = conclude(demo, ran)
        kept = keep
    except KeyboardInterrupt:
        ok = True
        console.print("stopping …")
        raise typer.Exit(130) from None
    finally:
        if not kept:
            demo.close(ended_well=ok)
    if kept:
        console.print(f"left running: Kafka {ran.bootstrap}, worker metrics {ran.metrics}/metrics")
        console.print("end them with: fraudstream demo --stop")
    raise typer.Exit(0 if ok else 1)
