"""Puts the worker's parts together and gives them an event loop. To add a sink: one line in `run`."""

from __future__ import annotations

import dataclasses
import gc
import logging
import time
from collections.abc import Callable

import uvloop

from stream.advance import new_arena
from stream.app.checks import Topics
from stream.app.delivery import Deliverer
from stream.app.engine import Engine
from stream.app.worker import Worker
from stream.judge import PanelLike
from stream.checkpoint.identity import keeps_checkpoints
from stream.checkpoint.keeper import Keeper
from stream.checkpoint.marker import TipMark
from stream.features import FEATURES_VERSION
from stream.monitor.health import Health
from stream.monitor.metrics import Metrics
from stream.pipeline import Pipeline
from stream.recovery import Recovery
from stream.settings import Settings
from stream.sinks.alerts import AlertLog
from stream.sinks.dead_letters import DeadLetterLog
from stream.sinks.outbox import Outbox
from stream.warm import warm_up

log = logging.getLogger("fraudstream.start")
PUBLISH_TIMEOUT_S = 30.0


def run(
    settings: Settings,
    panel: PanelLike,
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
        alerts = AlertLog(settings.topics.alerts, topics.source.topic_id)
        deliverer = Deliverer(
            Outbox(settings.kafka.bootstrap, PUBLISH_TIMEOUT_S),
            alerts,
            DeadLetterLog(settings.topics.dead_letters, topics.source.topic_id),
            metrics,
        )
        engine = Engine(settings, pipeline, deliverer, metrics)
        health.stalled_for = engine.stalled_for
        keeper = _keeper(settings, topics, pipeline, engine, alerts, metrics)
        recovery = Recovery(
            settings,
            topics.source,
            pipeline,
            exclusive=engine.exclusive,
            logs=deliverer,
            metrics=metrics,
            keeper=keeper,
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
            keeper=keeper,
        )
        return await worker.run()

    uvloop.install()  # also the loop of Faust's consumer thread
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(course())
    finally:
        if not loop.is_running():
            loop.close()


def _keeper(
    settings: Settings, topics: Topics, pipeline: Pipeline, engine: Engine, alerts: AlertLog, metrics: Metrics
) -> Keeper | None:
    """What keeps checkpoints, if they are kept."""
    if not keeps_checkpoints(settings):
        return None
    metrics.source_retention.set(topics.retention_s)
    return Keeper(
        settings,
        topics.source.topic_id,
        topics.partitions,
        features=FEATURES_VERSION,
        layouts={name: table.dtype for name, table in new_arena(capacity=1).tables.items()},
        state=pipeline,
        exclusive=engine.exclusive,
        tip=lambda partition: TipMark(**dataclasses.asdict(alerts.tip(partition))),
        metrics=metrics,
    )
