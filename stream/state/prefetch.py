"""Ask the processor for a word before it is needed: with many rows, waiting for memory is what finding one costs."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

WORD = 8


@intrinsic
def prefetch(context: Any, words: Any, index: Any) -> Any:
    """Begin to load the cache line around ``words[index]`` of an array of 64-bit words, for reading."""
    del context

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = make_array(signature.args[0])(context, builder, args[0])
        byte = ir.IntType(8).as_pointer()
        offset = builder.mul(args[1], context.get_constant(types.intp, WORD))
        address = builder.gep(builder.bitcast(array.data, byte), [offset])
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(fetch, [address, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(words, index), generate
