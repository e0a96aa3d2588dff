"""A partition's records into transactions, tokens and columns; what is none becomes a dead letter, alone."""

from __future__ import annotations

import bisect
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from stream.codec.columns import FIELDS, columns_from_parsed, concat, fields_of, take
from stream.codec.lenient import Mapping, read_object, transaction_from
from stream.codec.masking import PAYLOAD_MAX, mask_payload, mask_text
from stream.codec.money import Rates
from stream.codec.parsed import Parsed, parse
from stream.codec.roles import CARD_ROLES, Roles
from stream.codec.rows import Rows
from stream.codec.scan import Scanner
from stream.codec.tokens import Tokens, token_key
from stream.errors import DecodeError
from stream.events import I64, TP, Columns, DeadLetter, Record, Transaction
from stream.settings import Settings

log = logging.getLogger("fraudstream.codec")
MESSAGE_MAX = 1 << 20  # bytes; no transaction is larger, and decoding one costs many times its size in memory
_CAREFUL_ABOVE = 8192  # bytes; larger ones may hold oversized ids and take the careful way


@dataclass(slots=True)
class Decoded:
    """What one chunk held.

    Parameters
    ----------
    rows, cards, columns
        The good transactions, decoded on access, their card tokens and columns (n,); ``columns.slot`` is -1.
    index
        Position of each good row in the records (n,).
    dead
        The others, in the records' order.
    """

    rows: Sequence[Transaction]
    cards: list[str]
    columns: Columns
    index: I64
    dead: list[DeadLetter]


def dead_letter(record: Record, tp: TP, stage: str, error: str) -> DeadLetter:
    """Describe a record that could not be processed, without any card number."""
    value = record.value or b""
    return DeadLetter(
        topic=tp.topic,
        partition=tp.partition,
        offset=record.offset,
        timestamp=record.timestamp if record.timestamp is not None else -1,
        stage=stage,
        error=mask_text(error.encode("utf-8", "replace").decode())[:300],
        payload=mask_payload(value)[:PAYLOAD_MAX],
        payload_size=len(value),
        payload_sha256=hashlib.sha256(value).hexdigest(),
    )


