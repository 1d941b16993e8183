"""Prefetching for compiled kernels. numba offers none.

A line that several cores read must be asked for to read: to ask for it to write takes it away from
the others.
"""

from typing import Any

from llvmlite import ir
from numba import types

from ddp.machine.compiled.simd import WORD, intrinsic

READ, WRITE = 0, 1


def ask_for(builder: Any, address: Any, access: int) -> None:
    """Emits the code that asks the processor to load the cache line at `address`."""
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, WORD, WORD, WORD])
    function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
    in_all_levels, data = 3, 1
    options = [ir.Constant(WORD, value) for value in (access, in_all_levels, data)]
    builder.call(function, [builder.inttoptr(address, pointer), *options])


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Asks for the cache line at `address`, which may be any address, to write to it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ask_for(builder, arguments[0], WRITE)
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic
def prefetch_to_read(typing_context: Any, address: Any) -> Any:
    """Asks for the cache line at `address`, which may be any address, to read it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ask_for(builder, arguments[0], READ)
        return context.get_dummy_value()

    return types.void(types.intp), generate
