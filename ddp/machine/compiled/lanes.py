"""SIMD loops over 8 small symmetric systems at once, for compiled kernels. numba offers none.

A kernel solves (for each row of a model) M x = b, with M = precision * sum_r d_r d_r' + prior,
where d_r = (1, q_r) and q_r is a row of float32. Four loops do the work:

| loop           | data                                 | makes                                      |
|----------------|--------------------------------------|--------------------------------------------|
| `outer_sums`   | the packed ratings of one system     | its sums, block by block                   |
| `to_lanes`     | the sums of 8 systems                | M and b of all 8, number by number         |
| `factorise`    | M and b                              | its Cholesky factor U, and y = U'^-1 b     |
| `substitute`   | U and y                              | x = U^-1 y                                 |

A packed rating has 8 + width floats, where width is a multiple of 8: six zeros, its target t, a
one, and q. The sums of a system lie in blocks of 8 columns:

    block c has 10 + 8 c lines of 8 floats: sums of t * q_j, of q_j, and of q_i * q_j for all
    i < 8 (c + 1), for the eight j from 8 c on

So each product of the upper triangle is there, and little more. A number in lanes is a vector of 8
floats: one of each system. Each system has a lane, so a result does not depend on the others.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from ddp.machine.compiled.simd import (
    FLOAT,
    FLOAT_BYTES,
    LANES,
    VECTOR,
    WORD,
    _multiply_add,
    _pointer,
    _splat,
    intrinsic,
)

LONG = ir.IntType(64)
VECTOR_BYTES = LANES * FLOAT_BYTES
HEAD = 2  # lines of a block before those of q_i: t, and one
FIRST_LINES = HEAD + LANES  # lines of block 0


def _number(value: int) -> Any:
    return ir.Constant(LONG, value)


def _load(builder: Any, address: Any, kind: Any = VECTOR) -> Any:
    return builder.load(_pointer(builder, address, kind), align=FLOAT_BYTES)


def _store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, _pointer(builder, address, value.type), align=FLOAT_BYTES)


def _loop(builder: Any, start: Any, stop: Any, body: Callable[[Any], None]) -> None:
    """`for index in range(start, stop)`; `body(index)` emits the code."""
    with cgutils.for_range_slice(builder, start, stop, _number(1), LONG) as (index, _):
        body(index)


def _lines_before(builder: Any, block: Any) -> Any:
    """The lines of the sums before block `block`: 10 + 18 + ..., that is 4 c^2 + 6 c."""
    four = builder.mul(_number(4), builder.mul(block, block))
    return builder.add(four, builder.mul(_number(6), block))


def sums_lines(width: int) -> int:
    """The lines of 8 floats in the sums of a system. `width`: floats of q, a multiple of 8."""
    blocks = width // LANES
    return 4 * blocks * blocks + 6 * blocks


@intrinsic
def outer_sums(typing_context: Any, packed: Any, count: Any, width: Any, sums: Any) -> Any:
    """Adds the products of `count` packed ratings at the address `packed` to `sums`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        packed, count, width, sums = arguments
        stride = builder.mul(builder.add(width, _number(LANES)), _number(FLOAT_BYTES))
        head = builder.add(packed, _number((LANES - HEAD) * FLOAT_BYTES))

        def tile(lines: int, left: Any, columns: list[tuple[Any, Any]]) -> None:
            """The products of `lines` floats at `left` with the vectors at `columns`.

            Each column is the address of its vector and that of its sums.
            """
            places = [
                builder.add(out, _number(n * VECTOR_BYTES))
                for _, out in columns
                for n in range(lines)
            ]
            totals = [cgutils.alloca_once(builder, VECTOR) for _ in places]
            for total, place in zip(totals, places, strict=True):
                builder.store(_load(builder, place), total)

            def rating(index: Any) -> None:
                offset = builder.mul(index, stride)
                vectors = [_load(builder, builder.add(right, offset)) for right, _ in columns]
                first = builder.add(left, offset)
                for n in range(lines):
                    scalar = _load(builder, builder.add(first, _number(n * FLOAT_BYTES)), FLOAT)
                    factor = _splat(builder, scalar, VECTOR)
                    for vector, total in zip(vectors, totals[n::lines], strict=True):
                        product = _multiply_add(builder, factor, vector, builder.load(total))
                        builder.store(product, total)

            _loop(builder, _number(0), count, rating)
            for total, place in zip(totals, places, strict=True):
                _store(builder, builder.load(total), place)

        def floats_of(block: Any) -> Any:
            address = builder.add(packed, builder.mul(block, _number(VECTOR_BYTES)))
            return builder.add(address, _number(VECTOR_BYTES))

        def column_of(block: Any) -> tuple[Any, Any]:
            lines = _lines_before(builder, block)
            out = builder.add(sums, builder.mul(lines, _number(VECTOR_BYTES)))
            return floats_of(block), out

        def below(columns: list[tuple[Any, Any]], lines: Any) -> list[tuple[Any, Any]]:
            skipped = builder.mul(lines, _number(VECTOR_BYTES))
            return [(right, builder.add(out, skipped)) for right, out in columns]

        def tiles(columns: list[tuple[Any, Any]], last: Any) -> None:
            """All lines of these columns up to those of the block of rows `last`."""
            height = LANES // len(columns)
            first = FIRST_LINES // len(columns)
            for n in range(len(columns)):
                left = builder.add(head, _number(n * first * FLOAT_BYTES))
                tile(first, left, below(columns, _number(n * first)))

            def further(row: Any) -> None:
                lines = builder.add(builder.mul(row, _number(LANES)), _number(HEAD))
                for n in range(len(columns)):
                    left = builder.add(floats_of(row), _number(n * height * FLOAT_BYTES))
                    tile(height, left, below(columns, builder.add(lines, _number(n * height))))

            _loop(builder, _number(1), builder.add(last, _number(1)), further)

        blocks = builder.sdiv(width, _number(LANES))

        def pair(index: Any) -> None:
            one = builder.mul(index, _number(2))
            other = builder.add(one, _number(1))
            tiles([column_of(one), column_of(other)], one)
            lines = builder.add(builder.mul(other, _number(LANES)), _number(HEAD))
            tile(LANES, floats_of(other), below([column_of(other)], lines))

        _loop(builder, _number(0), builder.sdiv(blocks, _number(2)), pair)
        with builder.if_then(builder.trunc(blocks, ir.IntType(1))):
            last = builder.sub(blocks, _number(1))
            tiles([column_of(last)], last)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """The 8 columns of 8 vectors of 8 floats."""

    def mix(a: Any, b: Any, mask: list[int]) -> Any:
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(WORD, LANES), mask))

    for span in (1, 2, 4):
        low = [n + (LANES if n & span else 0) - (span if n & span else 0) for n in range(LANES)]
        high = [
            n + (0 if not n & span else LANES) + (0 if n & span else span) for n in range(LANES)
        ]
        mixed = list(rows)
        for n in range(LANES):
            if not n & span:
                a, b = rows[n], rows[n + span]
                mixed[n], mixed[n + span] = mix(a, b, low), mix(a, b, high)
        rows = mixed
    return rows


