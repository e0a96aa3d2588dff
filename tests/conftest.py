"""One Kafka for the whole session: the embedded one, or any cluster named by KAFKA_BOOTSTRAP."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest

from stream.broker import EmbeddedKafka, TopicSpec, ensure_topics


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a real Kafka."""
    named = os.environ.get("KAFKA_BOOTSTRAP")
    if named:
        yield named
        return
    broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), owned=True)
    yield broker.start()
    broker.stop()


@pytest.fixture
def new_topic(kafka: str) -> Callable[..., str]:
    """Make topics with names that no other test has: ``new_topic(partitions=4, config={...}) -> name``."""

    def make(stem: str = "test", partitions: int = 1, config: dict[str, str] | None = None) -> str:
        name = f"{stem}.{uuid.uuid4().hex[:12]}"
        ensure_topics(kafka, {name: TopicSpec(partitions, config or {})})
        return name

    return make
