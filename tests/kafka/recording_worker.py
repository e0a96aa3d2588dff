"""A real worker that also writes down the features of every transaction as its models get them.

FRAUDSTREAM_RECORD=FILE python -m tests.kafka.recording_worker …   (the options of `fraudstream worker`)
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from stream.pipeline import Outcome, Pipeline, Prepared
from tests.kafka import worker_process

_HEAD = struct.Struct("<IIII")  # partition, rows, features, numbers of a window

Rows = dict[tuple[int, int], tuple[bytes, bytes]]


def read(path: Path) -> Rows:
    """Features and window of each transaction by partition and offset, as bytes; only what is written whole."""
    data, at, rows = path.read_bytes() if path.exists() else b"", 0, Rows()
    while at + _HEAD.size <= len(data):
        partition, n, wide, deep = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + n * (8 + 4 * (wide + deep))
        if end > len(data):
            break
        offsets = np.frombuffer(data, "<i8", n, at + _HEAD.size).tolist()
        first = at + _HEAD.size + 8 * n
        for i, offset in enumerate(offsets):
            x, s = first + 4 * wide * i, first + 4 * wide * n + 4 * deep * i
            rows[partition, offset] = data[x : x + 4 * wide], data[s : s + 4 * deep]
        at = end
    return rows


def write(file: Any, prepared: Prepared) -> None:
    """Note the parts of a micro-batch."""
    low = 0
    for part in prepared.parts:
        n = len(part.decoded.index)
        X, S = prepared.X[low : low + n], prepared.S[low : low + n].reshape(n, -1)
        offsets = np.array([part.records[i].offset for i in part.decoded.index.tolist()], "<i8")
        head = _HEAD.pack(part.tp.partition, n, X.shape[1], S.shape[1])
        file.write(head + offsets.tobytes() + X.tobytes() + S.tobytes())
        low += n
    file.flush()


def main() -> None:
    """Run the worker's own command; every batch is noted before it is scored."""
    file = Path(os.environ.pop("FRAUDSTREAM_RECORD")).open("ab")  # noqa: SIM115 - as long as the process
    complete = Pipeline.complete

    def noted(self: Pipeline, prepared: Prepared) -> list[Outcome]:
        write(file, prepared)
        return complete(self, prepared)

    Pipeline.complete = noted  # type: ignore[method-assign]
    worker_process.main()


if __name__ == "__main__":
    main()
