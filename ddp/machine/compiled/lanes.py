"""SIMD loops over 8 small symmetric systems at once, for compiled kernels. numba offers none.

A kernel solves (for each row of a model) M x = b, with M = precision * sum_r d_r d_r' + prior,
where d_r = (1, q_r) and q_r is a row of float32. Four loops do the work:

| loop         | data                             | makes                                    |
|--------------|----------------------------------|------------------------------------------|
| `outer_sums` | the packed ratings of one system | its sums, block by block                 |
| `to_lanes`   | the sums of 8 systems            | M and b of all 8, number by number       |
| `factorise`  | M and b                          | its Cholesky factor U, and y = U'^-1 b   |
| `substitute` | U and y                          | x = U^-1 y                               |

The first two stand here, the others in lane_factors.py and lane_systems.py.

A packed rating has 8 + width floats, where width is a multiple of 8: six zeros, its target t, a
one, and q, all of them times a weight. The sums of a system lie in blocks of 8 columns:

    block c has 10 + 8 c lines of 8 floats: sums of t * q_j, of q_j, and of q_i * q_j for all
    i < 8 (c + 1), for the eight j from 8 c on

So each product of the upper triangle is there, and little more. A number in lanes is a vector of 8
floats: one of each system. Each system has a lane, so a result does not depend on the others.
"""

from typing import Any

from llvmlite import ir
from numba import types

from ddp.machine.compiled.emit import VECTOR_BYTES, Emitter, Number
from ddp.machine.compiled.jit import compiled
from ddp.machine.compiled.simd import FLOAT, FLOAT_BYTES, LANES, VECTOR, WORD, intrinsic

HEAD = 2  # lines of a block before those of q_i: t, and one
ZEROS = ir.Constant(VECTOR, None)
FIRST_LINES = HEAD + LANES  # lines of block 0


@compiled(types.int64(types.int64))
def lines_before(block: int) -> int:
    """The lines of 8 floats in the sums of a system before this block: 10 + 18 + ..."""
    return 4 * block * block + 6 * block


class BlockEmitter(Emitter):
    """Emits loops over the blocks of the sums of a system."""

    def lines_before(self, block: Any) -> Any:
        """As the kernel of this name."""
        squares = self.times(4, self.times(block, block))
        return self.plus(squares, self.times(6, block))


class _Sums(BlockEmitter):
    """Emits the loops of `outer_sums`. A column is the address of a vector and of its sums."""

    def __init__(
        self, builder: Any, packed: Any, count: Any, width: Any, sums: Any, goes_on: Any
    ) -> None:
        super().__init__(builder)
        self.packed, self.count, self.sums, self.goes_on = packed, count, sums, goes_on
        self.stride = self.times(self.plus(width, LANES), FLOAT_BYTES)
        self.head = self.place(packed, LANES - HEAD, FLOAT_BYTES)

    def floats_of(self, block: Any) -> Any:
        """The address of the 8 floats of the first rating."""
        return self.place(self.packed, self.plus(block, 1))

    def column(self, block: Any) -> tuple[Any, Any]:
        return self.floats_of(block), self.place(self.sums, self.lines_before(block))

    def below(self, columns: list[tuple[Any, Any]], lines: Number) -> list[tuple[Any, Any]]:
        """The columns without their first lines."""
        return [(right, self.place(out, lines)) for right, out in columns]

    def tile(self, lines: int, left: Any, columns: list[tuple[Any, Any]]) -> None:
        """Adds the products of `lines` floats at `left` with the vectors of the columns."""
        places = [self.place(out, n) for _, out in columns for n in range(lines)]
        totals = [self.variable() for _ in places]
        for total, place in zip(totals, places, strict=True):
            before = self.builder.select(self.goes_on, self.load(place), ZEROS)
            self.builder.store(before, total)

        def rating(index: Any) -> None:
            vectors = [self.load(self.place(right, index, self.stride)) for right, _ in columns]
            first = self.place(left, index, self.stride)
            for n in range(lines):
                factor = self.splat(self.load(self.place(first, n, FLOAT_BYTES), FLOAT))
                for vector, total in zip(vectors, totals[n::lines], strict=True):
                    added = self.multiply_add(factor, vector, self.builder.load(total))
                    self.builder.store(added, total)

        self.loop(0, self.count, rating)
        for total, place in zip(totals, places, strict=True):
            self.store(self.builder.load(total), place)

    def tiles(self, columns: list[tuple[Any, Any]], last: Any) -> None:
        """All lines of these columns up to those of the block of rows `last`."""
        height, first = LANES // len(columns), FIRST_LINES // len(columns)
        for n in range(len(columns)):
            left = self.place(self.head, n * first, FLOAT_BYTES)
            self.tile(first, left, self.below(columns, n * first))

        def further(row: Any) -> None:
            lines = self.plus(self.times(row, LANES), HEAD)
            for n in range(len(columns)):
                left = self.place(self.floats_of(row), n * height, FLOAT_BYTES)
                self.tile(height, left, self.below(columns, self.plus(lines, n * height)))

        self.loop(1, self.plus(last, 1), further)

    def pair(self, index: Any) -> None:
        """Two blocks of columns, side by side as far as both go."""
        one = self.times(index, 2)
        other = self.plus(one, 1)
        self.tiles([self.column(one), self.column(other)], one)
        lines = self.plus(self.times(other, LANES), HEAD)
        self.tile(LANES, self.floats_of(other), self.below([self.column(other)], lines))


