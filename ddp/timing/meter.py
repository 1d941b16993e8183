"""What a thread did with its time, as the scheduler saw it: on a core, ready but without a core, or
   asleep.

On Linux the kernel counts all three for each thread. What is left of a span's wall when the
thread's CPU time and its wait in the run queue are taken away, it slept; and in a span in which
there is nothing to sleep for, it slept because another thread held the GIL (CPython's `take_gil`
waits on a condition variable). Elsewhere only the CPU time is known.
"""

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

# a thread that was off its core for less was interrupted, and neither queued nor slept
ASLEEP_S = 5e-6


def process_began() -> float | None:
    """When this process was begun, to a hundredth of a second: a reading of `time.perf_counter`.
    None where that is not known.
    """
    try:
        # the program's name may hold anything
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return time.perf_counter() - age_s


class Meter:
    """Reads what its thread has used. It belongs to the thread that makes it, which must close it.

    `shares_gil`: other threads of this process run Python beside this one. `shares_thread`: so do
    others *in* this thread, when this one waits (backend=serial): what the thread did meanwhile was
    not for it.
    """

    def __init__(self, *, shares_gil: bool, shares_thread: bool = False) -> None:
        self.shares_gil = shares_gil and getattr(sys, "_is_gil_enabled", lambda: True)()
        self.shares_thread = shares_thread
        self._on_cpu = time.thread_time()
        self._file = -1
        try:
            self._file = os.open(
                f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY
            )
            self._read = _read_with_the_gil()
            self._content = ctypes.create_string_buffer(64)
            self._queued_ns = self._read_ns()
            if self._content.value.split()[2] == b"0":  # of times on a core, and we are on one
                self.close()
        # not Linux, or a kernel that does not count
        except (OSError, ValueError, IndexError, AttributeError):
            self.close()

    @property
    def knows_queue(self) -> bool:
        """Whether the wait in the run queue is known."""
        return self._file >= 0

    @property
    def sleep_kind(self) -> str:
        """The kind of time in which the thread slept in a span that has no reason to sleep."""
        return "gil_wait" if self.shares_gil and self.knows_queue else "off_cpu"

    def on_cpu_s(self) -> float:
        """Seconds on a core since the last time."""
        before, self._on_cpu = self._on_cpu, time.thread_time()
        return self._on_cpu - before

    def queued_s(self) -> float | None:
        """Seconds in the run queue since the last time; None if that is not known."""
        if self._file < 0:
            return None
        before, self._queued_ns = self._queued_ns, self._read_ns()
        return (self._queued_ns - before) / 1e9

    def _read_ns(self) -> int:
        # Time on a core, time in the run queue, times on a core. (The first is as of the last tick:
        # thread_time is exact.)
        self._read(self._file, self._content, len(self._content) - 1, 0)
        return int(self._content.value.split(b" ", 2)[1])

    def close(self) -> None:
        """Gives the descriptor back."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _read_with_the_gil() -> "ctypes._NamedFuncPointer":
    """`pread` of the C library. `os.pread` gives up the GIL, and who asks for it again waits for
    whoever has taken it meanwhile: with five threads in Python 140 us each time, to measure such
    waits.
    """
    function = ctypes.PyDLL(None).pread
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long)
    function.restype = ctypes.c_ssize_t
    return function
