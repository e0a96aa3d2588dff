"""Three brokers of the embedded kind that are one cluster: each in a folder and a process of its own."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kafka import KafkaAdminClient

from stream.broker.embedded import EmbeddedKafka
from stream.broker.ports import free_ports

HEAP_MB = 320  # each
CLUSTER_ID = "dGhyZWUtYnJva2Vycy1oZQ"
REPLICATED = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "broker.session.timeout.ms": "3000",
}


class Node(EmbeddedKafka):
    """One of three: its ports are known before it starts, so that the others can vote with it."""

    def __init__(self, directory: Path, number: int, ports: list[list[int]]) -> None:
        voters = ",".join(f"{i}@127.0.0.1:{controller}" for i, (_, controller) in enumerate(ports, start=1))
        settings = {"node.id": str(number), "controller.quorum.voters": voters, **REPLICATED}
        super().__init__(directory, heap_mb=HEAP_MB, overrides=settings, cluster_id=CLUSTER_ID, owned=True)
        self.number = number
        self.directory.mkdir(parents=True)
        self._write_record(ports[number - 1])

    def signal(self, number: signal.Signals) -> None:
        """Freeze or thaw it."""
        self._process.signal(number)


class Cluster:
    """Three brokers; a majority keeps it going."""

    def __init__(self, directory: Path) -> None:
        flat = free_ports(6)
        ports = [flat[i : i + 2] for i in (0, 2, 4)]
        self.nodes = [Node(directory / f"node-{number}", number, ports) for number in (1, 2, 3)]
        self.bootstrap = ",".join(f"127.0.0.1:{broker}" for broker, _ in ports)

    def start(self) -> str:
        """Start all at once: none answers before two of them vote."""
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda node: node.start(), self.nodes))
        return self.bootstrap

    def stop(self) -> None:
        """End all of them, frozen or not."""
        for node in self.nodes:
            node.signal(signal.SIGCONT)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda node: node.kill() if node.status().pid else None, self.nodes))

    def leader(self, topic: str, partition: int = 0) -> Node:
        """The broker that leads a partition now."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","))
        try:
            (found,) = admin.describe_topics([topic])
        finally:
            admin.close()
        leader = next(p["leader_id"] for p in found["partitions"] if p["partition_index"] == partition)
        return self.nodes[leader - 1]
