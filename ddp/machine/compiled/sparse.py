"""SIMD loops over the entries of a sparse matrix, for compiled kernels. numba offers none.

An entry n says row r = indices[n]; its value is scales[r], times values[n] if `values` is not 0. A
dense matrix has lines of `stride` bytes, and the loops work on 8 of its columns at a time.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from ddp.machine.compiled.emit import LONG, Emitter
from ddp.machine.compiled.simd import FLOAT, FLOAT_BYTES, VECTOR, WORD, intrinsic

INDEX_BYTES = 4


def _entries(
    emitter: Emitter, entries: Any, body: Callable[[Any, Any], None], *, own_scale: Any = None
) -> None:
    """`body(row, value)` for the entries from `begin` to `end` - 1; the value in all lanes.

    `entries`: addresses of `indices`, `scales` and `values`, and then `begin` and `end`.
    `own_scale`: takes the place of scales[r].
    """
    builder = emitter.builder
    indices, scales, values, begin, end = entries

    def loop(weighted: bool) -> None:
        def entry(n: Any) -> None:
            index = emitter.load(emitter.place(indices, n, INDEX_BYTES), WORD)
            row = builder.sext(index, LONG)
            value = own_scale
            if value is None:
                value = emitter.load(emitter.place(scales, row, FLOAT_BYTES), FLOAT)
            if weighted:
                factor = emitter.load(emitter.place(values, n, FLOAT_BYTES), FLOAT)
                value = builder.fmul(value, factor)
            body(row, emitter.splat(value))

        emitter.loop(begin, end, entry)

    is_weighted = builder.icmp_unsigned("!=", values, emitter.number(0))
    with builder.if_else(is_weighted) as (then, otherwise):
        with then:
            loop(weighted=True)
        with otherwise:
            loop(weighted=False)


def _sum(
    emitter: Emitter, entries: Any, lines: Any, stride: Any, out: Any, own_scale: Any = None
) -> None:
    """Writes the sum of value * line r over these entries to `out`; see `_entries`."""
    total = emitter.variable()
    emitter.builder.store(ir.Constant(VECTOR, None), total)

    def add(row: Any, value: Any) -> None:
        line = emitter.load(emitter.place(lines, row, stride))
        so_far = emitter.builder.load(total)
        emitter.builder.store(emitter.multiply_add(value, line, so_far), total)

    _entries(emitter, entries, add, own_scale=own_scale)
    emitter.store(emitter.builder.load(total), out)


@intrinsic
def sum_lines(
    typing_context: Any,
    indices: Any,
    scales: Any,
    values: Any,
    begin: Any,
    end: Any,
    lines: Any,
    stride: Any,
    out: Any,
) -> Any:
    """Writes the sum of value * line r, 8 columns from the address `lines` on, to `out`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *entries, lines, stride, out = arguments
        _sum(Emitter(builder), entries, lines, stride, out)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 8), generate


@intrinsic
def add_to_lines(
    typing_context: Any,
    indices: Any,
    scales: Any,
    values: Any,
    begin: Any,
    end: Any,
    lines: Any,
    stride: Any,
    x: Any,
) -> Any:
    """Adds value * x to line r, 8 columns from the address `lines` on; x: 8 floats."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *entries, lines, stride, x = arguments
        emitter = Emitter(builder)
        vector = emitter.load(x)

        def add(row: Any, value: Any) -> None:
            place = emitter.place(lines, row, stride)
            emitter.store(emitter.multiply_add(value, vector, emitter.load(place)), place)

        _entries(emitter, entries, add)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 8), generate


@intrinsic
def sum_features(
    typing_context: Any,
    indices: Any,
    scale: Any,
    values: Any,
    begin: Any,
    end: Any,
    lines: Any,
    stride: Any,
    out: Any,
) -> Any:
    """The same as `sum_lines`, but each value is `scale`, times values[n] if that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        indices, scale, values, begin, end, lines, stride, out = arguments
        entries = indices, None, values, begin, end
        _sum(Emitter(builder), entries, lines, stride, out, own_scale=scale)
        return context.get_dummy_value()

    return types.void(types.intp, types.float32, *[types.intp] * 6), generate
