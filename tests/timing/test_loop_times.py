"""The clocks of a compiled loop, split into kinds of time."""

import pytest

from ddp.timing.loop_times import LoopTimes
from ddp.timing.metered_spans import MeteredSpans
from ddp.timing.spans import Spans

NONE = (0, 0)


class Scheduler:
    """A meter of a thread that was on a core for so long, and that shares the GIL."""

    knows_queue, sleep_kind = True, "gil_wait"

    def __init__(self, on_cpu_s):
        self.on_cpu = on_cpu_s

    def on_cpu_s(self):
        return self.on_cpu

    def queued_s(self):
        return 0.0


def times(whole, waited=NONE, evaluated=NONE, copied=NONE):
    """From seconds: wall and on a core."""
    rows = (whole, waited, evaluated, copied)
    return LoopTimes(*([seconds * 10**9 for seconds in row] for row in rows))


MIXED = times((100, 70), waited=(20, 5), evaluated=(30, 20), copied=(4, 0))
PARTS = {"compute": 60.0, "wait": 20.0, "evaluate": 26.0, "evaluate/copy": 4.0}
# Off its core: 15 waiting, 10 evaluating, and 5 of the rest; and of the 10 around the loop 7.
METERED_PARTS = {
    **{"compute": 48.0, "compute/gil_wait": 7.0, "compute/run_queue": 5.0, "wait": 20.0},
    **{"evaluate": 16.0, "evaluate/copy": 4.0, "evaluate/run_queue": 10.0},
}


def test_the_parts_of_a_loop_add_up_to_the_wall_around_it():
    assert MIXED.parts(110.0) == PARTS
    parts = MIXED.metered_parts(110.0, Scheduler(73.0))
    assert parts == pytest.approx(METERED_PARTS)
    assert sum(parts.values()) == pytest.approx(110.0)


def test_a_loop_that_only_computes_has_no_other_part():
    assert times((100, 100)).parts(100.0) == {"compute": 100.0}
    assert times((100, 100)).metered_parts(100.0, Scheduler(100.0)) == {"compute": 100.0}


def test_where_the_run_queue_is_not_known_time_off_the_core_has_the_coarser_kind():
    meter = Scheduler(73.0)
    meter.knows_queue, meter.sleep_kind = False, "off_cpu"
    parts = MIXED.metered_parts(110.0, meter)
    assert parts["compute/off_cpu"] == pytest.approx(7.0 + 5.0)
    assert parts["evaluate/off_cpu"] == pytest.approx(10.0)
    assert sum(parts.values()) == pytest.approx(110.0)


def test_a_copy_that_was_interrupted_leaves_nothing_below_zero():
    """Evaluation took 30: 25 a copy, 20 off its core, so at least 15 of these in the copy."""
    interrupted = times((100, 80), evaluated=(30, 10), copied=(25, 0))
    assert interrupted.metered_parts(100.0, Scheduler(80.0)) == pytest.approx(
        {"compute": 70.0, "evaluate": 0.0, "evaluate/copy": 10.0, "evaluate/run_queue": 20.0}
    )


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("make", "parts"),
    [(Spans, PARTS), (lambda clock: MeteredSpans(Scheduler(73.0), clock), METERED_PARTS)],
)
def test_a_stopwatch_credits_a_loop_by_its_clocks(make, parts):
    clock = Clock()
    spans = make(clock)
    with spans("compute"):
        clock.now = 110.0
        spans.credit_loop(MIXED)
        assert spans.so_far("wait") == pytest.approx(20.0)
        clock.now = 110.0 + 2**-20
    account = spans.take()
    assert account.wall_s == pytest.approx(clock.now)
    assert {path: value for path, value in account.seconds.items() if value} == pytest.approx(
        parts, abs=2**-20
    )
