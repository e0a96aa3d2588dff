"""The worker: checks, parts and the event loop around them."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from stream.errors import FraudstreamError, SettingError
from stream.settings import Settings

if TYPE_CHECKING:
    from stream.app.checks import Topics
    from stream.monitor.metrics import Metrics
    from stream.panels import RulesAlone
    from stream.scoring.panel import Panel

log = logging.getLogger("fraudstream")
T = TypeVar("T")


def run_worker(settings: Settings, *, exit_when_idle: float | None = None) -> int:
    """Run a worker until it is told to stop.

    Parameters
    ----------
    settings
        Everything that was read at start.
    exit_when_idle
        Stop after so many seconds without lag; None runs until a signal.

    Returns
    -------
    int
        0 after a graceful stop, 4 when transactions in flight could not be committed.

    Raises
    ------
    FraudstreamError
        A setting is wrong, the broker cannot be reached, or something could not be made durable.
    """
    from stream.app.checks import check_broker, check_files
    from stream.monitor.health import Health, MonitorServer
    from stream.monitor.metrics import Metrics

    _stop_at_a_signal()
    metrics, health = Metrics(), Health()
    server = MonitorServer(settings.monitor.host, settings.monitor.port, health, metrics.text)
    try:
        check_files(settings)
        answer = _in_background(lambda: check_broker(settings))  # an unreachable one takes its time to be sure of
        panel = _load_panel(settings, metrics)
        topics = answer()
        server.start()
        _print_start(settings, panel, topics, server.url)
        metrics.start([(m.name, m.version, m.sha256) for m in panel.models], panel.device_info)
        from stream.app.assembly import run

        code = run(
            settings,
            panel,
            topics,
            metrics=metrics,
            health=health,
            say=lambda line: _say(f"{line} metrics={server.url}"),
            exit_when_idle=exit_when_idle,
        )
    except FraudstreamError as error:
        _end_hard_if_stuck(error.exit_code, f"fraudstream: {error}\n")
        raise
    finally:
        server.stop()
    _end_hard_if_stuck(code, "")
    return code


def _in_background(work: Callable[[], T]) -> Callable[[], T]:
    """Begin on a thread that does not keep the process; calling the result waits for the work and its error."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="check", daemon=True).start()
    return future.result


def _load_panel(settings: Settings, metrics: Metrics) -> Panel | RulesAlone:
    from stream.panels import load_panel

    silent: set[str] = set()

    def on_degraded(name: str, error: str) -> None:
        if error:
            log.error("detector %s was taken out of the panel: %s", name, error)
            silent.add(name)
        else:
            log.warning("detector %s answers again", name)
            silent.discard(name)
        metrics.degraded.set(len(silent))

    panel = load_panel(settings, on_degraded)
    if panel.simulated and not settings.models.acknowledge_simulated:
        raise SettingError(
            "the models were trained on simulated data; train them on your own, or accept that with "
            "models.acknowledge_simulated = true or --acknowledge-simulated"
        )
    return panel


def _print_start(settings: Settings, panel: Panel | RulesAlone, topics: Topics, url: str) -> None:
    names, kafka = settings.topics, settings.kafka
    engine = settings.engine
    state = {
        "checkpoint": f"from {names.checkpoints}, written every {engine.checkpoint_s:g} s; the rest is replayed",
        "rebuild": "in memory; rebuilt by replaying the topic from its beginning at every take-over",
        "empty": "in memory; begins empty: everything looks new until it was seen again",
    }["rebuild" if engine.state == "checkpoint" and not topics.checkpoints else engine.state]
    devices = ", ".join(f"{scorer} on {device}" for scorer, device in panel.device_info.items())
    models = ", ".join(f"{m.name} {m.version}" for m in panel.models) or "none: rules alone decide"
    _say(
        f"fraudstream worker, group {kafka.group} on {kafka.bootstrap}\n"
        f"  stream  {settings.engine.profile}\n"
        f"  from    {names.transactions} ({topics.partitions} partitions)\n"
        f"  to      {names.alerts}, dead letters {names.dead_letters}\n"
        f"  models  {models}{' (trained on simulated data)' if panel.simulated else ''}; panel {panel.hash[:12]}\n"
        f"  device  {devices or settings.models.device}\n"
        f"  state   {state}\n"
        f"  metrics {url}/metrics"
    )
    if settings.security.token_key is None and settings.security.token_key_file is None:
        log.warning(
            "security.token_key is not set: a key of this process is drawn, so card tokens change at every start and "
            "differ between workers, and no checkpoint is kept; set security.token_key or security.token_key_file"
        )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _stop_at_a_signal() -> None:
    """Until the event loop takes the signals over, nothing is begun that would have to be finished."""
    if threading.current_thread() is threading.main_thread():

        def leave(number: int, frame: object) -> None:
            raise SystemExit(0)

        signal.signal(signal.SIGTERM, leave)


def _end_hard_if_stuck(code: int, last_words: str) -> None:
    """Faust's threads are not daemons: one that waits for a dead broker must not keep the process."""
    stuck = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon and t.is_alive()]
    deadline = time.monotonic() + 1.0
    for thread in stuck:
        thread.join(timeout=max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in stuck):
        sys.stderr.write(last_words)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


__all__ = ["run_worker"]
