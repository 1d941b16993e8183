"""A meter of a thread, in cases where the kinds of its time are known."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ddp.timing.gil import has_gil
from ddp.timing.meter import Meter
from ddp.timing.metered_spans import MeteredSpans

pytestmark = pytest.mark.alone
SCHEDSTAT = Path("/proc/self/schedstat").exists() and Path(
    "/proc/self/schedstat"
).read_text().split()[:1] != ["0"]
linux = pytest.mark.skipif(
    not SCHEDSTAT,
    reason="the kernel does not count waits in the run queue (Linux with schedstats does)",
)
needs_gil = pytest.mark.skipif(not has_gil(), reason="this interpreter has no GIL")
WORK_S = 0.3  # of CPU


def busy_in_python():
    """Takes so much CPU time with the GIL, which it gives up only on request."""
    end = time.thread_time() + WORK_S
    while time.thread_time() < end:
        pass


def busy_without_gil():
    """The same in compiled code without the GIL."""
    from numba import types

    from ddp.machine.compiled.atomics import thread_ns
    from ddp.machine.compiled.jit import compiled

    global _spin  # noqa: PLW0603
    if _spin is None:

        @compiled(types.void(types.int64))
        def spin(until_ns):
            while thread_ns() < until_ns:
                pass

        _spin = spin
    _spin(int((time.thread_time() + WORK_S) * 1e9))


_spin = None


def accounts_of(num_threads, work, name="compute"):
    """The account of each of so many threads that do the work at the same time."""
    barrier = threading.Barrier(num_threads)
    accounts = []

    def run():
        spans = MeteredSpans(Meter(shares_gil=True))
        try:
            barrier.wait()
            spans.take()
            with spans(name):
                work()
            accounts.append(spans.take())
        finally:
            spans.close()

    threads = [threading.Thread(target=run) for _ in range(num_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return accounts


@linux
@needs_gil
def test_two_busy_python_threads_wait_half_their_wall_for_the_gil():
    for account in accounts_of(2, busy_in_python):
        # On a loaded machine the thread with the GIL may wait for a core; the other one waits for
        # the GIL meanwhile.
        assert account.seconds["compute"] == pytest.approx(WORK_S, rel=0.1)
        assert account.kind_s("gil_wait") >= 0.3 * WORK_S
    both = sum(
        account.kind_s("gil_wait") + account.kind_s("run_queue")
        for account in accounts_of(2, busy_in_python)
    )
    assert both >= 0.7 * 2 * WORK_S


@linux
def test_two_threads_that_compute_without_the_gil_do_not_wait_for_it():
    busy_without_gil()  # compiled once
    for account in accounts_of(2, busy_without_gil):
        assert account.seconds["compute"] == pytest.approx(WORK_S, rel=0.1)
        assert account.kind_s("gil_wait") <= 0.1 * WORK_S


@linux
def test_who_sleeps_where_one_waits_does_not_wait_for_the_gil():
    for name in ("wait", "tell", "save"):
        (account,) = accounts_of(1, lambda: time.sleep(0.1), name)
        assert f"{name}/gil_wait" not in account.seconds
        assert account.seconds[name] >= 0.09


@linux
def test_more_threads_than_cores_wait_in_the_run_queue():
    before = os.sched_getaffinity(0)
    busy_without_gil()
    os.sched_setaffinity(0, {min(before)})  # threads inherit it
    try:
        accounts = accounts_of(2, busy_without_gil)
    finally:
        os.sched_setaffinity(0, before)
    for account in accounts:
        assert account.kind_s("run_queue") >= 0.5 * WORK_S
        assert account.kind_s("gil_wait") <= 0.1 * WORK_S


@linux
def test_alone_nobody_waits_for_the_gil():
    (account,) = accounts_of(1, busy_in_python)
    assert account.kind_s("gil_wait") <= 0.1 * WORK_S


@pytest.mark.parametrize("shares_gil", [True, False])
def test_where_the_run_queue_is_not_known_the_figure_is_named_as_the_coarser_one_it_is(
    monkeypatch, shares_gil
):
    def no_proc(*_):
        raise FileNotFoundError

    monkeypatch.setattr("ddp.timing.meter.os.open", no_proc)
    spans = MeteredSpans(Meter(shares_gil=shares_gil))
    spans.take()
    with spans("compute"):
        time.sleep(0.05)
    with spans("wait"):
        time.sleep(0.05)
    account = spans.take()
    spans.close()
    assert account.kind_s("off_cpu") >= 0.04
    assert account.kind_s("gil_wait") == account.kind_s("run_queue") == 0
    assert account.seconds["wait"] >= 0.04


@linux
def test_a_kernel_that_does_not_count_knows_no_queue(monkeypatch):
    """Such a kernel prints zeros, also for the number of times that the thread was on a core."""

    def read(file, content, size, offset):
        content.value = b"0 0 0\n"

    monkeypatch.setattr("ddp.timing.meter._read_with_the_gil", lambda: read)
    meter = Meter(shares_gil=True)
    assert not meter.knows_queue
    assert meter.queued_s() is None


def test_a_process_of_its_own_has_nobody_to_wait_for():
    spans = MeteredSpans(Meter(shares_gil=False))
    with spans("compute"):
        time.sleep(0.05)
    account = spans.take()
    spans.close()
    assert account.kind_s("gil_wait") == 0
    assert account.kind_s("off_cpu") >= 0.04


@linux
def test_when_a_process_began_is_known():
    code = (
        "import time; from ddp.timing.meter import process_began;"
        " print(process_began(), time.perf_counter())"
    )
    before = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    began, told = map(float, done.stdout.split())
    assert before - 0.02 <= began <= told <= time.perf_counter()


@linux
def test_a_meter_gives_its_descriptor_back():
    before = len(list(Path("/proc/self/fd").iterdir()))
    meters = [Meter(shares_gil=True) for _ in range(5)]
    for meter in meters:
        meter.close()
        meter.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
