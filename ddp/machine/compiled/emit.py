"""Emits code of compiled kernels that works on vectors of 8 floats at given addresses."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ddp.machine.compiled.simd import (
    FLOAT_BYTES,
    LANES,
    VECTOR,
    multiply_add,
    pointer,
    splat,
)

LONG = ir.IntType(64)
VECTOR_BYTES = LANES * FLOAT_BYTES
DOUBLES_BYTES = 8 * LANES
Number = Any  # an int, or an integer of 64 bits in the code


class Emitter:
    """Appends to the code of an intrinsic. Addresses are integers, and vectors have 8 floats."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def number(self, value: Number) -> Any:
        """An integer of 64 bits."""
        return ir.Constant(LONG, value) if isinstance(value, int) else value

    def plus(self, *numbers: Number) -> Any:
        """Their sum."""
        total = self.number(numbers[0])
        for number in numbers[1:]:
            total = self.builder.add(total, self.number(number))
        return total

    def times(self, number: Number, other: Number) -> Any:
        """Their product."""
        return self.builder.mul(self.number(number), self.number(other))

    def place(self, base: Any, index: Number, size: Number = VECTOR_BYTES) -> Any:
        """The address of number `index` of things of `size` bytes that begin at `base`."""
        return self.plus(base, self.times(index, size))

    def split(self, number: Any) -> tuple[Any, Any]:
        """How often it has 8, and the rest."""
        lanes = self.number(LANES)
        return self.builder.sdiv(number, lanes), self.builder.srem(number, lanes)

    def load(self, address: Any, kind: Any = VECTOR) -> Any:
        """The value at this address."""
        return self.builder.load(pointer(self.builder, address, kind), align=FLOAT_BYTES)

    def store(self, value: Any, address: Any) -> None:
        """Writes the value to this address."""
        place = pointer(self.builder, address, value.type)
        self.builder.store(value, place, align=FLOAT_BYTES)

    def eight(self, address: Any) -> list[Any]:
        """The 8 vectors from this address on."""
        return [self.load(self.place(address, n)) for n in range(LANES)]

    def variable(self, kind: Any = VECTOR) -> Any:
        """Room for a value: a register, as far as there is one."""
        return cgutils.alloca_once(self.builder, kind)

    def loop(self, start: Number, stop: Number, body: Callable[[Any], None]) -> None:
        """`for index in range(start, stop)`: `body(index)` emits the code of a turn."""
        bounds = self.number(start), self.number(stop)
        with cgutils.for_range_slice(self.builder, *bounds, self.number(1), LONG) as (index, _):
            body(index)

    def splat(self, scalar: Any) -> Any:
        """A vector with `scalar` in every lane."""
        return splat(self.builder, scalar, VECTOR)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """x * y + z, in one instruction if the processor has it."""
        return multiply_add(self.builder, x, y, z)

    def root(self, vector: Any) -> Any:
        """The square roots."""
        kind = ir.FunctionType(VECTOR, [VECTOR])
        # llvmlite's declare_intrinsic knows no vectors
        name = f"llvm.sqrt.v{LANES}f32"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [vector])
