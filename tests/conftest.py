"""One Kafka for the whole session: the embedded one, or any cluster named by KAFKA_BOOTSTRAP."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest

from stream.broker import EmbeddedKafka, TopicSpec, ensure_topics


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where pytest runs in two processes, tests that start servers stay in one of them, and each file in one piece."""
    for item in items:
        folder = item.path.parent.name
        group = "servers" if folder in {"kafka", "deploy"} else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


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
