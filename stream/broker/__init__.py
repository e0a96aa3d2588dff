"""The embedded Apache Kafka: a real broker on a machine that has nothing but Python.

`EmbeddedKafka` starts and stops one per folder, `ensure_topics` makes topics on any Kafka.
"""

from stream.broker.embedded import BrokerStatus, EmbeddedKafka
from stream.broker.topics import TopicSpec, ensure_topics, product_topics

__all__ = ["BrokerStatus", "EmbeddedKafka", "TopicSpec", "ensure_topics", "product_topics"]
