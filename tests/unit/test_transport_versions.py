"""The private names of faust and aiokafka that the transport relies on still exist, and mean what they meant."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import faust.transport.consumer
from aiokafka.consumer import fetcher, group_coordinator
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faust.transport.drivers import aiokafka as driver

from stream.transport.consumer import BatchConsumer
from stream.transport.thread import BatchThread


def test_the_versions_are_those_that_were_read() -> None:
    assert (version("faust-streaming"), version("aiokafka")) == ("0.15.3", "0.14.0")


def test_what_we_override_is_there() -> None:
    for ours, stock in ((BatchConsumer, driver.Consumer), (BatchThread, driver.AIOKafkaConsumerThread)):
        for name in ("_drain_messages", "wait_empty", "perform_seek", "verify_all_partitions_active", "commit"):
            if name in vars(ours):
                assert hasattr(stock, name), name
    assert "_create_worker_consumer" in vars(driver.AIOKafkaConsumerThread)
    assert "_new_consumer_thread" in vars(driver.Consumer)
    assert "self._active_partitions" in inspect.getsource(faust.transport.consumer.Consumer.on_partitions_revoked)


def test_a_commit_request_is_built_before_anything_is_awaited() -> None:
    source = inspect.getsource(group_coordinator.GroupCoordinator._do_commit_offsets)
    assert source.index("self.generation") < source.index("await ")


def test_the_coordinator_parks_until_its_error_is_consumed() -> None:
    names = vars(group_coordinator.GroupCoordinator)
    assert {"check_errors", "_do_heartbeat", "request_rejoin", "fetch_committed_offsets", "reset_generation"} <= set(
        names
    )
    assert "_error_consumed_fut" in inspect.getsource(names["check_errors"])


def test_the_fetcher_takes_partitions_a_timeout_and_a_limit() -> None:
    assert list(inspect.signature(fetcher.Fetcher.fetched_records).parameters) == [
        "self",
        "partitions",
        "timeout",
        "max_records",
    ]
    assert list(inspect.signature(fetcher.Fetcher._proc_fetch_request).parameters)[1:] == [
        "assignment",
        "node_id",
        "request",
    ]
    assert "except asyncio.CancelledError" in inspect.getsource(fetcher.Fetcher._proc_fetch_request)
    assert hasattr(StickyPartitionAssignor, "on_generation_assignment")