class Codec:
    """Decodes with the settings' mapping, currency table and token key.

    Parameters
    ----------
    roles
        Which field of the stream plays which part.

    Raises
    ------
    SettingError
        The mapping, the rates or the key file are wrong.
    """

    def __init__(self, settings: Settings, roles: Roles = CARD_ROLES) -> None:
        key, self.ephemeral_key = token_key(settings.security)
        self.tokens = Tokens(key)
        self.rates = Rates(settings.engine.rates, settings.engine.base_currency)
        self._skew_ms = round(settings.engine.clock_skew_s * 1000)
        mapping = settings.mapping
        mapped = bool(mapping.fields or mapping.constants or mapping.amount_unit != "major") or not roles.plain
        self._roles = roles
        self._read: Callable[[bytes], Transaction]
        self._read = Mapping(mapping, self.rates, roles) if mapped else msgspec.json.Decoder(Transaction).decode
        self._careful: Callable[[bytes], Transaction]
        self._careful = self._read if mapped else lambda value: transaction_from(read_object(value))
        names = self._read.plain_names if isinstance(self._read, Mapping) else {name: name for name in FIELDS}
        self._scanner = Scanner(names, self.rates, roles.memos) if names else None

    def decode(self, records: Sequence[Record], tp: TP) -> Decoded:
        """Decode one chunk; see `decode_chunks`."""
        return self.decode_chunks([(records, tp)])[0]

    def decode_chunks(self, chunks: Sequence[tuple[Sequence[Record], TP]]) -> list[Decoded]:
        """Decode several partitions' chunks in one pass; never raises for what a record holds.

        Plain messages go through the scan. Others are decoded one by one: joined into one list, a hostile one could
        shift the rows of the others. Should a whole pass fail, each record is tried alone.
        """
        try:
            return self._decode(chunks)
        except Exception:
            log.exception("a batch could not be decoded as a whole; its records are tried one by one")
        return [self._salvage(records, tp) for records, tp in chunks]

    def _decode(self, chunks: Sequence[tuple[Sequence[Record], TP]]) -> list[Decoded]:
        ends = np.cumsum([len(records) for records, _ in chunks]).tolist()
        records = chunks[0][0] if len(chunks) == 1 else [record for some, _ in chunks for record in some]

        def tp_of(i: int) -> TP:
            return chunks[bisect.bisect_right(ends, i)][1]

        dead: dict[int, DeadLetter] = {}
        if self._scanner is None:
            parsed, cards = Parsed.blank(len(records)), [""] * len(records)
            known = self._one_by_one(records, range(len(records)), tp_of, dead)
        else:
            scanned = self._scanner.scan([record.value for record in records])
            parsed, cards = scanned.parsed, scanned.cards
            known = self._one_by_one(records, scanned.declined, tp_of, dead)
            self._scanner.learn(known[i] for i in scanned.new_words if i in known)
        if known:
            parsed.put(
                np.fromiter(known, np.int64, len(known)),
                parse(fields_of(list(known.values())), self.rates, self._roles.memos),
            )
            for i, row in known.items():
                cards[i] = row.card_id
        index = np.arange(len(records))
        if dead:
            index = np.delete(index, list(dead))
            parsed, cards = parsed.take(index), [cards[i] for i in index.tolist()]
        good = self._validate(tp_of, Rows(records, index, known, self._row), parsed, cards, dead)
        return _split(*good, dead, ends)

    def _salvage(self, records: Sequence[Record], tp: TP) -> Decoded:
        """Decode a chunk whose batch failed, so that only the culprit is lost."""
        dead, done, index = [], self._decode([((), tp)]), []
        for i, record in enumerate(records):
            try:
                (one,) = self._decode([((record,), tp)])
            except Exception as error:  # this one record is the culprit
                dead.append(dead_letter(record, tp, "decode", str(error) or type(error).__name__))
            else:
                dead += one.dead
                done.append(one)
                index += [i] * len(one.cards)
        rows = [row for one in done for row in one.rows]
        columns = concat([one.columns for one in done])
        return Decoded(rows, [card for one in done for card in one.cards], columns, np.array(index, np.int64), dead)

    def _one_by_one(
        self,
        records: Sequence[Record],
        positions: Sequence[int],
        tp_of: Callable[[int], TP],
        dead: dict[int, DeadLetter],
    ) -> dict[int, Transaction]:
        known: dict[int, Transaction] = {}
        for i in positions:
            try:
                known[i] = self._row(records[i].value)
            except Exception as error:  # whatever one message provokes is its own
                stage = error.stage if isinstance(error, DecodeError) else "decode"
                dead[i] = dead_letter(records[i], tp_of(i), stage, str(error) or type(error).__name__)
        return known

    def _row(self, value: bytes | None) -> Transaction:
        if not value or len(value) > _CAREFUL_ABOVE:
            return self._second_look(value)
        try:
            return self._read(value)
        except Exception:  # looked at again, with the careful way's errors
            return self._second_look(value)

    def _second_look(self, value: bytes | None) -> Transaction:
        if not value:
            raise DecodeError("decode", "empty value")
        if len(value) > MESSAGE_MAX:
            raise DecodeError("decode", f"a message of {len(value)} bytes is larger than {MESSAGE_MAX}")
        return self._careful(value)

    def _validate(
        self,
        tp_of: Callable[[int], TP],
        rows: Rows,
        parsed: Parsed,
        card_ids: list[str],
        dead: dict[int, DeadLetter],
    ) -> tuple[Rows, list[str], Columns]:
        """Apply the rules on the fields; rows that break one join the dead."""
        cards = list(map(self.tokens.__getitem__, card_ids))
        columns, problems = columns_from_parsed(
            parsed, rows.append_times(), lambda i: rows[i].currency, skew_ms=self._skew_ms, roles=self._roles
        )
        columns.card_key = self.tokens.keys_of(cards)
        if "" in cards:
            problems.update(
                {i: f"{self._roles.name('card_id')} is empty" for i, token in enumerate(cards) if not token}
            )
        if problems:
            for i, error in problems.items():
                at = int(rows.positions[i])
                dead[at] = dead_letter(rows.record(i), tp_of(at), "validate", error)
            keep = np.delete(np.arange(len(rows)), list(problems))
            rows, cards = rows.kept(keep), [cards[i] for i in keep.tolist()]
            columns = take(columns, keep)
        return rows, cards, columns


def _split(
    rows: Rows, cards: list[str], columns: Columns, dead: dict[int, DeadLetter], ends: Sequence[int]
) -> list[Decoded]:
    """Part what was decoded in one pass into its chunks, which end at these positions."""
    found: list[Decoded] = []
    cuts = np.searchsorted(rows.positions, ends).tolist()
    start = low = 0
    for end, high in zip(ends, cuts, strict=True):
        own = rows if len(ends) == 1 else rows.kept(slice(low, high))
        part = columns if len(ends) == 1 else take(columns, slice(low, high))
        letters = [dead[i] for i in sorted(dead) if start <= i < end]
        found.append(Decoded(own, cards[low:high], part, own.positions - start, letters))
        start, low = end, high
    return found
