"""librdkafka's mock Kafka cluster, on real TCP ports, with error injection; driven through ctypes.

It lives inside confluent-kafka's wheel. It knows no CreateTopics and no admin, but groups, idempotent producers and
offsets; a request's next answers can be replaced by error codes.
"""

from __future__ import annotations

import ctypes as c
from pathlib import Path

import confluent_kafka

HEARTBEAT, JOIN_GROUP, SYNC_GROUP, OFFSET_COMMIT = 12, 11, 14, 8
REBALANCE_IN_PROGRESS, INVALID_REQUEST, ILLEGAL_GENERATION, UNKNOWN_MEMBER = 27, 42, 22, 25


def _library() -> c.CDLL:
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    lib = c.CDLL(str(next(folder.glob("librdkafka*.so*"))))
    pointer, text = c.c_void_p, c.c_char_p
    signatures = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_new": (pointer, [c.c_int, pointer, text, c.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, c.c_int]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (c.c_int, [pointer, text, c.c_int, c.c_int]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, c.c_int32]),
        "rd_kafka_mock_push_request_errors_array": (None, [pointer, c.c_int16, c.c_size_t, c.POINTER(c.c_int)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class MockCluster:
    """One broker with some topics."""

    def __init__(self, topics: dict[str, int]) -> None:
        self._lib = _library()
        error = c.create_string_buffer(512)
        self._client = self._lib.rd_kafka_new(0, self._lib.rd_kafka_conf_new(), error, 512)
        assert self._client, error.value
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._client, 1)
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)
        for topic, partitions in topics.items():
            assert self._lib.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1) == 0
        self.bootstrap: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def fail_next(self, request: int, *codes: int) -> None:
        """Answer the next requests of a kind with these error codes."""
        self._lib.rd_kafka_mock_push_request_errors_array(
            self._cluster, request, len(codes), (c.c_int * len(codes))(*codes)
        )

    def close(self) -> None:
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._client)
