"""Topics, made once and checked ever after, on the embedded Kafka or any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from stream.broker.ready import UNREACHABLE, quiet
from stream.errors import BrokerError, SettingError
from stream.settings import TopicSettings

DEFAULT_PARTITIONS = 8
_LARGEST_MESSAGE = str(12 * 1024 * 1024)
_APPENDED = "LogAppendTime"
_HOUR_MS = 3600 * 1000
_SWEPT_SEGMENT = 8 << 20  # bytes; the checkpoint of a partition has tens to hundreds of megabytes
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True)
class TopicSpec:
    """What a topic shall be.

    Parameters
    ----------
    partitions
        Number of partitions.
    config
        Topic settings in Kafka's own names.
    replication
        Copies of each partition; -1 leaves it to the cluster's default.
    """

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    replication: int = -1


def product_topics(partitions: int = DEFAULT_PARTITIONS, names: TopicSettings | None = None) -> dict[str, TopicSpec]:
    """Return fraudstream's topics, all with the same number of partitions; those without a name are left out.

    Transactions carry the log's append time, against which clock skew is judged. Alerts and feedback are kept for
    good: the tail of the alerts says what was decided already, and their chain is verified from the first record on.
    What happens to accounts is looked back at for 30 days.
    Of checkpoints only the newest blocks are kept; of profiles the last two days by hour and six weeks by day, but
    nothing goes within an hour, so that who follows them misses none.
    """
    names = names or TopicSettings()
    compacted = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "delete.retention.ms": "60000"}
    # only closed segments are compacted: small ones, and none stays open for long
    swept = {**compacted, "segment.bytes": str(_SWEPT_SEGMENT), "max.compaction.lag.ms": str(_HOUR_MS // 6)}
    told = {**compacted, "segment.bytes": str(64 << 20), "min.compaction.lag.ms": str(_HOUR_MS)}
    large = {"max.message.bytes": _LARGEST_MESSAGE}
    topics = {
        names.transactions: TopicSpec(partitions, {**large, "message.timestamp.type": _APPENDED}),
        names.alerts: TopicSpec(partitions, {**large, "retention.ms": "-1", "message.timestamp.type": _APPENDED}),
        names.dead_letters: TopicSpec(partitions, {**large, "retention.ms": str(30 * _DAY_MS)}),
        names.feedback: TopicSpec(partitions, {"retention.ms": "-1"}),
        names.events: TopicSpec(partitions, {"retention.ms": str(40 * _DAY_MS), "message.timestamp.type": _APPENDED}),
        names.checkpoints: TopicSpec(partitions, {**large, **swept}),
        names.profiles: TopicSpec(partitions, {**large, **told}),
    }
    return {name: spec for name, spec in topics.items() if name}


def ensure_topics(bootstrap: str, topics: Mapping[str, TopicSpec], *, timeout: float = 15.0) -> list[str]:
    """Make the topics that are missing and wait until they can be written.

    Returns
    -------
    list of str
        The names that were made by this call.

    Raises
    ------
    SettingError
        A topic exists with another number of partitions.
    BrokerError
        Kafka does not answer at `bootstrap`, or refused a topic.
    """
    patience = int(timeout * 1000)
    try:
        with quiet():
            admin = KafkaAdminClient(
                bootstrap_servers=bootstrap, request_timeout_ms=patience, bootstrap_timeout_ms=patience
            )
    except UNREACHABLE as error:
        raise BrokerError(f"no Kafka answers at {bootstrap}; start one or correct the address") from error
    try:
        missing = _missing(admin, topics)
        made = [name for name in missing if _create(admin, name, topics[name])]
        admin.wait_for_topics(list(topics), timeout_ms=patience)
        _missing(admin, topics)  # another maker may have been quicker, with another number of partitions
    except KafkaError as error:
        raise BrokerError(f"Kafka at {bootstrap} refused the topics: {error}") from error
    finally:
        admin.close()
    return made


def _missing(admin: KafkaAdminClient, topics: Mapping[str, TopicSpec]) -> list[str]:
    found = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics() if topic["name"] in topics}
    for name, count in found.items():
        if count != topics[name].partitions:
            raise SettingError(
                f"topic {name} has {count} partitions where {topics[name].partitions} are asked for; "
                f"ask for {count} or delete the topic"
            )
    return [name for name in topics if name not in found]


def _create(admin: KafkaAdminClient, name: str, spec: TopicSpec) -> bool:
    options = {
        "num_partitions": spec.partitions,
        "replication_factor": spec.replication,
        "configs": dict(spec.config),
    }
    try:
        admin.create_topics({name: options})
    except TopicAlreadyExistsError:
        return False
    return True
