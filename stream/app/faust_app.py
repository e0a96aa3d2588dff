"""The Faust application: one topic of chunks, one agent that hands them to the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager

from stream.settings import Settings
from stream.transport.consumer import ChunkSchema, Listener, Transport
from stream.transport.lease import Delivery


class QuietMonitor(faust.Monitor):
    """Faust's monitor without its work per message; ours counts once per batch."""

    def on_message_in(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def on_message_out(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def on_stream_event_in(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def on_stream_event_out(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def on_topic_buffer_full(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""


class NoTables(TableManager):
    """Faust waits a second for tables to be registered; there are none."""

    async def on_start(self) -> None:
        """Open the way for the conductor at once."""
        await self._update_channels()
        await self.recovery.start()


class ConsumerOnly(BootStrategy):
    """Starts no producer of Faust's (it is not idempotent, its flush is none) and no web server."""

    enable_kafka_producer = False
    enable_web = False


class FraudApp(faust.App):
    """A Faust app on our transport."""

    BootStrategy = ConsumerOnly
    listener: Listener

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Make none: nothing of Faust's is kept on disk."""


def build(settings: Settings, listener: Listener, accept: Callable[[Delivery], None]) -> FraudApp:
    """Make the app; its agent passes each chunk on and does nothing else.

    Parameters
    ----------
    settings
        Group, broker and topics.
    listener
        Told about assignments and failures.
    accept
        Receives each chunk, on the event loop.
    """
    app = FraudApp(
        settings.kafka.group,
        broker=[f"kafka://{server}" for server in settings.kafka.bootstrap.split(",")],
        store="memory://",
        cache="memory://",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        value_serializer="raw",
        worker_redirect_stdouts=False,
        stream_wait_empty=False,
        broker_commit_interval=3600.0,  # the engine commits
        Monitor=QuietMonitor,
        TableManager=NoTables,
    )
    app.listener = listener
    source = app.topic(settings.topics.transactions, schema=ChunkSchema(), maxsize=64)

    async def score(stream: Any) -> None:
        async for delivery in stream.noack():
            accept(delivery)

    app.agent(source, name="score")(score)
    return app
