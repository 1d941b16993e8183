"""What compiled code needs to wait for other threads and processes, and numba does not offer:
ordered memory, time, sleep.
"""

import os
import time
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic

intrinsic: Any = numba_intrinsic  # as in simd.py

WORD, LONG = ir.IntType(32), ir.IntType(64)
LONG_BYTES = 8
WINDOWS = os.name == "nt"


@intrinsic
def load_acquire(typing_context: Any, address: Any) -> Any:
    """The int64 at `address`; what its writer wrote before it (with release) is seen by whatever
    comes after.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.PointerType(LONG))
        return builder.load_atomic(pointer, "acquire", LONG_BYTES)

    return types.int64(types.intp), generate


@intrinsic
def store_release(typing_context: Any, address: Any, value: Any) -> Any:
    """Writes an int64 to `address`, after everything that was written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.PointerType(LONG))
        builder.store_atomic(arguments[1], pointer, "release", LONG_BYTES)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), generate


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """Calls a function of the C library (Windows: of kernel32)."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


@intrinsic
def now_ns(typing_context: Any) -> Any:
    """Nanoseconds of a clock that only goes forward."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = cgutils.alloca_once(builder, LONG, size=2)
        if WINDOWS:  # in units of 100 ns
            _call(builder, "QueryUnbiasedInterruptTime", WORD, first)
            return builder.mul(builder.load(first), ir.Constant(LONG, 100))
        _call(builder, "clock_gettime", WORD, ir.Constant(WORD, time.CLOCK_MONOTONIC), first)
        second = builder.gep(first, [ir.Constant(WORD, 1)])
        return builder.add(
            builder.mul(builder.load(first), ir.Constant(LONG, 10**9)), builder.load(second)
        )

    return types.int64(), generate


@intrinsic
def thread_ns(typing_context: Any) -> Any:
    """Nanoseconds that this thread was on a core."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = cgutils.alloca_once(builder, LONG, size=4)
        times = [builder.gep(first, [ir.Constant(WORD, n)]) for n in range(4)]
        if WINDOWS:  # created, ended, in the kernel, in the program; in units of 100 ns
            thread = ir.Constant(LONG, -2).inttoptr(ir.PointerType(LONG))  # ourselves
            _call(builder, "GetThreadTimes", WORD, thread, *times)
            both = builder.add(builder.load(times[2]), builder.load(times[3]))
            return builder.mul(both, ir.Constant(LONG, 100))
        _call(
            builder, "clock_gettime", WORD, ir.Constant(WORD, time.CLOCK_THREAD_CPUTIME_ID), first
        )
        return builder.add(
            builder.mul(builder.load(times[0]), ir.Constant(LONG, 10**9)), builder.load(times[1])
        )

    return types.int64(), generate


@intrinsic
def give_way(typing_context: Any) -> Any:
    """Lets another thread that is ready have the core."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _call(builder, "SwitchToThread" if WINDOWS else "sched_yield", WORD)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def nap(typing_context: Any, microseconds: Any) -> Any:
    """Sleeps so long, below a second (Windows: 1 ms), and then some."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if WINDOWS:
            _call(builder, "Sleep", ir.VoidType(), ir.Constant(WORD, 1))
        else:
            _call(builder, "usleep", WORD, builder.trunc(arguments[0], WORD))
        return context.get_dummy_value()

    return types.void(types.int64), generate
