"""Stopping a consumer without a group, so that it always stops."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer

_PATIENCE_S = 0.3


async def stop(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, also one whose assignment changed a moment ago.

    aiokafka 0.14 cancels its fetching task once and waits for its end; while that task clears up after a change of the
    assignment it swallows the cancellation and would run for ever. So it is cancelled until it ends.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    try:
        while not (await asyncio.wait({stopping}, timeout=_PATIENCE_S))[0]:
            consumer._fetcher._fetch_task.cancel()
        stopping.result()
    except asyncio.CancelledError:
        consumer._fetcher._fetch_task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await stopping
        raise
