"""What a search in memory costs is waiting and wrong guesses: ask for words ahead, compare a cache line at once."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

WORD = 8
LINE = 8  # words of a cache line
UPPER = ~0xFFFFFFFF  # the upper half of a word


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


@intrinsic
def alike(context: Any, words: Any, index: Any, value: Any, mask: Any) -> Any:
    """Which of the `LINE` words from ``words[index]`` on equal `value` in the bits of `mask`: one bit each, int64."""
    del context

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = make_array(signature.args[0])(context, builder, args[0])
        word, lanes = ir.IntType(64), ir.VectorType(ir.IntType(64), LINE)

        def spread(scalar: Any) -> Any:
            undefined = ir.Constant(lanes, ir.Undefined)
            first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
            order = ir.Constant(ir.VectorType(ir.IntType(32), LINE), [0] * LINE)
            return builder.shuffle_vector(first, undefined, order)

        place = builder.gep(builder.bitcast(array.data, word.as_pointer()), [args[1]])
        line = builder.load(builder.bitcast(place, lanes.as_pointer()), align=WORD)
        bits = builder.icmp_unsigned("==", builder.and_(line, spread(args[3])), spread(args[2]))
        return builder.zext(builder.bitcast(bits, ir.IntType(LINE)), word)

    return types.int64(words, types.int64, types.int64, types.int64), generate


@intrinsic
def lowest(context: Any, bits: Any) -> Any:
    """Number of the lowest bit that is set; one of them is."""
    del context

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate
