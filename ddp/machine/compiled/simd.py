"""SIMD loops over rows of float32, for compiled kernels. numba offers none.

The loops use LLVM vectors of 8 lanes. Every target has such a vector or splits it (AVX: one
register; NEON, SSE: two). A plain numba loop would be slower: LLVM guards a loop over two rows with
checks for overlap and for short rows, and a row has only 32 to 128 floats.
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
DOUBLE = ir.DoubleType()
VECTOR = ir.VectorType(FLOAT, LANES)
DOUBLES = ir.VectorType(DOUBLE, LANES)
WORD = ir.IntType(32)
FLOAT_BYTES = 4

# kernels call an intrinsic without the typing context, which mypy cannot know
intrinsic: Any = numba_intrinsic

# Multiply and add may become one instruction; nothing else is loosened.
FMA = ("contract",)


def multiply_add(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, in one instruction if the processor has it."""
    return builder.fadd(builder.fmul(x, y, flags=FMA), z, flags=FMA)


def splat(builder: Any, scalar: Any, kind: Any) -> Any:
    """A value of type `kind` with `scalar` in every lane."""
    if kind is scalar.type:
        return scalar
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(WORD, 0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(WORD, LANES), [0] * LANES)
    )


def lane_sum(builder: Any, vector: Any) -> Any:
    """The sum of the 8 lanes, folding halves onto each other."""
    width = LANES
    while width > 1:
        width //= 2
        mask = ir.VectorType(WORD, width)
        low = builder.shuffle_vector(vector, vector, ir.Constant(mask, list(range(width))))
        high = builder.shuffle_vector(
            vector, vector, ir.Constant(mask, list(range(width, 2 * width)))
        )
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.Constant(WORD, 0))


def _loops(builder: Any, length: Any, body: Callable[[Any, list[Any]], None]) -> None:
    """A loop over `length` floats: 4 vectors at a time, then one, then single floats.

    `body(kind, offsets)` emits the code for the values of type `kind` at these offsets in bytes.
    """
    index = length.type

    def number(value: int) -> Any:
        return ir.Constant(index, value)

    start = number(0)
    for kind, floats, unroll in ((VECTOR, LANES, UNROLL), (VECTOR, LANES, 1), (FLOAT, 1, 1)):
        step = floats * unroll
        stop = builder.and_(length, number(-step))  # steps are powers of 2
        with cgutils.for_range_slice(builder, start, stop, number(step), index) as (position, _):
            offset = builder.mul(position, number(FLOAT_BYTES))
            body(
                kind, [builder.add(offset, number(k * floats * FLOAT_BYTES)) for k in range(unroll)]
            )
        start = stop


def _row_loops(
    builder: Any, x: Any, y: Any, length: Any, body: Callable[[Any, list[Any]], None]
) -> None:
    """A loop over the rows at the addresses `x` and `y`.

    `body(kind, pairs)` emits the code for pairs of pointers to the type `kind`.
    """

    def at(row: Any, offset: Any, kind: Any) -> Any:
        return pointer(builder, builder.add(row, offset), kind)

    def pairs_at(kind: Any, offsets: list[Any]) -> None:
        body(kind, [(at(x, offset, kind), at(y, offset, kind)) for offset in offsets])

    _loops(builder, length, pairs_at)


def pointer(builder: Any, address: Any, kind: Any) -> Any:
    """A pointer to a value of type `kind` at this address."""
    return builder.inttoptr(address, ir.PointerType(kind))


@intrinsic
def dot(typing_context: Any, x: Any, y: Any, length: Any) -> Any:
    """<x, y>, float32, of two rows of `length` floats at the addresses `x` and `y`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums = [
            cgutils.alloca_once_value(builder, ir.Constant(VECTOR, None)) for _ in range(UNROLL)
        ]
        rest = cgutils.alloca_once_value(builder, ir.Constant(FLOAT, None))

        def body(kind: Any, pairs: list[Any]) -> None:
            for (p, q), total in zip(pairs, [rest] if kind is FLOAT else sums, strict=False):
                a, b = builder.load(p, align=FLOAT_BYTES), builder.load(q, align=FLOAT_BYTES)
                builder.store(multiply_add(builder, a, b, builder.load(total)), total)

        x, y, length = arguments
        _row_loops(builder, x, y, length, body)
        a, b, c, d = (builder.load(total) for total in sums)
        lanes = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
        return builder.fadd(lane_sum(builder, lanes), builder.load(rest))

    return types.float32(types.intp, types.intp, types.intp), generate


@intrinsic
def descend(typing_context: Any, x: Any, y: Any, length: Any, keep: Any, step: Any) -> Any:
    """x, y = keep * x + step * y, keep * y + step * x, in place.

    x and y are the two rows of `length` floats at the addresses `x` and `y`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, y, length, keep, step = arguments

        def body(kind: Any, pairs: list[Any]) -> None:
            factor, rate = splat(builder, keep, kind), splat(builder, step, kind)
            loaded = [
                (p, q, builder.load(p, align=FLOAT_BYTES), builder.load(q, align=FLOAT_BYTES))
                for p, q in pairs
            ]
            # all loads before the first store, which might alias them for all LLVM knows
            for p, q, a, b in loaded:
                builder.store(
                    multiply_add(builder, rate, b, builder.fmul(factor, a)), p, align=FLOAT_BYTES
                )
                builder.store(
                    multiply_add(builder, rate, a, builder.fmul(factor, b)), q, align=FLOAT_BYTES
                )

        _row_loops(builder, x, y, length, body)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.float32, types.float32), generate