@intrinsic
def outer_sums(
    typing_context: Any, packed: Any, count: Any, width: Any, sums: Any, goes_on: Any
) -> Any:
    """Adds the products of `count` packed ratings at the address `packed` to `sums`.

    `goes_on`: whether there are sums. If not, they begin at 0.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        emitter = _Sums(builder, *arguments)
        blocks, _ = emitter.split(arguments[2])
        emitter.loop(0, builder.sdiv(blocks, emitter.number(2)), emitter.pair)
        with builder.if_then(builder.trunc(blocks, ir.IntType(1))):
            last = emitter.plus(blocks, -1)
            emitter.tiles([emitter.column(last)], last)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, types.boolean), generate


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """The 8 columns of 8 vectors of 8 floats."""

    def mix(a: Any, b: Any, mask: list[int]) -> Any:
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(WORD, LANES), mask))

    for span in (1, 2, 4):
        low = [n + LANES - span if n & span else n for n in range(LANES)]
        high = [n + LANES if n & span else n + span for n in range(LANES)]
        mixed = list(rows)
        for n in range(LANES):
            if not n & span:
                a, b = rows[n], rows[n + span]
                mixed[n], mixed[n + span] = mix(a, b, low), mix(a, b, high)
        rows = mixed
    return rows


@intrinsic
def to_lanes(
    typing_context: Any, sums: Any, lines: Any, precisions: Any, prior: Any, lanes: Any
) -> Any:
    """Writes precision * sums + prior of 8 systems to `lanes`, number by number.

    `sums`: those of 8 systems, one after another, `lines` lines each; `prior` has as many lines.
    `precisions`: 8 floats, one of each system.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, lines, precisions, prior, lanes = arguments
        emitter = Emitter(builder)
        stride = emitter.times(lines, VECTOR_BYTES)
        factors = [
            emitter.splat(emitter.load(emitter.place(precisions, n, FLOAT_BYTES), FLOAT))
            for n in range(LANES)
        ]

        def line(index: Any) -> None:
            added = emitter.load(emitter.place(prior, index))
            first = emitter.place(sums, index)
            rows = [
                emitter.multiply_add(emitter.load(emitter.place(first, n, stride)), factor, added)
                for n, factor in enumerate(factors)
            ]
            out = emitter.place(lanes, emitter.times(index, LANES))
            for n, column in enumerate(_transposed(builder, rows)):
                emitter.store(column, emitter.place(out, n))

        emitter.loop(0, lines, line)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp, types.intp), generate
