"""Normal random numbers, 8 streams at once, for compiled kernels.

A stream has a key, and number j of a stream follows from the key and j alone. So a draw depends
neither on other streams nor on the order of the draws.
"""

import math
from typing import Any

from llvmlite import ir
from numba import types

from ddp.machine.compiled.emit import LONG, Emitter
from ddp.machine.compiled.simd import LANES, VECTOR, WORD, intrinsic, pointer, splat

WORDS = ir.VectorType(WORD, LANES)
LONGS = ir.VectorType(LONG, LANES)
LONG_BYTES = 8

GAMMA = 0x9E3779B97F4A7C15  # of splitmix64
FIRST_FACTOR, SECOND_FACTOR = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

# Minimax polynomials of cephes (Moshier, Methods and Programs for Mathematical Functions, 1989):
# logf, sinf and cosf, with errors below 2e-7.
LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)


class _Normals(Emitter):
    """Emits the arithmetic of `lane_normals`."""

    def floats(self, value: float) -> Any:
        return ir.Constant(VECTOR, [value] * LANES)

    def words(self, value: int) -> Any:
        return ir.Constant(WORDS, [value] * LANES)

    def longs(self, value: int) -> Any:
        return ir.Constant(LONGS, [value] * LANES)

    def polynomial(self, coefficients: tuple[float, ...], x: Any) -> Any:
        value = self.floats(coefficients[0])
        for coefficient in coefficients[1:]:
            value = self.multiply_add(value, x, self.floats(coefficient))
        return value

    def mixed(self, state: Any) -> Any:
        """The output of splitmix64 for these states."""
        builder = self.builder
        for shift, factor in ((30, FIRST_FACTOR), (27, SECOND_FACTOR)):
            state = builder.xor(state, builder.lshr(state, self.longs(shift)))
            state = builder.mul(state, self.longs(factor))
        return builder.xor(state, builder.lshr(state, self.longs(31)))

    def minus_log(self, words: Any) -> Any:
        """-ln u of u = (n + 1/2) / 2^23, where n are the upper 23 bits of the words."""
        builder = self.builder
        n = builder.uitofp(builder.lshr(words, self.words(9)), VECTOR)
        u = builder.fmul(builder.fadd(n, self.floats(0.5)), self.floats(2.0**-23))
        bits = builder.bitcast(u, WORDS)
        exponent = builder.sub(builder.lshr(bits, self.words(23)), self.words(126))
        mantissa = builder.or_(builder.and_(bits, self.words(0x007FFFFF)), self.words(0x3F000000))
        m = builder.bitcast(mantissa, VECTOR)  # from 1/2 to 1
        is_low = builder.fcmp_ordered("<", m, self.floats(math.sqrt(0.5)))
        exponent = builder.select(is_low, builder.sub(exponent, self.words(1)), exponent)
        m = builder.select(is_low, builder.fadd(m, m), m)
        x = builder.fsub(m, self.floats(1.0))
        square = builder.fmul(x, x)
        log = builder.fmul(builder.fmul(self.polynomial(LOG, x), x), square)
        log = self.multiply_add(self.floats(-0.5), square, log)
        log = builder.fadd(log, x)
        e = builder.sitofp(exponent, VECTOR)
        return builder.fneg(self.multiply_add(e, self.floats(math.log(2.0)), log))

    def sine_and_cosine(self, words: Any) -> tuple[Any, Any]:
        """Of the angle 2 pi * word / 2^32."""
        builder = self.builder
        quarter = builder.ashr(builder.add(words, self.words(1 << 29)), self.words(30))
        rest = builder.sub(words, builder.shl(quarter, self.words(30)))
        x = builder.fmul(builder.sitofp(rest, VECTOR), self.floats(2 * math.pi / 2.0**32))
        square = builder.fmul(x, x)
        sine = builder.fmul(builder.fmul(self.polynomial(SIN, square), square), x)
        sine = builder.fadd(sine, x)
        cosine = builder.fmul(self.polynomial(COS, square), builder.fmul(square, square))
        cosine = self.multiply_add(self.floats(-0.5), square, cosine)
        cosine = builder.fadd(cosine, self.floats(1.0))
        zero = self.words(0)
        is_odd = builder.icmp_unsigned("!=", builder.and_(quarter, self.words(1)), zero)
        turned = builder.add(quarter, self.words(1))

        def signed(value: Any, where: Any) -> Any:
            minus = builder.icmp_unsigned("!=", builder.and_(where, self.words(2)), zero)
            return builder.select(minus, builder.fneg(value), value)

        return (
            signed(builder.select(is_odd, cosine, sine), quarter),
            signed(builder.select(is_odd, sine, cosine), turned),
        )


@intrinsic
def lane_normals(typing_context: Any, keys: Any, count: Any, out: Any) -> Any:
    """Writes the first `count` normals of 8 streams, in lanes; `count` must be even.

    `keys`: where the 8 keys (uint64) lie. Source: Box and Muller, A note on the generation of
    random normal deviates, 1958; the uniform numbers are those of splitmix64 (Steele, Lea, Flood,
    OOPSLA 2014), whose state is the key plus a multiple of GAMMA.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        keys, count, out = arguments
        emitter = _Normals(builder)
        first = builder.load(pointer(builder, keys, LONGS), align=LONG_BYTES)

        def pair(index: Any) -> None:
            step = emitter.times(emitter.plus(index, 1), GAMMA)
            random = emitter.mixed(builder.add(first, splat(builder, step, LONGS)))
            high = builder.trunc(builder.lshr(random, emitter.longs(32)), WORDS)
            low = builder.trunc(random, WORDS)
            minus_log = emitter.minus_log(high)
            radius = emitter.root(builder.fadd(minus_log, minus_log))
            sine, cosine = emitter.sine_and_cosine(low)
            place = emitter.place(out, emitter.times(index, 2))
            emitter.store(builder.fmul(radius, cosine), place)
            emitter.store(builder.fmul(radius, sine), emitter.place(place, 1))

        emitter.loop(0, builder.sdiv(count, emitter.number(2)), pair)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate
