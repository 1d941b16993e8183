"""The Cholesky factors of 8 small symmetric systems at once, for compiled kernels.

The numbers lie as lane_systems.py says.
"""

from collections.abc import Callable
from typing import Any

from numba import types

from ddp.machine.compiled.emit import Number
from ddp.machine.compiled.lane_systems import INVERSE, ONE, RIGHT, SystemEmitter
from ddp.machine.compiled.lanes import HEAD
from ddp.machine.compiled.simd import LANES, intrinsic


class _Factors(SystemEmitter):
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
