"""The generated loop: found again in the cache, content with any folder, strict about what it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import columns_from

from stream.advance import Book, advance, new_arena
from stream.features import FAMILIES, driver
from stream.features.driver import Program


def test_second_program_comes_from_the_cache() -> None:
    advance(new_arena(), columns_from(0), Book())
    again = Program(FAMILIES)._compiled().loop
    assert sum(again.stats.cache_hits.values()) == 1
    assert sum(again.stats.cache_misses.values()) == 0


def test_generated_file_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = driver._written("loop", "x = 1\n")
    stamp = path.stat().st_mtime_ns
    assert path.is_relative_to(tmp_path)
    assert driver._written("loop", "x = 1\n").stat().st_mtime_ns == stamp
    assert [file.name for file in path.parent.iterdir()] == ["loop.py"]


def test_tampered_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    driver._written("loop", "x = 1\n").write_text("x = 2\n", encoding="utf-8")
    assert driver._written("loop", "x = 1\n").read_text(encoding="utf-8") == "x = 1\n"


def test_unwritable_cache_is_replaced_by_a_private_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    path = driver._written("loop", "x = 1\n")
    assert path.read_text(encoding="utf-8") == "x = 1\n"
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "array", [np.zeros(2, np.int32), np.zeros(4, np.int64)[::2], np.frombuffer(bytes(16), np.int64)]
)
def test_wrong_column_is_named(array: np.ndarray) -> None:
    arena, columns = new_arena(), columns_from(2)
    columns.amount_minor = array
    with pytest.raises(TypeError, match="column amount_minor must be a writable, contiguous array of int64"):
        advance(arena, columns, Book())
