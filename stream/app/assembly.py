"""Puts the worker's parts together and gives them an event loop. To add a sink: one line in `run`."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable

import uvloop

from stream.app.checks import Topics
from stream.app.delivery import Deliverer
from stream.app.engine import Engine
from stream.app.worker import Worker
from stream.monitor.health import Health
from stream.monitor.metrics import Metrics
from stream.pipeline import Pipeline
from stream.recovery import Recovery
from stream.scoring.panel import Panel
from stream.settings import Settings
from stream.sinks.alerts import AlertLog
from stream.sinks.dead_letters import DeadLetterLog
from stream.sinks.outbox import Outbox
from stream.warm import warm_up

log = logging.getLogger("fraudstream.start")
PUBLISH_TIMEOUT_S = 30.0


def run(
    settings: Settings,
    panel: Panel,
    topics: Topics,
    *,
    metrics: Metrics,
    health: Health,
    say: Callable[[str], None],
    exit_when_idle: float | None,
) -> int:
    """Run one worker to its end; see `stream.app.run_worker`."""

    pipeline = Pipeline(settings, panel, topics.source.topic_id)
    began = time.monotonic()
    warm_up(pipeline)
    log.info("kernels ready in %.1f s (the first start on a machine compiles them)", time.monotonic() - began)
    gc.collect()
    gc.freeze()  # libraries and models live as long as the process: no pause to look at them again
    gc.set_threshold(50_000, 20, 50)

    async def course() -> int:
        deliverer = Deliverer(
            Outbox(settings.kafka.bootstrap, PUBLISH_TIMEOUT_S),
            AlertLog(settings.topics.alerts, topics.source.topic_id),
            DeadLetterLog(settings.topics.dead_letters, topics.source.topic_id),
            metrics,
        )
        engine = Engine(settings, pipeline, deliverer, metrics)
        health.stalled_for = engine.stalled_for
        recovery = Recovery(
            settings, topics.source, pipeline, exclusive=engine.exclusive, logs=deliverer, metrics=metrics
        )
        worker = Worker(
            settings,
            engine,
            deliverer,
            recovery,
            metrics=metrics,
            health=health,
            say=say,
            exit_when_idle=exit_when_idle,
        )
        return await worker.run()

    uvloop.install()  # also the loop of Faust's consumer thread
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(course())
    finally:
        if not loop.is_running():
            loop.close()
