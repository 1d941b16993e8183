"""Packs the ratings of a row for `outer_sums` in lanes.py, which has the layout."""

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types

from ddp.machine.compiled.emit import DOUBLES_BYTES, Emitter
from ddp.machine.compiled.prefetching import READ, ask_for
from ddp.machine.compiled.simd import (
    DOUBLE,
    DOUBLES,
    FLOAT,
    FLOAT_BYTES,
    LANES,
    VECTOR,
    WORD,
    intrinsic,
    lane_sum,
)

TARGET = LANES - 2  # place of the target in a packed rating; the root of its trust follows
MOST_PACKED = 256  # ratings at once
LINE_BYTES = 64  # a cache line
ID_BYTES = 4
EXACT = (1, 2, 4)  # rows of so many vectors are packed without an inner loop, in half of the time


class _Packing(Emitter):
    """Emits the loops over ratings whose other rows have the ids at `others`."""

    def __init__(self, builder: Any, others: Any, factors: Any, dim: Any) -> None:
        super().__init__(builder)
        self.others, self.factors, self.dim = others, factors, dim
        self.row_bytes = self.times(dim, FLOAT_BYTES)

    def row(self, index: Any) -> Any:
        """The number of the other row of a rating."""
        found = self.load(self.place(self.others, index, ID_BYTES), WORD)
        return self.builder.sext(found, self.row_bytes.type)

    def float(self, base: Any, index: Any) -> Any:
        return self.load(self.place(base, index, FLOAT_BYTES), FLOAT)

    def float_root(self, value: Any) -> Any:
        root = self.builder.module.declare_intrinsic("llvm.sqrt", [FLOAT])
        return self.builder.call(root, [value])

    def scale_vectors(self, vectors: int, factor: Any, source: Any, out: Any) -> None:
        """out = factor * source, for so many vectors."""
        factors = self.splat(factor)
        for n in range(vectors):
            scaled = self.builder.fmul(self.load(self.place(source, n)), factors)
            self.store(scaled, self.place(out, n))

    def scale(self, factor: Any, source: Any, out: Any) -> None:
        """out = factor * source, for `dim` floats."""
        vectors, _ = self.split(self.dim)
        factors = self.splat(factor)

        def vector(index: Any) -> None:
            scaled = self.builder.fmul(self.load(self.place(source, index)), factors)
            self.store(scaled, self.place(out, index))

        def single(index: Any) -> None:
            scaled = self.builder.fmul(self.float(source, index), factor)
            self.store(scaled, self.place(out, index, FLOAT_BYTES))

        self.loop(0, vectors, vector)
        self.loop(self.times(vectors, LANES), self.dim, single)


@intrinsic
def pack(
    typing_context: Any,
    others: Any,
    values: Any,
    mean: Any,
    count: Any,
    factors: Any,
    bias: Any,
    trust: Any,
    dim: Any,
    packed: Any,
    stride: Any,
    heads: Any,
) -> Any:
    """Packs `count` ratings: the root of the trust g of its other row, times target, one, factors.

    | argument           | address of                                                             |
    |--------------------|------------------------------------------------------------------------|
    | `others`, `values` | the ids (int32) of the other rows, and the values of the ratings       |
    | `factors`          | all rows of the other side, with `dim` factors each                    |
    | `bias`, `trust`    | one float of each of these rows; the target is value - mean - bias     |
    | `packed`           | the first packed rating; the next one lies `stride` floats behind it   |
    | `heads`            | MOST_PACKED + 8 floats for scaled targets, and as many for roots       |
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        others, values, mean, count, factors, bias, trust, dim, packed, stride, heads = arguments
        emitter = _Packing(builder, others, factors, dim)
        stride = emitter.times(stride, FLOAT_BYTES)
        roots = emitter.place(heads, MOST_PACKED + LANES, FLOAT_BYTES)

        def ratings(copy: Callable[[Any, Any, Any], None]) -> None:
            def rating(index: Any) -> None:
                row, out = emitter.row(index), emitter.place(packed, index, stride)
                root = emitter.float_root(emitter.float(trust, row))
                value = builder.fsub(emitter.float(values, index), mean)
                target = builder.fmul(builder.fsub(value, emitter.float(bias, row)), root)
                for n, number in enumerate((target, root)):
                    emitter.store(number, emitter.place(out, TARGET + n, FLOAT_BYTES))
                emitter.store(target, emitter.place(heads, index, FLOAT_BYTES))
                emitter.store(root, emitter.place(roots, index, FLOAT_BYTES))
                source = emitter.place(factors, row, emitter.row_bytes)
                copy(root, source, emitter.place(out, 1))

            emitter.loop(0, count, rating)

        is_other = ir.Constant(ir.IntType(1), 1)
        for vectors in EXACT:
            is_exact = builder.icmp_signed("==", dim, emitter.number(vectors * LANES))
            is_other = builder.and_(is_other, builder.not_(is_exact))
            with builder.if_then(is_exact):
                ratings(partial(emitter.scale_vectors, vectors))
        with builder.if_then(is_other):
            ratings(emitter.scale)
        for end in (heads, roots):
            emitter.store(ir.Constant(VECTOR, None), emitter.place(end, count, FLOAT_BYTES))
        return context.get_dummy_value()

    return types.void(
        *(types.intp, types.intp, types.float32, types.intp, types.intp, types.intp),
        *(types.intp, types.intp, types.intp, types.intp, types.intp),
    ), generate


@intrinsic
def prefetch_rows(typing_context: Any, others: Any, count: Any, factors: Any, dim: Any) -> Any:
    """Prefetches the other rows of `count` ratings. The arguments are those of `pack`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        others, count, factors, dim = arguments
        emitter = _Packing(builder, others, factors, dim)
        lines = builder.sdiv(emitter.row_bytes, emitter.number(LINE_BYTES))

        def rating(index: Any) -> None:
            first = emitter.place(factors, emitter.row(index), emitter.row_bytes)

            def line(number: Any) -> None:
                ask_for(builder, emitter.place(first, number, LINE_BYTES), READ)

            emitter.loop(0, emitter.plus(lines, 1), line)

        emitter.loop(0, count, rating)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def add_heads(typing_context: Any, heads: Any, count: Any, sums: Any, goes_on: Any) -> Any:
    """Adds g, g t and g t^2 of `count` packed ratings with target t and trust g to 3 sums, float64.

    `heads`: as `pack` leaves them. `sums`: the address of the first; the others lie 8 numbers
    apart. `goes_on`: whether there are sums. If not, they begin at 0.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        heads, count, sums, goes_on = arguments
        emitter = Emitter(builder)
        vectors, _ = emitter.split(emitter.plus(count, LANES - 1))
        roots = emitter.place(heads, MOST_PACKED + LANES, FLOAT_BYTES)
        totals = [emitter.variable(DOUBLES) for _ in range(3)]
        for total in totals:
            builder.store(ir.Constant(DOUBLES, None), total)

        def vector(index: Any) -> None:
            t, root = (
                builder.fpext(emitter.load(emitter.place(each, index)), DOUBLES)
                for each in (heads, roots)
            )
            for total, x, y in zip(totals, (root, root, t), (root, t, t), strict=True):
                builder.store(emitter.multiply_add(x, y, builder.load(total)), total)

        emitter.loop(0, vectors, vector)
        for n, total in enumerate(totals):
            place = emitter.place(sums, n, DOUBLES_BYTES)
            before = emitter.load(place, DOUBLE)
            before = builder.select(goes_on, before, ir.Constant(DOUBLE, 0.0))
            emitter.store(builder.fadd(before, lane_sum(builder, builder.load(total))), place)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.boolean), generate