@intrinsic
def weighted_sum(
    typing_context: Any,
    addresses: Any,
    weights: Any,
    count: Any,
    offset: Any,
    out: Any,
    length: Any,
) -> Any:
    """Writes sum_i weights[i] * x_i of `count` rows of float32; gives whether all of it is finite.

    | argument               | meaning                                                            |
    |------------------------|--------------------------------------------------------------------|
    | `addresses`, `weights` | where the rows' addresses (intp) and weights (float64) lie         |
    | `offset`               | bytes from a row's beginning to the first float, also in `out`     |
    | `out`                  | the address of the row to write                                    |
    | `length`               | floats to sum                                                      |

    It adds in float64, in the order of the rows and without fused multiply-add, so every machine
    gives the same bits. The sums stay in registers, so memory is read and written once.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        addresses, weights, count, offset, out, length = arguments
        rows = pointer(builder, addresses, addresses.type)
        factors = pointer(builder, weights, DOUBLE)
        flaws = {
            kind: cgutils.alloca_once_value(builder, ir.Constant(kind, None))
            for kind in (FLOAT, VECTOR)
        }

        def body(kind: Any, offsets: list[Any]) -> None:
            wide = DOUBLE if kind is FLOAT else DOUBLES
            places = [builder.add(offset, place) for place in offsets]
            sums = [cgutils.alloca_once(builder, wide) for _ in places]
            for total in sums:  # -0: what 0 + x has to be, if x may be -0
                builder.store(splat(builder, ir.Constant(DOUBLE, -0.0), wide), total)
            with cgutils.for_range(builder, count) as loop:
                row = builder.load(builder.gep(rows, [loop.index]))
                weight = splat(builder, builder.load(builder.gep(factors, [loop.index])), wide)
                for place, total in zip(places, sums, strict=True):
                    floats = builder.load(
                        pointer(builder, builder.add(row, place), kind), align=FLOAT_BYTES
                    )
                    product = builder.fmul(builder.fpext(floats, wide), weight)
                    builder.store(builder.fadd(builder.load(total), product), total)
            for place, total in zip(places, sums, strict=True):
                floats = builder.fptrunc(builder.load(total), kind)
                builder.store(
                    floats, pointer(builder, builder.add(out, place), kind), align=FLOAT_BYTES
                )
                # 0 * x is 0, but NaN for infinity and NaN
                flaw = builder.fmul(floats, ir.Constant(kind, None))
                builder.store(builder.fadd(builder.load(flaws[kind]), flaw), flaws[kind])

        _loops(builder, length, body)
        flaw = builder.fadd(
            lane_sum(builder, builder.load(flaws[VECTOR])), builder.load(flaws[FLOAT])
        )
        return builder.fcmp_ordered("==", flaw, ir.Constant(FLOAT, 0.0))

    return types.boolean(*[types.intp] * 6), generate


@intrinsic
def add_scaled(typing_context: Any, x: Any, out: Any, length: Any, factor: Any) -> Any:
    """out += factor * x, for rows of `length` floats at the addresses `x` and `out`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, out, length, factor = arguments

        def body(kind: Any, pairs: list[Any]) -> None:
            scale = splat(builder, factor, kind)
            for p, q in pairs:
                value, total = (builder.load(each, align=FLOAT_BYTES) for each in (p, q))
                builder.store(multiply_add(builder, scale, value, total), q, align=FLOAT_BYTES)

        _row_loops(builder, x, out, length, body)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.float32), generate
