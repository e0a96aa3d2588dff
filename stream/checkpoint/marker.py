"""The last record of a checkpoint: where it stands, what it belongs to, and what it must hold."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from stream.checkpoint.block import BlockError
from stream.errors import SettingError

FORMAT = 1
REMEDY = "start once with --state rebuild (replay what the topic holds) or --state empty (begin blind)"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a state belongs to; any other state must not be mixed with it.

    Attributes
    ----------
    group
        The consumer group whose offsets the state goes with.
    topic_id, partitions
        The source topic.
    features
        Version of the features that fill the rows.
    layout
        Hash of the rows' layouts.
    decoding
        Hash of everything that turns records into keys and amounts.
    """

    group: str
    topic_id: str
    partitions: int
    features: str
    layout: str
    decoding: str


@dataclass(frozen=True, slots=True)
class TableMark:
    """What a table must hold: blocks, slots in use, checksum over the blocks' checksums."""

    blocks: int
    used: int
    crc: int


@dataclass(frozen=True, slots=True)
class SmallMark:
    """What a small state must be: pieces, bytes, checksum."""

    pieces: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class TipMark:
    """Tip of the chain of alerts when the sweep began."""

    epoch: int
    sequence: int
    hash: str
    decided_until: int


@dataclass(frozen=True, slots=True)
class Marker:
    """A checkpoint.

    Attributes
    ----------
    offset
        First source record that is not in the state; the replay begins there.
    committed
        The group's offset when the checkpoint was written, never before `offset`.
    side_offset
        First feedback record that is not in the state.
    watermark
        Of the partition, ms.
    incarnation
        Of the arena; blocks of another one do not count.
    written_at
        Wall clock, ms.
    """

    offset: int
    committed: int
    side_offset: int
    watermark: int
    alerts: TipMark
    identity: Identity
    incarnation: int
    tables: Mapping[str, TableMark]
    small: Mapping[str, SmallMark]
    written_at: int

    def encode(self) -> bytes:
        """As JSON, with a checksum."""
        body = {"format": FORMAT, **asdict(self)}
        return _json({**body, "checksum": zlib.crc32(_json(body))})

    def check_group(self, ours: Identity, topic: str, partition: int) -> None:
        """Refuse to read or replace what another group keeps.

        Raises
        ------
        SettingError
            Names the group.
        """
        if self.identity.group != ours.group:
            raise SettingError(
                f"topics.checkpoints {topic!r} holds the state of kafka.group {self.identity.group!r} (partition "
                f"{partition}), not of {ours.group!r}; give each group a checkpoint topic of its own"
            )

    def check(self, ours: Identity, topic: str, partition: int) -> None:
        """Refuse a checkpoint of something else.

        Raises
        ------
        SettingError
            Names the first difference and the remedy.
        """
        theirs, where = self.identity, f"the checkpoint of {topic}[{partition}]"
        if theirs.topic_id != ours.topic_id:
            raise SettingError(f"{where} belongs to a topic that was since made anew under the same name; {REMEDY}")
        if theirs.partitions != ours.partitions:
            raise SettingError(
                f"{where} was written when the topic had {theirs.partitions} partitions and it has {ours.partitions}: "
                f"cards may have moved between them; {REMEDY}"
            )
        if theirs.features != ours.features or theirs.layout != ours.layout:
            raise SettingError(
                f"{where} was written with features {theirs.features} (rows {theirs.layout[:8]}) and this version has "
                f"{ours.features} (rows {ours.layout[:8]}); {REMEDY}"
            )
        if theirs.decoding != ours.decoding:
            raise SettingError(
                f"{where} was written under another security.token_key, engine.base_currency or [mapping]; "
                f"set it back, or {REMEDY}"
            )

    def check_offsets(self, begin: int, committed: int, topic: str, partition: int) -> None:
        """Refuse a checkpoint from which the log cannot lead to the group's offset.

        Raises
        ------
        SettingError
            The log was truncated past the checkpoint, or the group's offset lies before it.
        """
        where = f"the checkpoint of {topic}[{partition}]"
        if self.offset < begin:
            raise SettingError(
                f"{where} stands at offset {self.offset} and the log begins only at {begin}: records between expired; "
                f"{REMEDY}, and let the topic keep its records for longer"
            )
        if self.offset > committed:
            raise SettingError(
                f"{where} stands at offset {self.offset}, after the group's offset {committed}, which was set back; "
                f"set it to {self.offset} or later, or {REMEDY}"
            )


def decode(value: bytes | None, name: str) -> Marker:
    """Read a marker.

    Raises
    ------
    BlockError
        It is damaged, or of another format.
    """
    try:
        body = json.loads(value or b"")
        checksum = body.pop("checksum")
        if body.pop("format") != FORMAT:
            raise BlockError(f"{name} is of a format that this version does not know; {REMEDY}")
        if zlib.crc32(_json({"format": FORMAT, **body})) != checksum:
            raise BlockError(f"{name} is damaged: its checksum is another; {REMEDY}")
        body["alerts"], body["identity"] = TipMark(**body["alerts"]), Identity(**body["identity"])
        body["tables"] = {table: TableMark(**mark) for table, mark in body["tables"].items()}
        body["small"] = {small: SmallMark(**mark) for small, mark in body["small"].items()}
        return Marker(**body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BlockError(f"{name} is damaged: {error!r}; {REMEDY}") from None


def _json(body: object) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
