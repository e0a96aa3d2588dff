"""What a member of the group holds, and how far it got: pure bookkeeping, no Kafka.

A lease is one assignment under one generation of the group. Everything fetched carries its lease; work that outlives
it is thrown away. The fetching thread writes `delivered_*`, the event loop writes the rest, so no lock is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stream.events import Record


@dataclass(slots=True, eq=False)
class Lease:
    """The partitions of one assignment.

    Attributes
    ----------
    expected
        Next offset to accept, of each partition that is ready; others are still recovering.
    acked
        Offset below which everything is decided and durable.
    durable
        Offset that the broker confirmed as committed under this lease.
    over
        Nothing more is accepted: revoked, lost or stopping.
    lost
        Another member may own the partitions already: publish nothing, commit nothing.
    """

    generation: int
    member_id: str
    partitions: frozenset[int]
    expected: dict[int, int] = field(default_factory=dict)
    acked: dict[int, int] = field(default_factory=dict)
    durable: dict[int, int] = field(default_factory=dict)
    last_timestamp: dict[int, int] = field(default_factory=dict)
    over: bool = False
    lost: bool = False
    delivered_records: int = 0
    delivered_bytes: int = 0
    taken_records: int = 0
    taken_bytes: int = 0

    def start(self, partition: int, offset: int) -> None:
        """Begin a recovered partition at its committed offset."""
        self.acked[partition] = offset
        self.durable[partition] = offset
        self.expected[partition] = offset

    def room(self, records: int, size: int) -> int:
        """How many more records may be held in memory, given the bounds in records and bytes."""
        if self.delivered_bytes - self.taken_bytes >= size:
            return 0
        return max(0, records - (self.delivered_records - self.taken_records))

    def uncommitted(self) -> dict[int, int]:
        """Partitions whose acked offset is ahead of the committed one."""
        return {p: offset for p, offset in self.acked.items() if offset > self.durable[p]}

    def confirm(self, offsets: dict[int, int]) -> None:
        """Take over a commit that the broker confirmed."""
        for partition, offset in offsets.items():
            self.durable[partition] = max(self.durable[partition], offset)


@dataclass(slots=True, eq=False)
class Delivery:
    """A run of consecutive records of one partition."""

    lease: Lease
    partition: int
    records: Sequence[Record]
    size: int


class Group(Protocol):
    """What the engine needs to know and do about its membership."""

    def holds(self, lease: Lease) -> bool:
        """Whether the coordinator still knows this member under the lease's generation."""

    def heartbeat_age(self) -> float:
        """Seconds since the last heartbeat that the coordinator answered well."""

    async def commit_lease(self, lease: Lease, offsets: dict[int, int]) -> bool:
        """Commit once; True only for a successful answer under the lease's generation."""

    async def committed(self, partitions: Sequence[int]) -> dict[int, int]:
        """Committed offsets of the group; a partition without one is left out."""

    async def resume(self, lease: Lease, partition: int, offset: int) -> None:
        """Let the fetching of a recovered partition begin at an offset."""

    def end_offset(self, partition: int) -> int | None:
        """End of the partition's log as the last fetch saw it."""
