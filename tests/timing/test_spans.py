"""Spans with a fake clock: they never overlap, and add up to the wall."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.timing.account import Account, total_account
from ddp.timing.metered_spans import MeteredSpans
from ddp.timing.paths import OTHER
from ddp.timing.spans import Spans


class FakeClock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return FakeClock()


def test_an_inner_span_pauses_the_outer_one(clock):
    spans = Spans(clock)
    clock.now += 1
    with spans("publish"):
        clock.now += 2
        with spans("lock_wait"):
            clock.now += 4
        clock.now += 8
    clock.now += 16
    account = spans.take()
    assert account.seconds == {OTHER: 17.0, "publish": 10.0, "publish/lock_wait": 4.0}
    assert account.phase_s("publish") == 14.0
    assert account.kind_s("lock_wait") == 4.0
    assert account.wall_s == 31.0


def test_kinds_add_up_over_phases(clock):
    spans = Spans(clock)
    for phase in ("publish", "receive"):
        with spans(phase), spans("transfer"):
            clock.now += 3
    account = spans.take()
    assert account.kind_s("transfer") == 6
    assert account.phase_s("publish") == 3


def test_a_context_that_was_kept_opens_its_own_span(clock):
    spans = Spans(clock)
    outer, inner = spans("publish"), spans("copy")
    with outer:
        clock.now += 1
        with inner:
            clock.now += 2
    with outer, inner:
        clock.now += 4
    assert spans.take().seconds == {OTHER: 0.0, "publish": 1.0, "publish/copy": 6.0}
    assert spans("copy") is inner


def test_a_context_opens_inside_whatever_phase_is_open(clock):
    spans = Spans(clock)
    copy = spans("copy")
    for phase in ("publish", "receive"):
        with spans(phase), copy:
            clock.now += 1
    with copy:
        clock.now += 1
    seconds = {path: value for path, value in spans.take().seconds.items() if value}
    assert seconds == {"publish/copy": 1.0, "receive/copy": 1.0, "copy": 1.0}


def test_a_span_closes_on_an_exception(clock):
    spans = Spans(clock)

    def fail():
        clock.now += 5
        raise KeyError

    with pytest.raises(KeyError), spans("compute"):
        fail()
    clock.now += 1
    assert spans.take().seconds == {"compute": 5.0, OTHER: 1.0}


def test_what_an_interrupt_has_left_open_is_closed(clock):
    """A signal may come after a span has opened and before its block has begun."""
    spans = Spans(clock)
    spans("wait").__enter__()
    clock.now += 1
    spans.unwind()
    clock.now += 2
    with spans("stop"):
        clock.now += 4
    account = spans.take()
    assert account.seconds["stop"] == 4
    assert account.seconds[OTHER] == 2
    assert account.wall_s == 7


def test_take_starts_anew_also_inside_a_span(clock):
    spans = Spans(clock)
    with spans("compute"):
        clock.now += 2
        first = spans.take()
        clock.now += 3
    assert first.seconds == {"compute": 2.0}
    assert spans.take().seconds == {"compute": 3.0, OTHER: 0.0}


def test_what_hardly_takes_time_between_two_spans_is_the_second_ones(clock):
    spans = Spans(clock)
    for gap_s in (1e-6, 0.5):
        clock.now += gap_s
        with spans("compute"):
            clock.now += 2
    assert spans.take().seconds == {"compute": pytest.approx(4.000001), OTHER: 0.5}


class Scheduler:
    """A meter of a thread that was on a core for `on_cpu` seconds, and never in the run queue."""

    shares_gil, shares_thread, knows_queue, sleep_kind = True, False, True, "gil_wait"

    on_cpu = 0.0

    def on_cpu_s(self):
        on_cpu, self.on_cpu = self.on_cpu, 0.0
        return on_cpu

    def queued_s(self):
        return 0.0


@pytest.mark.parametrize("slept_s", [1e-4, 1.0])
def test_a_span_is_not_told_what_was_slept_before_it(clock, slept_s):
    meter = Scheduler()
    spans = MeteredSpans(meter, clock)
    with spans("wait"):
        clock.now += slept_s
    meter.on_cpu = 2e-4
    with spans("receive"), spans("deserialise"):
        clock.now += 2e-4
    account = spans.take()
    assert account.seconds["receive/deserialise"] == pytest.approx(2e-4)
    assert account.seconds["wait"] == pytest.approx(slept_s)
    assert account.kind_s("gil_wait") == 0


def test_bytes_belong_to_the_phase(clock):
    spans = Spans(clock)
    with spans("publish"), spans("serialise"):
        spans.count_bytes(10)
    with spans("publish"):
        spans.count_bytes(5)
    account = spans.take()
    assert account.num_bytes == {"publish": 15}
    assert spans.take().num_bytes == {}


def test_total_account():
    total = total_account(
        [
            Account(seconds={"compute": 1.5, "wait": 1}, num_bytes={"publish": 3}),
            Account(seconds={"compute": 2.25}, num_bytes={"receive": 4, "publish": 1}),
        ]
    )
    assert total.seconds == {"compute": 3.75, "wait": 1}
    assert total.num_bytes == {"publish": 4, "receive": 4}
    assert total_account([]).wall_s == 0


@given(st.lists(st.tuples(st.sampled_from(["open a", "open b", "close"]), st.integers(0, 100))))
def test_whatever_is_nested_adds_up_to_the_wall(steps):
    clock = FakeClock()
    spans = Spans(clock)
    stack = []
    for action, seconds in steps:
        clock.now += seconds
        if action == "close":
            if stack:
                stack.pop().__exit__(None, None, None)
        else:
            stack.append(spans(action[-1]))
            stack[-1].__enter__()
    assert spans.take().wall_s == clock.now - 100
