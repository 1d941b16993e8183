"""What the compiled kernels need and numba does not offer: SIMD loops over two rows of float32, prefetching, addresses.

The loops are LLVM vectors of 8 lanes, which every target has or splits (AVX: one register; NEON, SSE: two). Left to
itself, LLVM guards a loop over two rows with checks for overlap and for short rows, and a row has 32 to 128 floats only.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic

LANES = 8  # floats in a vector
UNROLL = 4  # independent vectors per turn of the main loop: hides the latency of the multiply-add
FLOAT = ir.FloatType()
WORD = ir.IntType(32)
FLOAT_BYTES = 4

intrinsic: Any = numba_intrinsic  # inside a kernel they are called without the typing context, which mypy cannot know

# Multiply and add may become one instruction; nothing else is loosened.
FMA = ("contract",)


def _multiply_add(builder: Any, x: Any, y: Any, z: Any) -> Any:
    return builder.fadd(builder.fmul(x, y, flags=FMA), z, flags=FMA)


def _splat(builder: Any, scalar: Any, kind: Any) -> Any:
    """A value of type `kind` with `scalar` in every lane."""
    if kind is FLOAT:
        return scalar
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(WORD, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(WORD, LANES), [0] * LANES))


def _lane_sum(builder: Any, vector: Any) -> Any:
    """The sum of the 8 lanes, folding halves onto each other."""
    width = LANES
    while width > 1:
        width //= 2
        mask = ir.VectorType(WORD, width)
        low = builder.shuffle_vector(vector, vector, ir.Constant(mask, list(range(width))))
        high = builder.shuffle_vector(vector, vector, ir.Constant(mask, list(range(width, 2 * width))))
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.Constant(WORD, 0))


def _row_loops(builder: Any, x: Any, y: Any, length: Any, body: Callable[[Any, list[Any]], None]) -> None:
    """Walks two rows at addresses `x` and `y`: 4 vectors at a time, then one, then single floats.

    `body(kind, pairs)` emits the code for pairs of pointers to values of type `kind`.
    """
    index = length.type

    def number(value: int) -> Any:
        return ir.Constant(index, value)

    vector = ir.VectorType(FLOAT, LANES)
    start = number(0)
    for kind, floats, unroll in ((vector, LANES, UNROLL), (vector, LANES, 1), (FLOAT, 1, 1)):
        step = floats * unroll
        stop = builder.and_(length, number(-step))  # steps are powers of 2
        with cgutils.for_range_slice(builder, start, stop, number(step), index) as (position, _):
            offset = builder.mul(position, number(FLOAT_BYTES))
            offsets = [builder.add(offset, number(k * floats * FLOAT_BYTES)) for k in range(unroll)]
            pointer = ir.PointerType(kind)
            body(kind, [tuple(builder.inttoptr(builder.add(row, o), pointer) for row in (x, y)) for o in offsets])
        start = stop


@intrinsic
def dot(typing_context: Any, x: Any, y: Any, length: Any) -> Any:
    """<x, y>, float32, of two rows of `length` floats at the addresses `x` and `y`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(FLOAT, LANES)
        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES)) for _ in range(UNROLL)]
        rest = cgutils.alloca_once_value(builder, ir.Constant(FLOAT, 0.0))

        def body(kind: Any, pairs: list[Any]) -> None:
            for (p, q), total in zip(pairs, [rest] if kind is FLOAT else sums, strict=False):
                a, b = builder.load(p, align=FLOAT_BYTES), builder.load(q, align=FLOAT_BYTES)
                builder.store(_multiply_add(builder, a, b, builder.load(total)), total)

        x, y, length = arguments
        _row_loops(builder, x, y, length, body)
        a, b, c, d = (builder.load(total) for total in sums)
        lanes = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
        return builder.fadd(_lane_sum(builder, lanes), builder.load(rest))

    return types.float32(types.intp, types.intp, types.intp), generate


@intrinsic
def descend(typing_context: Any, x: Any, y: Any, length: Any, keep: Any, step: Any) -> Any:
    """x, y = keep * x + step * y, keep * y + step * x, in place, for two rows of `length` floats at addresses `x`, `y`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, y, length, keep, step = arguments

        def body(kind: Any, pairs: list[Any]) -> None:
            factor, rate = _splat(builder, keep, kind), _splat(builder, step, kind)
            loaded = [(p, q, builder.load(p, align=FLOAT_BYTES), builder.load(q, align=FLOAT_BYTES)) for p, q in pairs]
            for p, q, a, b in loaded:  # all loads before the first store, which might alias them for all LLVM knows
                builder.store(_multiply_add(builder, rate, b, builder.fmul(factor, a)), p, align=FLOAT_BYTES)
                builder.store(_multiply_add(builder, rate, a, builder.fmul(factor, b)), q, align=FLOAT_BYTES)

        _row_loops(builder, x, y, length, body)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.float32, types.float32), generate


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Asks for the cache line at `address`: a hint, which may name any address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, WORD, WORD, WORD])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        write, keep_in_all_levels, data = (ir.Constant(WORD, value) for value in (1, 3, 1))
        builder.call(function, [builder.inttoptr(arguments[0], pointer), write, keep_in_all_levels, data])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic
def floats_at(typing_context: Any, address: Any) -> Any:
    """A pointer to the float32 values at `address`, which can be indexed. Whoever calls keeps their owner alive."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.PointerType(FLOAT))

    return types.CPointer(types.float32)(types.intp), generate
