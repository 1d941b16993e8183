"""Ordered memory access, clocks and sleep for compiled code.

The code waits for other threads and processes. numba offers none of the three.
"""

import time
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic

intrinsic: Any = numba_intrinsic  # as in simd.py

WORD, LONG = ir.IntType(32), ir.IntType(64)
LONG_BYTES = 8


@intrinsic
def load_acquire(typing_context: Any, address: Any) -> Any:
    """The int64 at `address`.

    Code after this sees everything that the writer of the number wrote before it with
    `store_release`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.PointerType(LONG))
        return builder.load_atomic(pointer, "acquire", LONG_BYTES)

    return types.int64(types.intp), generate


@intrinsic
def store_release(typing_context: Any, address: Any, value: Any) -> Any:
    """Writes an int64 to `address`, after everything that this thread has written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.PointerType(LONG))
        builder.store_atomic(arguments[1], pointer, "release", LONG_BYTES)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), generate


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """Calls a function of the C library."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _read_clock(builder: Any, clock: int) -> Any:
    """Nanoseconds on a clock of `clock_gettime`."""
    seconds = cgutils.alloca_once(builder, LONG, size=2)
    nanoseconds = builder.gep(seconds, [ir.Constant(WORD, 1)])
    _call(builder, "clock_gettime", WORD, ir.Constant(WORD, clock), seconds)
    whole = builder.mul(builder.load(seconds), ir.Constant(LONG, 10**9))
    return builder.add(whole, builder.load(nanoseconds))


@intrinsic
def now_ns(typing_context: Any) -> Any:
    """Nanoseconds of a clock that only goes forward."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _read_clock(builder, time.CLOCK_MONOTONIC)

    return types.int64(), generate


@intrinsic
def thread_ns(typing_context: Any) -> Any:
    """Nanoseconds that this thread has spent on a core."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _read_clock(builder, time.CLOCK_THREAD_CPUTIME_ID)

    return types.int64(), generate


@intrinsic
def give_way(typing_context: Any) -> Any:
    """Gives the core to another thread that is ready, if there is one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _call(builder, "sched_yield", WORD)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def nap(typing_context: Any, microseconds: Any) -> Any:
    """Sleeps for at least this time, which must be below a second."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _call(builder, "usleep", WORD, builder.trunc(arguments[0], WORD))
        return context.get_dummy_value()

    return types.void(types.int64), generate
