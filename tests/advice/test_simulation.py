"""The simulated machine: small cases worked out by hand, and laws that hold in any case."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.advice.kinds import GIL, MEMORY, QUEUE
from ddp.advice.machine_model import Machine
from ddp.advice.simulation import Delay, Gate, Wait, Work, simulate


def script(*steps):
    yield from steps


def end(machine, *scripts):
    return max(actor.end for actor in simulate(machine, scripts))


def compute(seconds, **more):
    return Work(seconds=seconds, kind="compute", **more)


# --- by hand ---


@pytest.mark.parametrize(
    ("workers", "cores", "wall"),
    [(1, 1, 3), (2, 2, 3), (2, 1, 6), (3, 2, 4.5), (4, 2, 6), (2, 8, 3)],
)
def test_cores_are_shared_by_all(workers, cores, wall):
    assert end(
        Machine(cores=cores), *(script(compute(3.0)) for _ in range(workers))
    ) == pytest.approx(wall)


@pytest.mark.parametrize(("held_s", "wall"), [(1.0, 2.0), (0.75, 1.5), (0.5, 1.0), (0.0, 1.0)])
def test_two_threads_that_hold_the_gil_for_so_long(held_s, wall):
    actors = simulate(Machine(cores=2), [script(compute(1.0, held_s=held_s)) for _ in range(2)])
    assert [actor.end for actor in actors] == [pytest.approx(wall)] * 2
    for actor in actors:
        assert actor.seconds["compute"] == pytest.approx(1.0)
        assert actor.seconds[GIL] == pytest.approx(wall - 1.0)


def test_a_thread_that_needs_no_gil_is_not_held_up_by_those_that_do():
    actors = simulate(
        Machine(cores=3),
        [script(compute(1.0, held_s=1.0)), script(compute(1.0, held_s=1.0)), script(compute(1.0))],
    )
    assert [actor.end for actor in actors] == [
        pytest.approx(2.0),
        pytest.approx(2.0),
        pytest.approx(1.0),
    ]


@pytest.mark.parametrize(("threads", "each_s"), [(1, 0.0), (2, 0.01), (8, 0.04)])
def test_a_batch_costs_a_handoff_more_beside_others(threads, each_s):
    machine = Machine(cores=8, handoff_s=0.01, handoff_growth=1.0)
    assert end(
        machine, *(script(compute(1.0, batches=100)) for _ in range(threads))
    ) == pytest.approx(1.0 + 100 * each_s)


def test_on_one_core_nothing_is_handed_over():
    machine = Machine(cores=1, handoff_s=0.01, handoff_growth=1.0)
    assert end(machine, *(script(compute(1.0, batches=100)) for _ in range(2))) == pytest.approx(
        2.0
    )


def test_memory_is_shared_by_those_who_use_it():
    copying = [script(Work(seconds=1.0, kind="copy", num_bytes=6e9)) for _ in range(2)]
    *copies, other = simulate(Machine(cores=3, bandwidth=8e9), [*copying, script(compute(1.0))])
    assert [actor.end for actor in copies] == [pytest.approx(1.5)] * 2
    assert copies[0].seconds[MEMORY] == pytest.approx(0.5)
    assert other.end == pytest.approx(1.0)


def test_a_delay_needs_no_core():
    assert end(Machine(cores=1), script(Delay(2.0, "disk")), script(compute(2.0))) == pytest.approx(
        2.0
    )


def test_who_comes_back_from_a_delay_shares_the_core_from_then_on():
    actors = simulate(
        Machine(cores=1), [script(Delay(1.0, "disk"), compute(2.0)), script(compute(3.0))]
    )
    assert [actor.end for actor in actors] == [pytest.approx(5.0)] * 2


def test_one_that_waits_goes_on_when_all_have_come():
    gate = Gate()

    def comes(after_s):
        yield compute(after_s)
        gate.add_one()

    waiting, *_ = simulate(
        Machine(cores=2), [script(Wait(gate, 2, "wait"), compute(1.0)), comes(1.0), comes(3.0)]
    )
    assert waiting.end == pytest.approx(4.0)
    assert waiting.seconds == {"wait": pytest.approx(3.0), "compute": pytest.approx(1.0)}


def test_nobody_waits_at_an_open_gate():
    gate = Gate()
    gate.raise_to(3)
    (actor,) = simulate(Machine(cores=1), [script(Wait(gate, 3, "wait"), compute(1.0))])
    assert actor.seconds == {"compute": pytest.approx(1.0)}


def test_waiting_for_ever_is_an_error_and_no_hang():
    with pytest.raises(RuntimeError, match="for ever"):
        simulate(Machine(cores=1), [script(Wait(Gate(), 1, "wait"))])


def test_work_that_is_not_divided_counts_as_one_kind():
    actors = simulate(
        Machine(cores=1), [script(Work(seconds=1.0, kind="start", divided=False)) for _ in range(2)]
    )
    assert [dict(actor.seconds) for actor in actors] == [{"start": pytest.approx(2.0)}] * 2


# --- laws ---

seconds = st.floats(0.001, 10.0)
works = st.builds(
    lambda s, batches, held, size: compute(s, batches=batches, held_s=held * s, num_bytes=size),
    seconds, st.sampled_from([0, 1, 1000]), st.floats(0, 1), st.sampled_from([0.0, 1e9]),
)  # fmt: skip
free = st.builds(compute, seconds)  # of processes: they share cores only
machines = st.builds(
    Machine,
    cores=st.integers(1, 8), bandwidth=st.sampled_from([1e9, 1e12]), handoff_s=st.floats(0, 1e-3),
    handoff_growth=st.floats(0, 1),
)  # fmt: skip


def jobs(kind):
    return st.lists(st.lists(kind, min_size=1, max_size=4), min_size=1, max_size=6)


@given(machines, jobs(works))
def test_every_second_of_a_life_has_one_kind_and_work_is_neither_lost_nor_made(machine, lists):
    for steps, actor in zip(
        lists, simulate(machine, [script(*steps) for steps in lists]), strict=True
    ):
        assert sum(actor.seconds.values()) == pytest.approx(actor.end)
        assert actor.seconds["compute"] == pytest.approx(sum(work.seconds for work in steps))


@given(machines, jobs(works))
def test_the_wall_is_at_least_all_work_over_all_cores_and_at_least_the_longest(machine, lists):
    wall = end(machine, *(script(*steps) for steps in lists)) * (1 + 1e-9)
    walls = [sum(work.seconds for work in steps) for steps in lists]
    assert wall >= sum(walls) / machine.cores
    assert wall >= max(walls)
    assert wall >= sum(work.held_s for steps in lists for work in steps)


@given(machines, st.lists(works, min_size=1, max_size=4))
def test_one_alone_waits_for_no_gil_and_no_core(machine, steps):
    (actor,) = simulate(machine, [script(*steps)])
    assert actor.seconds.get(GIL, 0.0) == pytest.approx(0.0, abs=1e-12)
    assert actor.seconds.get(QUEUE, 0.0) == 0.0


@given(jobs(free), st.integers(1, 8), st.integers(1, 8))
def test_for_processes_more_cores_are_never_slower(lists, cores, more):
    few, many = (
        end(Machine(cores=number), *(script(*steps) for steps in lists))
        for number in (cores, cores + more)
    )
    assert many <= few * (1 + 1e-9)


@given(machines, jobs(works))
def test_it_does_not_matter_in_which_order_they_are_given(machine, lists):
    totals = []
    for order in (lists, lists[::-1]):
        total = defaultdict(float)
        for actor in simulate(machine, [script(*steps) for steps in order]):
            for kind, value in actor.seconds.items():
                total[kind] += value
        totals.append(dict(total))
    assert totals[0] == pytest.approx(totals[1], abs=1e-9)
