"""What a round of each drill does to the workers; every round ends with one worker that holds all partitions."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from stream.broker import EmbeddedKafka
from stream.broker.cluster import Cluster
from stream.drill.crew import Crew, WorkerHand
from stream.errors import FraudstreamError

BEYOND_SESSION_S = 5.0
DOWN_S = 2.0
IN_FLIGHT_S = 0.4


@dataclass
class Scene:
    """Who is on stage: the present worker, and how long each recovery took."""

    crew: Crew
    worker: WorkerHand
    partitions: int
    session_s: float
    rng: random.Random
    kafka: EmbeddedKafka | Cluster | None
    alerts: str
    recoveries: list[float] = field(default_factory=list)

    def wait_a_moment(self) -> None:
        """A random while, so that the blow falls anywhere in a batch, a commit or a recovery."""
        time.sleep(self.rng.uniform(0.2, 3.0))

    def begin_again(self) -> None:
        """Start the next worker and note how long it took until it was less than a second behind."""
        self.worker = self.crew.start_worker()
        self.recoveries.append(self.worker.wait_caught_up())


def kill(scene: Scene, number: int) -> None:
    """SIGKILL at a random moment; every third time the successor is killed too, in the midst of its recovery."""
    scene.wait_a_moment()
    scene.worker.kill()
    if number % 3 == 2:
        scene.worker = scene.crew.start_worker()
        time.sleep(scene.rng.uniform(1.0, 2.0) + scene.session_s)
        scene.worker.kill()
    scene.begin_again()


def term(scene: Scene, number: int) -> None:
    """SIGTERM at a random moment: it has to end with success, nothing left in flight."""
    scene.wait_a_moment()
    scene.worker.stop()
    scene.begin_again()


def rebalance(scene: Scene, number: int) -> None:
    """A second worker joins; then it leaves, or is frozen beyond its session and comes back, or the first leaves."""
    first, told = scene.worker, len(scene.worker.readies())
    second = scene.crew.start_worker()
    half = scene.partitions // 2
    second.wait_ready(half)
    first.wait_ready(scene.partitions - half, after=told)
    scene.wait_a_moment()
    if number % 3 == 1:
        _freeze(scene, first, second)
    leaving, staying = (first, second) if number % 3 == 2 else (second, first)
    told = len(staying.readies())
    leaving.stop()
    began = time.monotonic()
    staying.wait_ready(scene.partitions, after=told)
    scene.recoveries.append(time.monotonic() - began)
    scene.worker = staying


def _freeze(scene: Scene, first: WorkerHand, second: WorkerHand) -> None:
    """SIGSTOP beyond the session: the other takes over; SIGCONT: what was in flight must change nothing."""
    told, before = len(first.readies()), len(second.readies())
    second.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        first.wait_ready(scene.partitions, after=told)
        scene.recoveries.append(time.monotonic() - began)
        time.sleep(max(0.0, scene.session_s + BEYOND_SESSION_S - (time.monotonic() - began)))
    finally:
        second.signal(signal.SIGCONT)
    second.wait_ready(scene.partitions // 2, after=before)


def zombie(scene: Scene, number: int) -> None:
    """Three brokers. A worker is frozen with alerts in flight; or the broker that leads the alerts is, for too long."""
    if not isinstance(scene.kafka, Cluster):
        raise FraudstreamError("the zombie drill needs its three brokers: leave --bootstrap out")
    leader = scene.kafka.leader(scene.alerts)
    if number % 2:
        leader.signal(signal.SIGSTOP)
        try:
            time.sleep(2 * scene.session_s + BEYOND_SESSION_S)  # longer than the rebalance timeout
        finally:
            leader.signal(signal.SIGCONT)
        began = time.monotonic()
        scene.worker.wait_caught_up()
        scene.recoveries.append(time.monotonic() - began)
        return
    frozen, successor = scene.worker, scene.crew.start_worker()
    successor.wait_ready(scene.partitions // 2)
    told, before = len(successor.readies()), len(frozen.readies())
    leader.signal(signal.SIGSTOP)
    time.sleep(IN_FLIGHT_S)  # what is told now waits for the broker, and lies in its socket when the worker freezes
    frozen.signal(signal.SIGSTOP)
    leader.signal(signal.SIGCONT)
    began = time.monotonic()
    try:
        successor.wait_ready(scene.partitions, after=told)
        scene.recoveries.append(time.monotonic() - began)
        time.sleep(max(0.0, scene.session_s + BEYOND_SESSION_S - (time.monotonic() - began)))
    finally:
        frozen.signal(signal.SIGCONT)
    frozen.wait_ready(scene.partitions // 2, after=before)
    told = len(successor.readies())
    frozen.stop()
    successor.wait_ready(scene.partitions, after=told)
    scene.worker = successor


def broker(scene: Scene, number: int) -> None:
    """Stop the broker, killed every second time, and start it again; the worker lives through it or is started anew."""
    if not isinstance(scene.kafka, EmbeddedKafka):
        raise FraudstreamError("the broker drill stops its broker: leave --bootstrap out, so that it starts one")
    scene.wait_a_moment()
    if number % 2:
        scene.kafka.kill()
    else:
        scene.kafka.stop()
    time.sleep(DOWN_S)
    began = time.monotonic()
    scene.kafka.start()
    time.sleep(scene.session_s)
    if scene.worker.alive:
        scene.worker.wait_caught_up()
        scene.recoveries.append(time.monotonic() - began)
    else:
        scene.begin_again()


KINDS: dict[str, Callable[[Scene, int], None]] = {
    "kill": kill,
    "term": term,
    "rebalance": rebalance,
    "broker": broker,
    "zombie": zombie,
}