@intrinsic
def to_lanes(
    typing_context: Any, sums: Any, lines: Any, precision: Any, prior: Any, lanes: Any
) -> Any:
    """Writes precision * sums + prior of 8 systems to `lanes`, number by number.

    `sums`: those of 8 systems, one after another, `lines` lines each; `prior` has as many lines.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, lines, precision, prior, lanes = arguments
        factor = _splat(builder, precision, VECTOR)
        stride = builder.mul(lines, _number(VECTOR_BYTES))

        def line(index: Any) -> None:
            offset = builder.mul(index, _number(VECTOR_BYTES))
            added = _load(builder, builder.add(prior, offset))
            first = builder.add(sums, offset)
            rows = [
                _multiply_add(
                    builder,
                    _load(builder, builder.add(first, builder.mul(stride, _number(n)))),
                    factor,
                    added,
                )
                for n in range(LANES)
            ]
            out = builder.add(lanes, builder.mul(offset, _number(LANES)))
            for n, column in enumerate(_transposed(builder, rows)):
                _store(builder, column, builder.add(out, _number(n * VECTOR_BYTES)))

        _loop(builder, _number(0), lines, line)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.float32, types.intp, types.intp), generate


# --- a system in lanes ---
#
# Line n of a block holds 8 numbers, of 8 lanes each. Line 0 has b_j, which becomes y_j; line 1 has
# the row of the constant 1, and line 2 + i the row of q_i. `corner` has what no block has:
# M_11, b_1 (both of the constant), and then the inverse of U's diagonal: 1, q_0, q_1, ...

LINE_BYTES = LANES * VECTOR_BYTES
DIAGONAL, RIGHT, INVERSE = 0, 1, 2  # places in `corner`, in numbers


def _root(builder: Any, value: Any) -> Any:
    kind = ir.FunctionType(VECTOR, [VECTOR])
    # llvmlite's declare_intrinsic knows no vectors
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f32")
    return builder.call(function, [value])


def _place(builder: Any, base: Any, number: Any) -> Any:
    """The address of a number in lanes."""
    return builder.add(base, builder.mul(number, _number(VECTOR_BYTES)))


def _line_address(builder: Any, lanes: Any, block: Any, line: Any) -> Any:
    lines = builder.add(_lines_before(builder, block), line)
    return builder.add(lanes, builder.mul(lines, _number(LINE_BYTES)))


@intrinsic
def factorise(typing_context: Any, lanes: Any, width: Any, corner: Any) -> Any:
    """M = U' U in the place of M, y = U'^-1 b in the place of b, and 1 / U_jj in `corner`.

    Source: Golub and Van Loan, Matrix Computations, 4.2.5, by rows of a block of columns.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, width, corner = arguments
        one = ir.Constant(VECTOR, [1.0] * LANES)
        blocks = builder.sdiv(width, _number(LANES))

        def inverse_root(diagonal: Any, number: Any) -> Any:
            inverse = builder.fdiv(one, _root(builder, diagonal))
            _store(builder, inverse, _place(builder, corner, number))
            return inverse

        inverse = inverse_root(_load(builder, corner), _number(INVERSE))
        y_address = _place(builder, corner, _number(RIGHT))
        _store(builder, builder.fmul(_load(builder, y_address), inverse), y_address)

        def eight(address: Any) -> list[Any]:
            return [
                _load(builder, builder.add(address, _number(n * VECTOR_BYTES)))
                for n in range(LANES)
            ]

        def without_lines(base: Any, stop: Any, factor_at: Any, out: Any, skip: int) -> list[Any]:
            """The numbers of line `out` from `skip` on, minus sum_l factor_at(l) * line l.

            l: the lines of the block from 1 to `stop` - 1.
            """
            totals = [cgutils.alloca_once(builder, VECTOR) for _ in range(LANES - skip)]
            for total, value in zip(totals, eight(out)[skip:], strict=True):
                builder.store(value, total)

            def line(index: Any) -> None:
                factor = builder.fneg(factor_at(index))
                address = builder.add(base, builder.mul(index, _number(LINE_BYTES)))
                for total, value in zip(totals, eight(address)[skip:], strict=True):
                    builder.store(_multiply_add(builder, factor, value, builder.load(total)), total)

            _loop(builder, _number(1), stop, line)
            return [builder.load(total) for total in totals]

        def write(values: list[Any], factor: Any, out: Any, skip: int = 0) -> None:
            for n, value in enumerate(values, skip):
                place = builder.add(out, _number(n * VECTOR_BYTES))
                _store(builder, builder.fmul(value, factor), place)

        def block(column: Any) -> None:
            base = _line_address(builder, lanes, column, _number(0))
            constant = builder.add(base, _number(LINE_BYTES))
            write(eight(constant), inverse, constant)
            first_own = builder.mul(column, _number(LANES))

            def row(other: Any, inside: Any, skip: int) -> tuple[list[Any], Any]:
                """The numbers of the row of q_i, not scaled, and its address."""
                left = _place(builder, _line_address(builder, lanes, other, _number(0)), inside)

                def factor_at(line: Any) -> Any:
                    return _load(builder, builder.add(left, builder.mul(line, _number(LINE_BYTES))))

                line = builder.add(builder.mul(other, _number(LANES)), inside)
                line = builder.add(line, _number(HEAD))
                out = builder.add(base, builder.mul(line, _number(LINE_BYTES)))
                return without_lines(base, line, factor_at, out, skip), out

            def row_above(index: Any) -> None:
                other = builder.sdiv(index, _number(LANES))
                inside = builder.srem(index, _number(LANES))
                values, out = row(other, inside, 0)
                number = builder.add(index, _number(INVERSE + 1))
                write(values, _load(builder, _place(builder, corner, number)), out)

            _loop(builder, _number(0), first_own, row_above)
            for n in range(LANES):
                values, out = row(column, _number(n), n)
                number = builder.add(first_own, _number(INVERSE + 1 + n))
                write(values, inverse_root(values[0], number), out, n)
            # y of the block: first what the rows before it contribute, then one after another

            def y_at(line: Any) -> Any:
                """y of the constant (line 1) or of q_i (line 2 + i)."""
                i = builder.sub(line, _number(HEAD))
                own = _line_address(builder, lanes, builder.sdiv(i, _number(LANES)), _number(0))
                inner = _place(builder, own, builder.srem(i, _number(LANES)))
                is_first = builder.icmp_signed("<", i, _number(0))
                return _load(builder, builder.select(is_first, y_address, inner))

            first_line = builder.add(first_own, _number(HEAD))
            write(without_lines(base, first_line, y_at, base, 0), one, base)
            for n in range(LANES):
                place = builder.add(base, _number(n * VECTOR_BYTES))
                number = builder.add(first_own, _number(INVERSE + 1 + n))
                y = builder.fmul(
                    _load(builder, place), _load(builder, _place(builder, corner, number))
                )
                _store(builder, y, place)
                line = builder.add(first_line, _number(n))
                address = builder.add(base, builder.mul(line, _number(LINE_BYTES)))
                for m in range(n + 1, LANES):
                    later = builder.add(base, _number(m * VECTOR_BYTES))
                    entry = _load(builder, builder.add(address, _number(m * VECTOR_BYTES)))
                    _store(
                        builder,
                        _multiply_add(builder, builder.fneg(y), entry, _load(builder, later)),
                        later,
                    )

        _loop(builder, _number(0), blocks, block)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic
