"""How the codec's loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


def native(function: _Function) -> _Function:
    """Compile on first use, for arrays that the caller owns; the interpreter lock is free meanwhile.

    Numba counts references to every array it hands from function to function, which costs more than all the reading of
    a message; a loop that makes no array needs no counting.
    """
    compiled: _Function = njit(nogil=True, _nrt=False)(function)
    return compiled


def native_cached(function: _Function) -> _Function:
    """As `native`, kept on disk until the function's file changes: for functions that call none of another file."""
    try:
        compiled: _Function = njit(cache=True, nogil=True, _nrt=False)(function)
    except RuntimeError:  # no folder can be written: every process compiles anew
        return native(function)
    return compiled
