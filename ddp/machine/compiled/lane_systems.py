"""Completes and solves 8 small symmetric systems at once, one in each lane, for compiled kernels.

The numbers of the systems lie as `to_lanes` in lanes.py writes them. Line n of a block holds 8
numbers, of 8 lanes each. Line 0 has b_j, which becomes y_j; line 1 has the row of the constant 1,
and line 2 + i the row of q_i. `corner` has what no block has: M_11, b_1 (both of the constant), and
then the inverse of U's diagonal: of the constant, of q_0, q_1, ...
"""

from typing import Any

from llvmlite import ir
from numba import types

from ddp.machine.compiled.emit import DOUBLES_BYTES, VECTOR_BYTES, Number
from ddp.machine.compiled.lanes import HEAD, BlockEmitter
from ddp.machine.compiled.simd import DOUBLES, LANES, VECTOR, intrinsic

LINE_BYTES = LANES * VECTOR_BYTES
RIGHT, INVERSE = 1, 2  # places in `corner`, in numbers; M_11 is the first
ONE = ir.Constant(VECTOR, [1.0] * LANES)


class SystemEmitter(BlockEmitter):
    """Emits the loops over the systems at `lanes` with their `corner`."""

    def __init__(self, builder: Any, lanes: Any, corner: Any) -> None:
        super().__init__(builder)
        self.lanes, self.corner = lanes, corner

    def block_address(self, block: Any) -> Any:
        return self.place(self.lanes, self.lines_before(block), LINE_BYTES)

    def line(self, base: Any, number: Number) -> Any:
        """The address of a line of the block at `base`."""
        return self.place(base, number, LINE_BYTES)

    def at_corner(self, number: Number) -> Any:
        return self.place(self.corner, number)

    def inverse_of(self, index: Number) -> Any:
        """1 / U_jj of q_j; j = -1: of the constant."""
        return self.load(self.at_corner(self.plus(index, INVERSE + 1)))

    def write(self, values: list[Any], factor: Any, out: Any, skip: int = 0) -> None:
        """Writes the values times `factor` to a line, from number `skip` on."""
        for n, value in enumerate(values, skip):
            self.store(self.builder.fmul(value, factor), self.place(out, n))


@intrinsic
def substitute(typing_context: Any, lanes: Any, width: Any, corner: Any, x: Any) -> Any:
    """x = U^-1 w. `x` holds w in lanes, the constant first, and gets the solution."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, width, corner, x = arguments
        emitter = SystemEmitter(builder, lanes, corner)

        def solve(place: Any, index: Number) -> Any:
            solved = builder.fmul(emitter.load(place), emitter.inverse_of(index))
            emitter.store(solved, place)
            return solved

        def column(step: Any) -> None:
            number = builder.sub(width, step)  # of q_j in x: j + 1
            index = emitter.plus(number, -1)
            minus = builder.fneg(solve(emitter.place(x, number), index))
            block, inside = emitter.split(index)
            base = emitter.line(emitter.block_address(block), 1)
            entries = emitter.place(base, inside)

            def row(index: Any) -> None:  # of the constant (0), or of q_(index - 1)
                entry = emitter.load(emitter.line(entries, index))
                out = emitter.place(x, index)
                emitter.store(emitter.multiply_add(minus, entry, emitter.load(out)), out)

            emitter.loop(0, number, row)

        emitter.loop(0, width, column)
        solve(x, -1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def complete(
    typing_context: Any,
    heads: Any,
    precisions: Any,
    diagonal: Any,
    right: Any,
    weighted: Any,
    lanes: Any,
    width: Any,
    corner: Any,
) -> Any:
    """Writes M_11 and b_1 to `corner`, and adds to b and to the diagonal of M.

    | argument     | meaning                                                                      |
    |--------------|------------------------------------------------------------------------------|
    | `heads`      | the sums of `add_heads` in packing.py of 8 rows, float64 (3, 8)              |
    | `precisions` | h of each row, float32 (8,)                                                  |
    | `diagonal`   | the prior's precision of the constant                                        |
    | `right`      | prior precision times prior mean, float32 (1 + width, 8)                     |
    | `weighted`   | is added to the diagonal, times sum g or at least once                       |
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        heads, precisions, diagonal, right, weighted, lanes, width, corner = arguments
        emitter = SystemEmitter(builder, lanes, corner)
        number, total = (
            builder.fptrunc(emitter.load(emitter.place(heads, n, DOUBLES_BYTES), DOUBLES), VECTOR)
            for n in range(2)
        )
        factors = emitter.load(precisions)
        is_more = builder.fcmp_ordered(">", number, ONE)
        added = builder.fmul(emitter.splat(weighted), builder.select(is_more, number, ONE))
        own = emitter.multiply_add(factors, number, emitter.splat(diagonal))
        emitter.store(builder.fadd(own, added), corner)
        own = emitter.multiply_add(factors, total, emitter.load(right))
        emitter.store(own, emitter.at_corner(RIGHT))

        def column(index: Any) -> None:
            block, inside = emitter.split(index)
            base = emitter.block_address(block)
            line = emitter.line(base, emitter.plus(index, HEAD))
            further = emitter.load(emitter.place(right, emitter.plus(index, 1)))
            for place, value in (
                (emitter.place(base, inside), further),
                (emitter.place(line, inside), added),
            ):
                emitter.store(builder.fadd(emitter.load(place), value), place)

        emitter.loop(0, width, column)
        return context.get_dummy_value()

    return types.void(
        *(types.intp, types.intp, types.float32, types.intp, types.float32),
        *(types.intp, types.intp, types.intp),
    ), generate


@intrinsic
def add_noise(
    typing_context: Any,
    lanes: Any,
    width: Any,
    corner: Any,
    normals: Any,
    noise: Any,
    dim: Any,
    x: Any,
    change: Any,
) -> Any:
    """Writes w = y + noise * z to `x`, the constant first; z: the normals, in lanes.

    `change` gets |w - y|^2 - |y|^2 of the constant and the first `dim` numbers, float64 (8,). With
    x = U^-1 w it is x'Mx - 2 x'b, because y = U'^-1 b.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, width, corner, normals, noise, dim, x, change = arguments
        emitter = SystemEmitter(builder, lanes, corner)
        factor, total = emitter.splat(noise), emitter.variable(DOUBLES)
        builder.store(ir.Constant(DOUBLES, None), total)

        def number(y: Any, place: Any, counts: Any) -> None:
            added = builder.fmul(factor, emitter.load(emitter.place(normals, place)))
            emitter.store(builder.fadd(y, added), emitter.place(x, place))
            one, other = (builder.fpext(value, DOUBLES) for value in (added, y))
            before = builder.load(total)
            after = emitter.multiply_add(builder.fneg(other), other, before)
            after = emitter.multiply_add(one, one, after)
            builder.store(builder.select(counts, after, before), total)

        def column(index: Any) -> None:
            block, inside = emitter.split(index)
            y = emitter.load(emitter.place(emitter.block_address(block), inside))
            number(y, emitter.plus(index, 1), builder.icmp_signed("<", index, dim))

        always = ir.Constant(ir.IntType(1), 1)
        number(emitter.load(emitter.at_corner(RIGHT)), emitter.number(0), always)
        emitter.loop(0, width, column)
        emitter.store(builder.load(total), change)
        return context.get_dummy_value()

    return types.void(
        *(types.intp, types.intp, types.intp, types.intp, types.float32),
        *(types.intp, types.intp, types.intp),
    ), generate