def substitute(typing_context: Any, lanes: Any, width: Any, corner: Any, x: Any) -> Any:
    """x = U^-1 w. `x` holds w in lanes, the constant first, and gets the solution."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, width, corner, x = arguments

        def column(step: Any) -> None:
            j = builder.sub(builder.sub(width, _number(1)), step)
            block = builder.sdiv(j, _number(LANES))
            inside = builder.srem(j, _number(LANES))
            place = _place(builder, x, builder.add(j, _number(1)))
            inverse = _load(builder, _place(builder, corner, builder.add(j, _number(INVERSE + 1))))
            solved = builder.fmul(_load(builder, place), inverse)
            _store(builder, solved, place)
            minus = builder.fneg(solved)
            entries = _place(builder, _line_address(builder, lanes, block, _number(1)), inside)

            def row(index: Any) -> None:  # of the constant (0), or of q_(index - 1)
                entry = _load(
                    builder, builder.add(entries, builder.mul(index, _number(LINE_BYTES)))
                )
                out = _place(builder, x, index)
                _store(builder, _multiply_add(builder, minus, entry, _load(builder, out)), out)

            _loop(builder, _number(0), builder.add(j, _number(1)), row)

        _loop(builder, _number(0), width, column)
        inverse = _load(builder, _place(builder, corner, _number(INVERSE)))
        _store(builder, builder.fmul(_load(builder, x), inverse), x)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate
