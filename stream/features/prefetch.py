"""Rows as memory: asked for before they are needed, since waiting is what a transaction costs, and wiped whole."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

LINE = 64  # bytes that the processor fetches at once


@intrinsic
def prefetch(context: Any, rows: Any, index: Any) -> Any:
    """Begin to load the row at `index` of a one-dimensional structured array, for writing."""
    del context

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = make_array(signature.args[0])(context, builder, args[0])
        byte = ir.IntType(8).as_pointer()
        size = context.get_constant(types.intp, signature.args[0].dtype.size)
        base = builder.bitcast(array.data, byte)
        start = builder.gep(base, [builder.mul(args[1], size)])
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        for offset in range(0, signature.args[0].dtype.size, LINE):
            place = builder.gep(start, [context.get_constant(types.intp, offset)])
            builder.call(fetch, [place, word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(rows, index), generate


KEPT = 8  # bytes at the start of a row that outlive it: its key


@intrinsic
def wipe(context: Any, rows: Any, index: Any) -> Any:
    """Zero the row at `index` but for its key, which is its first field."""
    del context

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = make_array(signature.args[0])(context, builder, args[0])
        size = signature.args[0].dtype.size
        base = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        row = builder.gep(base, [builder.mul(args[1], context.get_constant(types.intp, size))])
        start = builder.gep(row, [context.get_constant(types.intp, KEPT)])
        cgutils.memset(builder, start, context.get_constant(types.intp, size - KEPT), 0)
        return context.get_dummy_value()

    return types.void(rows, index), generate
