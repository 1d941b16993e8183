"""Reads from the scheduler how a thread spent its time: on a core, in the run queue, or asleep.

Linux counts the first two for each thread: `time.thread_time`, and /proc/self/task/<id>/schedstat.

    wall = on a core + in the run queue + asleep

A thread that sleeps in a span without a reason to sleep waits for the GIL: CPython's `take_gil`
waits on a condition variable. Other systems tell only the time on a core.
"""

import ctypes
import os
import threading
import time
from pathlib import Path

from ddp.timing.gil import has_gil

# A shorter time off the core is an interrupt: the thread neither queued nor slept.
ASLEEP_S = 5e-6


def process_began() -> float | None:
    """The start of this process on the clock of `time.perf_counter`, to a hundredth of a second.

    None if the system does not tell.
    """
    try:
        # The program's name comes first, in brackets, and may hold brackets and spaces.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return time.perf_counter() - age_s


class Meter:
    """Reads the scheduler's counts of one thread: the thread that makes it, and that closes it.

    `shares_gil`: other threads of this process run Python at the same time. `shares_thread`: while
    one worker waits, others run in this same thread (backend=serial), so the counts of a wait say
    nothing about that worker.
    """

    def __init__(self, *, shares_gil: bool, shares_thread: bool = False) -> None:
        self.shares_gil = shares_gil and has_gil()
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
            # The third number counts the times on a core. This thread is on one, so 0 means that
            # Linux does not count.
            if self._content.value.split()[2] == b"0":
                self.close()
        # Not Linux, or a kernel without these counts.
        except (OSError, ValueError, IndexError, AttributeError):
            self.close()

    @property
    def knows_queue(self) -> bool:
        """True if the system tells the time in the run queue."""
        return self._file >= 0

    @property
    def sleep_kind(self) -> str:
        """The kind of time in which the thread slept in a span that has no reason to sleep."""
        return "gil_wait" if self.shares_gil and self.knows_queue else "off_cpu"

    def on_cpu_s(self) -> float:
        """Seconds on a core since the last call."""
        before, self._on_cpu = self._on_cpu, time.thread_time()
        return self._on_cpu - before

    def queued_s(self) -> float | None:
        """Seconds in the run queue since the last call; None if the system does not tell."""
        if self._file < 0:
            return None
        before, self._queued_ns = self._queued_ns, self._read_ns()
        return (self._queued_ns - before) / 1e9

    def _read_ns(self) -> int:
        # The file has the time on a core, the time in the run queue, and how often the thread was
        # on a core. The first is as of the last tick, so `on_cpu_s` reads thread_time instead.
        self._read(self._file, self._content, len(self._content) - 1, 0)
        return int(self._content.value.split(b" ", 2)[1])

    def close(self) -> None:
        """Closes the file. A closed meter does not know the run queue."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _read_with_the_gil() -> "ctypes._NamedFuncPointer":
    """`pread` of the C library, called without releasing the GIL.

    `os.pread` releases the GIL and has to wait for it afterwards: 140 us each time with five busy
    threads. A meter would then cause the waits that it measures.
    """
    function = ctypes.PyDLL(None).pread
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long)
    function.restype = ctypes.c_ssize_t
    return function
