"""What must be true before the worker joins its group; each fault is one sentence, within seconds."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError, for_code

from stream.checkpoint.identity import keeps_checkpoints
from stream.checkpoint.topic import check_compacted, retention_s
from stream.codec.lenient import Mapping
from stream.codec.money import Rates
from stream.codec.tokens import token_key
from stream.decide import check_decision
from stream.errors import BrokerError, SettingError
from stream.profile import load_profile
from stream.recovery import Source, expired
from stream.rules import rules_of
from stream.settings import Settings
from stream.sides.events import check_events

log = logging.getLogger("fraudstream.start")
_WITHOUT = {
    "profiles": "merchants and terminals are known from this worker's partitions alone",
    "feedback": "no label is read",
}


@dataclass(frozen=True, slots=True)
class Topics:
    """What the broker said about our topics."""

    partitions: int
    source: Source
    retention_s: float = math.inf
    sides: frozenset[str] = frozenset()  # of profiles and feedback those that are there
    checkpoints: bool = False


def check_files(settings: Settings) -> None:
    """Read what the settings name and needs no broker: stream profile, rules, thresholds, token key, rates, mapping.

    Raises
    ------
    SettingError
        One of them is wrong.
    """
    check_decision(settings.decision)
    check_events(settings)
    profile = load_profile(settings.engine.profile)
    rules_of(profile, settings.decision.rules)
    token_key(settings.security)
    Mapping(settings.mapping, Rates(settings.engine.rates, settings.engine.base_currency), profile.roles)


def check_broker(settings: Settings) -> Topics:
    """Ask the broker for the topics and the group's offsets.

    Raises
    ------
    BrokerError
        The broker does not answer within `kafka.connect_timeout_s`.
    SettingError
        A topic is missing, or alerts or dead letters have another number of partitions than the transactions.
    """
    kafka = settings.kafka
    patience = int(kafka.connect_timeout_s * 1000)
    client = logging.getLogger("kafka")
    level = client.level
    client.setLevel(logging.CRITICAL)  # it logs every refused connection; the sentence below says it once
    admin = None
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=kafka.bootstrap.split(","),
            client_id="fraudstream-start",
            request_timeout_ms=patience,
            bootstrap_timeout_ms=patience,
        )
        return _check_topics(settings, admin)
    except (KafkaError, OSError, ValueError) as error:
        raise BrokerError(
            f"kafka.bootstrap {kafka.bootstrap!r} cannot be reached ({type(error).__name__}: {error}); "
            "start the broker or correct the address"
        ) from None
    finally:
        if admin is not None:
            admin.close()
        client.setLevel(level)


def _check_topics(settings: Settings, admin: KafkaAdminClient) -> Topics:
    names = settings.topics
    wanted = {"transactions": names.transactions, "alerts": names.alerts, "dead_letters": names.dead_letters}
    if len(set(wanted.values())) < len(wanted):
        raise SettingError("settings topics.transactions, topics.alerts and topics.dead_letters must be three topics")
    checkpoints = keeps_checkpoints(settings) and _there(admin, names.checkpoints)
    if checkpoints:
        wanted["checkpoints"] = names.checkpoints
    counts: dict[str, int] = {}
    described = {topic["name"]: topic for topic in admin.describe_topics(list(wanted.values()))}
    for setting, name in wanted.items():
        counts[setting] = _partitions(setting, name, described.get(name))
    for setting in [name for name in wanted if name != "transactions"]:
        if counts[setting] != counts["transactions"]:
            raise SettingError(
                f"topics.{setting} {wanted[setting]!r} has {counts[setting]} partitions and topics.transactions "
                f"{names.transactions!r} has {counts['transactions']}; they must be equal: make the topic anew"
            )
    if "checkpoints" in wanted:
        check_compacted(admin, names.checkpoints)
    committed = _group_offsets(settings, admin)
    known = {tp: meta.offset for tp, meta in committed.items() if tp.topic == names.transactions and meta.offset >= 0}
    _check_offsets(
        settings, admin, {tp: offset for tp, offset in known.items() if tp.partition < counts["transactions"]}
    )
    topic_id = str(described[names.transactions].get("topic_id") or "")
    if not topic_id.replace("-", "").strip("0"):  # a broker before topic ids: the cluster must do
        topic_id = f"{admin.describe_cluster()['cluster_id']}/{names.transactions}"
    source = Source(topic_id, fresh=not known, partitions=counts["transactions"])
    sides = _sides(settings, admin, counts["transactions"])
    return Topics(counts["transactions"], source, retention_s(admin, names.transactions), sides, checkpoints)


def _there(admin: KafkaAdminClient, checkpoints: str) -> bool:
    """Whether the topic of checkpoints exists; without it the state is rebuilt, which takes longer and is as right."""
    topic = next(iter(admin.describe_topics([checkpoints])), None)
    if topic is None or int(topic.get("error_code") or 0) == 3:
        log.warning(
            "topics.checkpoints %r does not exist: no checkpoint is kept, state is rebuilt by replay; make it "
            "(fraudstream broker topics), or set topics.checkpoints to an empty text",
            checkpoints,
        )
        return False
    return True


def _sides(settings: Settings, admin: KafkaAdminClient, partitions: int) -> frozenset[str]:
    """Which of the topics beside the source are there; one that is missing costs features, not the start."""
    wanted = {"profiles": settings.topics.profiles, "feedback": settings.topics.feedback}
    others = {settings.topics.transactions, settings.topics.alerts, settings.topics.dead_letters}
    there: set[str] = set()
    for setting, name in wanted.items():
        if not name:
            continue
        if name in others:
            raise SettingError(f"setting topics.{setting} {name!r} names a topic of another purpose; name its own")
        others.add(name)
        topic = next(iter(admin.describe_topics([name])), None)
        if topic is None or int(topic.get("error_code") or 0) == 3:
            mend = f"make it with {partitions} partitions, or set topics.{setting} to an empty text"
            log.warning("topics.%s %r does not exist: %s; %s", setting, name, _WITHOUT[setting], mend)
            continue
        count = _partitions(setting, name, topic)
        if count != partitions:
            raise SettingError(
                f"topics.{setting} {name!r} has {count} partitions and topics.transactions has {partitions}; "
                "they must be equal: make the topic anew"
            )
        there.add(setting)
    return frozenset(there)


def _check_offsets(settings: Settings, admin: KafkaAdminClient, known: dict[Any, int]) -> None:
    """Compare the group's offsets with what the log holds."""
    begins = admin.list_partition_offsets(dict.fromkeys(known, OffsetSpec.EARLIEST)) if known else {}
    ends = admin.list_partition_offsets(dict.fromkeys(known, OffsetSpec.LATEST)) if known else {}
    for tp, offset in known.items():
        if not begins[tp].offset <= offset <= ends[tp].offset:
            raise expired(settings, tp.partition, offset, begins[tp].offset, ends[tp].offset)


def _group_offsets(settings: Settings, admin: KafkaAdminClient) -> dict[Any, Any]:
    """Offsets of the group; a broker that is still finding its coordinator gets `kafka.connect_timeout_s`."""
    group = settings.kafka.group
    deadline = time.monotonic() + settings.kafka.connect_timeout_s
    while True:
        try:
            return dict(admin.list_group_offsets(group).get(group, {}))
        except KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _partitions(setting: str, name: str, topic: dict[str, Any] | None) -> int:
    code = 3 if topic is None else int(topic.get("error_code") or 0)
    if topic is None or code == 3:
        raise SettingError(f"topics.{setting} {name!r} does not exist on the broker; make it or correct the name")
    if code:
        raise SettingError(
            f"topics.{setting} {name!r} cannot be used ({for_code(code).__name__}); correct the name or the rights"
        )
    return len(topic["partitions"])
