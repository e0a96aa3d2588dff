"""The group's committed offsets, as a third client sees them: they never go back."""

from __future__ import annotations

import contextlib
import threading

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from stream.broker.ready import quiet
from stream.settings import Settings

LOOK_S = 0.2


def committed(settings: Settings) -> dict[int, int]:
    """Offsets of the group by partition."""
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap.split(","))
    try:
        found = admin.list_group_offsets(settings.kafka.group)[settings.kafka.group]
        return {tp.partition: meta.offset for tp, meta in found.items() if tp.topic == settings.topics.transactions}
    finally:
        admin.close()


class CommitWatch(threading.Thread):
    """Looks at the offsets again and again; `rewinds` tells of each that went back."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="commit-watch", daemon=True)
        self._settings = settings
        self._stopping = threading.Event()
        self.rewinds: list[str] = []
        self.looks = 0

    def run(self) -> None:
        """Look until told to stop; a broker that is away says nothing."""
        seen: dict[int, int] = {}
        while not self._stopping.wait(LOOK_S):
            with quiet(), contextlib.suppress(KafkaError, OSError, KeyError):
                for partition, offset in committed(self._settings).items():
                    if offset < seen.get(partition, 0):
                        self.rewinds.append(f"partition {partition} from {seen[partition]} to {offset}")
                    seen[partition] = offset
                self.looks += 1

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self.is_alive():
            self.join(15)
