"""Solves 8 small symmetric systems at once, one in each lane, for compiled kernels.

The numbers of the systems lie as `to_lanes` in lanes.py writes them. Line n of a block holds 8
numbers, of 8 lanes each. Line 0 has b_j, which becomes y_j; line 1 has the row of the constant 1,
and line 2 + i the row of q_i. `corner` has what no block has: M_11, b_1 (both of the constant), and
then the inverse of U's diagonal: of the constant, of q_0, q_1, ...
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from ddp.machine.compiled.emit import DOUBLES_BYTES, VECTOR_BYTES, Number
from ddp.machine.compiled.lanes import HEAD, BlockEmitter
from ddp.machine.compiled.simd import DOUBLES, LANES, VECTOR, intrinsic

LINE_BYTES = LANES * VECTOR_BYTES
RIGHT, INVERSE = 1, 2  # places in `corner`, in numbers; M_11 is the first
ONE = ir.Constant(VECTOR, [1.0] * LANES)


class _Systems(BlockEmitter):
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


class _Factors(_Systems):
    """Emits `factorise`: rows of U, one after another, block of columns by block."""

    def constant(self) -> None:
        """The row of the constant, as far as the corner has it."""
        self.inverse_root(self.load(self.corner), -1)
        y = self.builder.fmul(self.load(self.at_corner(RIGHT)), self.inverse_of(-1))
        self.store(y, self.at_corner(RIGHT))

    def inverse_root(self, diagonal: Any, index: Number) -> Any:
        inverse = self.builder.fdiv(ONE, self.root(diagonal))
        self.store(inverse, self.at_corner(self.plus(index, INVERSE + 1)))
        return inverse

    def without_lines(
        self, base: Any, stop: Any, factor_at: Callable[[Any], Any], out: Any, skip: int = 0
    ) -> list[Any]:
        """The numbers of line `out` from `skip` on, minus sum_l factor_at(l) * line l.

        l: the lines of the block at `base` from 1 to `stop` - 1.
        """
        totals = [self.variable() for _ in range(LANES - skip)]
        for total, value in zip(totals, self.eight(out)[skip:], strict=True):
            self.builder.store(value, total)

        def line(index: Any) -> None:
            factor = self.builder.fneg(factor_at(index))
            values = self.eight(self.line(base, index))[skip:]
            for total, value in zip(totals, values, strict=True):
                added = self.multiply_add(factor, value, self.builder.load(total))
                self.builder.store(added, total)

        self.loop(1, stop, line)
        return [self.builder.load(total) for total in totals]

    def row(self, base: Any, block: Any, inside: Number, skip: int = 0) -> tuple[list[Any], Any]:
        """The numbers of the row of q_i, not scaled, and its address; i = 8 `block` + `inside`."""
        left = self.place(self.block_address(block), inside)
        number = self.plus(self.times(block, LANES), inside, HEAD)
        out = self.line(base, number)

        def factor_at(line: Any) -> Any:
            return self.load(self.line(left, line))

        return self.without_lines(base, number, factor_at, out, skip), out

    def block(self, column: Any) -> None:
        """The 8 columns of a block, with the rows above its diagonal, and their y."""
        base = self.block_address(column)
        self.write(self.eight(self.line(base, 1)), self.inverse_of(-1), self.line(base, 1))
        first = self.times(column, LANES)

        def row_above(index: Any) -> None:
            values, out = self.row(base, *self.split(index))
            self.write(values, self.inverse_of(index), out)

        self.loop(0, first, row_above)
        for n in range(LANES):
            values, out = self.row(base, column, n, skip=n)
            self.write(values, self.inverse_root(values[0], self.plus(first, n)), out, n)
        self.right_side(base, first)

    def right_side(self, base: Any, first: Any) -> None:
        """y of the block: without that of all rows before it, then one after another."""

        def y_at(line: Any) -> Any:
            """y of the constant (line 1) or of q_i (line 2 + i)."""
            index = self.plus(line, -HEAD)
            block, inside = self.split(index)
            inner = self.place(self.block_address(block), inside)
            is_constant = self.builder.icmp_signed("<", index, self.number(0))
            return self.load(self.builder.select(is_constant, self.at_corner(RIGHT), inner))

        first_line = self.plus(first, HEAD)
        self.write(self.without_lines(base, first_line, y_at, base), ONE, base)
        for n in range(LANES):
            inverse = self.inverse_of(self.plus(first, n))
            y = self.builder.fmul(self.load(self.place(base, n)), inverse)
            self.store(y, self.place(base, n))
            minus, entries = self.builder.fneg(y), self.line(base, self.plus(first_line, n))
            for m in range(n + 1, LANES):
                later = self.load(self.place(base, m))
                left = self.multiply_add(minus, self.load(self.place(entries, m)), later)
                self.store(left, self.place(base, m))


@intrinsic
def factorise(typing_context: Any, lanes: Any, width: Any, corner: Any) -> Any:
    """M = U' U in the place of M, y = U'^-1 b in the place of b, and 1 / U_jj in `corner`.

    Source: Golub and Van Loan, Matrix Computations, 4.2.5, by rows of a block of columns.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, width, corner = arguments
        emitter = _Factors(builder, lanes, corner)
        emitter.constant()
        blocks, _ = emitter.split(width)
        emitter.loop(0, blocks, emitter.block)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic
def substitute(typing_context: Any, lanes: Any, width: Any, corner: Any, x: Any) -> Any:
    """x = U^-1 w. `x` holds w in lanes, the constant first, and gets the solution."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, width, corner, x = arguments
        emitter = _Systems(builder, lanes, corner)

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
        emitter = _Systems(builder, lanes, corner)
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
        emitter = _Systems(builder, lanes, corner)
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
