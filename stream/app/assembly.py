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
from stream.app.forget import Forgetting
from stream.app.sides import SideTopics
from stream.app.worker import Worker
from stream.checkpoint.keeper import Keeper
from stream.checkpoint.marker import TipMark
from stream.checkpoint.warm import warm_up as warm_checkpoints
from stream.entities.takeover import Takeover
from stream.events import TP
from stream.judge import PanelLike
from stream.monitor.health import Health
from stream.monitor.metrics import Metrics
from stream.pipeline import Pipeline
from stream.recovery import Recovery
from stream.settings import Settings
from stream.sides.events import AccountFeed
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
    pipeline = _warm(settings, panel, topics)

    async def course() -> int:
        alerts = AlertLog(settings.topics.alerts, topics.source.topic_id, pipeline.profile.roles.name("card_id"))
        outbox = Outbox(settings.kafka.bootstrap, PUBLISH_TIMEOUT_S)
        deliverer = Deliverer(
            outbox,
            alerts,
            DeadLetterLog(settings.topics.dead_letters, topics.source.topic_id),
            metrics,
        )
        engine = Engine(settings, pipeline, deliverer, metrics)
        health.stalled_for = engine.stalled_for
        feed = _account_feed(settings, topics, pipeline, engine, outbox, metrics)
        keeper = _keeper(settings, topics, pipeline, engine, alerts, metrics)
        sides = SideTopics(settings, topics, pipeline, engine.exclusive, metrics, others=[feed])
        engine.hold = sides.hold if settings.engine.profile_wait_s else None
        recovery = Recovery(
            settings,
            topics.source,
            pipeline,
            exclusive=engine.exclusive,
            logs=deliverer,
            metrics=metrics,
            keeper=keeper,
            sides=sides,
            arenas=lambda: new_arena(pipeline.profile.program),
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
            sides=sides,
        )
        feed.on_failure = worker.on_failure
        forgetting = _forgetting(settings, topics, pipeline, engine).start(worker)
        try:
            return await worker.run()
        finally:
            forgetting.cancel()
            await feed.close()

    uvloop.install()  # also the loop of Faust's consumer thread
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(course())
    finally:
        if not loop.is_running():
            loop.close()


def _warm(settings: Settings, panel: PanelLike, topics: Topics) -> Pipeline:
    """The pipeline with every kernel compiled, and the collector told to leave what stays alone."""
    pipeline = Pipeline(settings, panel, topics.source.topic_id)
    began = time.monotonic()
    warm_up(pipeline)
    if topics.checkpoints:
        warm_checkpoints()
    log.info("kernels ready in %.1f s (the first start on a machine compiles them)", time.monotonic() - began)
    gc.collect()
    gc.freeze()  # libraries and models live as long as the process: no pause to look at them again
    gc.set_threshold(50_000, 20, 50)
    return pipeline


def _forgetting(settings: Settings, topics: Topics, pipeline: Pipeline, engine: Engine) -> Forgetting:
    """What frees the rows of those who fell silent."""
    tps = [TP(settings.topics.transactions, partition) for partition in range(topics.partitions)]
    return Forgetting(settings, lambda: [a for tp in tps if (a := pipeline.arena(tp)) is not None], engine.exclusive)


def _account_feed(
    settings: Settings, topics: Topics, pipeline: Pipeline, engine: Engine, outbox: Outbox, metrics: Metrics
) -> AccountFeed:
    """What keeps up with the events of customers' accounts."""
    tps = [TP(settings.topics.transactions, partition) for partition in range(topics.partitions)]
    pipeline.book.takeover = takeover = Takeover()
    return AccountFeed(
        settings,
        takeover,
        pipeline.tokens,
        exclusive=engine.exclusive,
        send=outbox.send,
        held=lambda: frozenset(tp.partition for tp in tps if pipeline.arena(tp) is not None),
        partitions=topics.partitions,
        metrics=metrics,
    )


def _keeper(
    settings: Settings, topics: Topics, pipeline: Pipeline, engine: Engine, alerts: AlertLog, metrics: Metrics
) -> Keeper | None:
    """What keeps checkpoints, if they are kept."""
    if not topics.checkpoints:
        return None
    profile = pipeline.profile
    metrics.source_retention.set(topics.retention_s)
    return Keeper(
        settings,
        topics.source.topic_id,
        topics.partitions,
        features=f"{profile.name} {profile.version}",
        roles=repr(sorted(profile.roles.names.items())),
        layouts={name: table.dtype for name, table in new_arena(profile.program, capacity=1).tables.items()},
        state=pipeline,
        exclusive=engine.exclusive,
        tip=lambda partition: TipMark(**dataclasses.asdict(alerts.tip(partition))),
        metrics=metrics,
        retention_s=topics.retention_s,
    )
