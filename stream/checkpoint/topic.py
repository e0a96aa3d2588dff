"""The checkpoint topic as the broker has it: whether it is compacted, how large its log is."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from stream.broker.ready import quiet
from stream.errors import SettingError

_PATIENCE_MS = 3000


def check_compacted(admin: KafkaAdminClient, topic: str) -> None:
    """Refuse a topic that does not keep the last record of every key.

    Raises
    ------
    SettingError
        Its ``cleanup.policy`` is not ``compact`` alone.
    """
    policy = _config(admin, topic, "cleanup.policy")
    if policy is not None and policy != "compact":
        raise SettingError(
            f"topics.checkpoints {topic!r} has cleanup.policy={policy}, which loses blocks of the state or keeps every "
            "old one; set it to compact"
        )


def retention_s(admin: KafkaAdminClient, topic: str) -> float:
    """How long a topic keeps its records, s; infinite when for good, or when the broker does not say."""
    value = _config(admin, topic, "retention.ms")
    return int(value) / 1000 if value is not None and value.isdigit() else math.inf


def log_bytes(bootstrap: str, topic: str, partitions: Collection[int]) -> int | None:
    """Bytes of some partitions' logs, one copy of each; None where the broker does not say."""
    with contextlib.suppress(KafkaError, OSError, ValueError), quiet():
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            client_id="fraudstream-checkpoint",
            request_timeout_ms=_PATIENCE_MS,
            bootstrap_timeout_ms=_PATIENCE_MS,
        )
        try:
            sizes: dict[int, int] = {}
            for broker in admin.describe_log_dirs([topic]):
                for directory in broker.get("log_dirs", [broker]):
                    _count(directory, topic, sizes)
            return sum(size for partition, size in sizes.items() if partition in partitions)
        finally:
            admin.close()
    return None


def _count(directory: dict[str, Any], topic: str, sizes: dict[int, int]) -> None:
    for entry in directory.get("topics", ()):
        if entry.get("name", entry.get("topic")) == topic:
            for partition in entry["partitions"]:
                number = partition.get("partition_index", partition.get("partition"))
                size = partition.get("partition_size", partition.get("size", 0))
                sizes[number] = max(sizes.get(number, 0), size)


def _config(admin: KafkaAdminClient, topic: str, name: str) -> str | None:
    """One setting of a topic; None where the broker does not tell it (rights)."""
    with contextlib.suppress(KafkaError):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, [name])
        found = admin.describe_configs([resource], config_filter="all")
        for names in found.values():
            entry = names.get(topic, {}).get(name)
            if entry is not None:
                return str(entry["value"] if isinstance(entry, dict) else entry)
    return None
