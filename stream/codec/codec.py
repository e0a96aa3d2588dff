"""A partition's records into transactions, tokens and columns; what is none becomes a dead letter, alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from stream.codec.columns import columns_from, fields_of, take
from stream.codec.lenient import Mapping, read_object, transaction_from
from stream.codec.masking import PAYLOAD_MAX, mask_payload, mask_text
from stream.codec.money import Rates
from stream.codec.tokens import Tokens, token_key
from stream.errors import DecodeError
from stream.events import I64, TP, Columns, DeadLetter, Record, Transaction
from stream.settings import Settings

MESSAGE_MAX = 1 << 20  # bytes; no transaction is larger, and decoding one costs many times its size in memory
_CAREFUL_ABOVE = 8192  # bytes; larger ones may hold oversized ids and take the careful way


@dataclass(slots=True)
class Decoded:
    """What one chunk held.

    Parameters
    ----------
    rows, cards, columns
        The good transactions, their card tokens and their columns (n,); ``columns.slot`` is -1.
    index
        Position of each good row in the records (n,).
    dead
        The others, in the records' order.
    """

    rows: list[Transaction]
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

    Raises
    ------
    SettingError
        The mapping, the rates or the key file are wrong.
    """

    def __init__(self, settings: Settings) -> None:
        key, self.ephemeral_key = token_key(settings.security)
        self.tokens = Tokens(key)
        self.rates = Rates(settings.engine.rates, settings.engine.base_currency)
        self._skew_ms = round(settings.engine.clock_skew_s * 1000)
        mapping = settings.mapping
        mapped = bool(mapping.fields or mapping.constants or mapping.amount_unit != "major")
        self._read: Callable[[bytes], Transaction]
        self._read = Mapping(mapping, self.rates) if mapped else msgspec.json.Decoder(Transaction).decode
        self._careful: Callable[[bytes], Transaction]
        self._careful = self._read if mapped else lambda value: transaction_from(read_object(value))

    def decode(self, records: Sequence[Record], tp: TP) -> Decoded:
        """Decode one chunk; never raises for what a record holds.

        Messages are decoded one by one: joined into one list, a hostile one could shift the rows of the others.
        """
        rows: list[Transaction] = []
        index: list[int] = []
        dead: list[tuple[int, DeadLetter]] = []
        read, limit = self._read, _CAREFUL_ABOVE
        for i, record in enumerate(records):
            value = record.value
            try:
                row = read(value) if value and len(value) <= limit else self._second_look(value)
            except Exception:  # whatever one message provokes is looked at again, alone
                try:
                    row = self._second_look(value)
                except Exception as error:
                    stage = error.stage if isinstance(error, DecodeError) else "decode"
                    dead.append((i, dead_letter(record, tp, stage, str(error) or type(error).__name__)))
                    continue
            rows.append(row)
            index.append(i)
        try:
            return self._validate(records, tp, rows, index, dead)
        except Exception:  # something that no check foresaw: find the culprit by validating one at a time
            return self._one_by_one(records, tp, rows, index, dead)

    def _one_by_one(
        self,
        records: Sequence[Record],
        tp: TP,
        rows: list[Transaction],
        index: list[int],
        dead: list[tuple[int, DeadLetter]],
    ) -> Decoded:
        kept_rows, kept_index, dead = [], [], list(dead)
        for row, i in zip(rows, index, strict=True):
            try:
                self._validate(records, tp, [row], [i], [])
            except Exception as error:  # this one record is it
                dead.append((i, dead_letter(records[i], tp, "validate", str(error) or type(error).__name__)))
            else:
                kept_rows.append(row)
                kept_index.append(i)
        return self._validate(records, tp, kept_rows, kept_index, dead)

    def _second_look(self, value: bytes | None) -> Transaction:
        if not value:
            raise DecodeError("decode", "empty value")
        if len(value) > MESSAGE_MAX:
            raise DecodeError("decode", f"a message of {len(value)} bytes is larger than {MESSAGE_MAX}")
        return self._careful(value)

    def _validate(
        self,
        records: Sequence[Record],
        tp: TP,
        rows: list[Transaction],
        index: list[int],
        dead: list[tuple[int, DeadLetter]],
    ) -> Decoded:
        given = fields_of(rows)
        cards = list(map(self.tokens.__getitem__, given["card_id"]))
        stamps = [records[i].timestamp for i in index]
        append_time = np.array([-1 if stamp is None else stamp for stamp in stamps], np.int64)
        columns, problems = columns_from(given, append_time, rates=self.rates, skew_ms=self._skew_ms)
        if "" in cards:
            problems.update({i: "card_id is empty" for i, token in enumerate(cards) if not token})
        if problems:
            dead = dead + [
                (index[i], dead_letter(records[index[i]], tp, "validate", error)) for i, error in problems.items()
            ]
            keep = [i for i in range(len(rows)) if i not in problems]
            rows, cards, index = [rows[i] for i in keep], [cards[i] for i in keep], [index[i] for i in keep]
            columns = take(columns, np.array(keep, np.int64))
        letters = [letter for _, letter in sorted(dead, key=lambda entry: entry[0])]
        return Decoded(rows, cards, columns, np.array(index, np.int64), letters)
