"""What must be true before the worker joins its group; each fault is one sentence, within seconds."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError, for_code

from stream.codec.lenient import Mapping
from stream.codec.money import Rates
from stream.codec.tokens import token_key
from stream.decide import check_decision
from stream.errors import BrokerError, SettingError
from stream.profile import load_profile
from stream.recovery import Source, expired
from stream.rules import rules_of
from stream.settings import Settings


@dataclass(frozen=True, slots=True)
class Topics:
    """What the broker said about our topics."""

    partitions: int
    source: Source


def check_files(settings: Settings) -> None:
    """Read what the settings name and needs no broker: stream profile, rules, thresholds, token key, rates, mapping.

    Raises
    ------
    SettingError
        One of them is wrong.
    """
    check_decision(settings.decision)
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
    counts: dict[str, int] = {}
    described = {topic["name"]: topic for topic in admin.describe_topics(list(wanted.values()))}
    for setting, name in wanted.items():
        counts[setting] = _partitions(setting, name, described.get(name))
    for setting in ("alerts", "dead_letters"):
        if counts[setting] != counts["transactions"]:
            raise SettingError(
                f"topics.{setting} {wanted[setting]!r} has {counts[setting]} partitions and topics.transactions "
                f"{names.transactions!r} has {counts['transactions']}; they must be equal: make the topic anew"
            )
    committed = _group_offsets(settings, admin)
    known = {tp: meta.offset for tp, meta in committed.items() if tp.topic == names.transactions and meta.offset >= 0}
    _check_offsets(
        settings, admin, {tp: offset for tp, offset in known.items() if tp.partition < counts["transactions"]}
    )
    topic_id = str(described[names.transactions].get("topic_id") or "")
    if not topic_id.replace("-", "").strip("0"):  # a broker before topic ids: the cluster must do
        topic_id = f"{admin.describe_cluster()['cluster_id']}/{names.transactions}"
    return Topics(counts["transactions"], Source(topic_id, fresh=not known, partitions=counts["transactions"]))


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
