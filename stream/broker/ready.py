"""Whether a Kafka answers: a metadata request that names a broker, not merely an open port."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaAdminClient
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

UNREACHABLE = (KafkaConnectionError, KafkaTimeoutError, OSError)


def answers(bootstrap: str, cluster: str | None = None, timeout: float = 5.0) -> bool:
    """Tell whether the Kafka at `bootstrap` answers a metadata request.

    Parameters
    ----------
    bootstrap
        ``host:port``.
    cluster
        Its cluster id, when only that Kafka will do: another one may have taken the port.
    timeout
        Seconds to wait for the answer.
    """
    host, _, port = bootstrap.rpartition(":")
    patience = int(timeout * 1000)
    try:
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return False
    with quiet():
        try:
            admin = KafkaAdminClient(
                bootstrap_servers=bootstrap, request_timeout_ms=patience, bootstrap_timeout_ms=patience
            )
        except UNREACHABLE:
            return False
        try:
            found = admin.describe_cluster()
        except (KafkaError, OSError):
            return False
        finally:
            admin.close()
    if cluster is not None and found["cluster_id"] != cluster:
        return False
    return any(not broker.get("is_fenced") for broker in found["brokers"])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep kafka-python from logging each refused connection; the caller says what it means."""
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
