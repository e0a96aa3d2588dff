"""Long protocols in pieces: on every core, with a time estimate, kept on disk so that a second start goes on.

A piece's answer depends on its name, its arguments and the program's text alone; a change of either makes it new.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(".run") / "evaluate"


@dataclass(frozen=True, slots=True)
class Piece:
    """One call whose answer is a JSON object.

    Parameters
    ----------
    name
        Of this piece, once among all.
    work, arguments
        A function of a module, and what it takes; files count by name and size.
    """

    name: str
    work: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]


def in_pieces(
    protocol: str, pieces: Sequence[Piece], sources: Sequence[ModuleType], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Work through the pieces, in order of the answer; those that an earlier start finished are read.

    Parameters
    ----------
    protocol
        Names the file that keeps the answers, under ``.run/evaluate`` of the working folder.
    pieces
        What to do; progress is said once in a while.
    sources
        The modules that an answer depends on: when their text changes, kept answers no longer count.
    """
    kept = FOLDER / f"{protocol}.jsonl"
    known = dict(_read(kept))
    text = b"".join(Path(str(module.__file__)).read_bytes() for module in sources)
    marks = [_mark(piece, text) for piece in pieces]
    left = [(mark, piece) for mark, piece in zip(marks, pieces, strict=True) if mark not in known]
    if len(left) < len(pieces):
        say(f"{len(pieces) - len(left)} of {len(pieces)} pieces were done before and are read from {kept}")
    begun, last = time.monotonic(), 0.0
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as stream:
        for number, (mark, name, answer) in enumerate(_answers(left), 1):
            known[mark] = answer
            stream.write(json.dumps({"mark": mark, "answer": answer}) + "\n")
            stream.flush()
            spent = time.monotonic() - begun
            if spent - last > 15 or number == len(left):
                last = spent
                minutes = spent / number * (len(left) - number) / 60
                say(f"{name}: {number} of {len(left)} pieces, about {minutes:.0f} minutes left; Ctrl-C keeps them")
    return [known[mark] for mark in marks]


def _answers(left: Sequence[tuple[str, Piece]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    workers = min(_cores(), len(left))
    if workers < 2:
        for mark, piece in left:
            yield mark, piece.name, piece.work(*piece.arguments)
        return
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are started now: one core each
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(piece.work, *piece.arguments): (mark, piece.name) for mark, piece in left}
        try:
            for future in as_completed(futures):
                yield (*futures[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            os.environ.pop("OMP_NUM_THREADS") if before is None else os.environ.update(OMP_NUM_THREADS=before)


def _cores() -> int:
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else os.cpu_count() or 1


def _read(path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # the last line of a run that was killed while it wrote
            continue
        yield row["mark"], row["answer"]


def _mark(piece: Piece, text: bytes) -> str:
    told = "|".join([piece.name, piece.work.__qualname__, *map(_told, piece.arguments)])
    return hashlib.sha256(told.encode() + text).hexdigest()[:24]


def _told(argument: object) -> str:
    if isinstance(argument, Path):
        state = argument.stat()
        return f"{argument.name} {state.st_size}"
    return repr(argument)
