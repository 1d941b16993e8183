"""Laws that every prediction of a run keeps."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import USUAL
from machines import constants
from plain_jobs import wall

from ddp.advice.kinds import COMPUTE, GIL, QUEUE, RECORD
from ddp.advice.prediction import predict
from ddp.advice.scripts import Surroundings

JOBS = st.tuples(
    st.sampled_from(USUAL),
    st.sampled_from(["fused", "autograd", "gibbs", "als"]),
    st.sampled_from(["iid", "user", "stratified"]),
    st.integers(1, 5),
    st.integers(1, 12),
    st.integers(1, 9),
)


def made(of, job):
    backend, trainer, split, workers, rounds, epochs = job
    sweeps = trainer in ("gibbs", "als")
    aggregation = "none" if sweeps else "uniform"
    options = (
        f"backend={backend}",
        f"trainer={trainer}",
        f"split={'both' if sweeps else split}",
        f"workers={workers}",
        f"rounds={rounds}",
    )
    more = ("checkpoint_every=1", f"aggregation={aggregation}", f"local_epochs={epochs}")
    return *of(*options, *more), constants("adam" if trainer == "autograd" else trainer)


@settings(max_examples=25)
@given(job=JOBS, cores=st.integers(1, 8))
def test_any_job_has_a_prediction_whose_kinds_are_no_less_than_nothing_and_the_same_each_time(
    of, job, cores
):
    config, sizes, machine = made(of, job)
    first, second = (predict(config, sizes, machine, Surroundings(cores=cores)) for _ in range(2))
    assert first == second
    assert all(value >= 0 for value in first.seconds.values())
    assert first.wall_s > 0
    assert first.seconds[RECORD] > 0
    if config.workers == 1 or config.backend.name != "thread":
        assert first.seconds.get(GIL, 0.0) == pytest.approx(0.0, abs=1e-12)
    if cores > config.workers + 2:  # one more for the aggregator, one for listening
        assert first.seconds.get(QUEUE, 0.0) == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=25)
@given(job=JOBS)
def test_no_run_is_shorter_than_its_work_over_the_cores(of, job):
    config, sizes, machine = made(of, job)
    alone = predict(
        dataclasses.replace(config, backend=of("backend=serial")[0].backend), sizes, machine
    )
    for backend in ("process", "shm"):
        other = predict(
            dataclasses.replace(config, backend=of(f"backend={backend}")[0].backend), sizes, machine
        )
        cores = min(machine.cores, config.workers)
        # 0.95: the split is random, so that work is uneven
        assert other.wall_s > 0.95 * alone.seconds[COMPUTE] / cores


@settings(max_examples=30)
@given(job=JOBS, cores=st.integers(1, 6), more=st.integers(1, 58))
def test_processes_are_not_slower_on_more_cores(of, job, cores, more):
    config, sizes, machine = made(of, job)
    if config.backend.name != "thread":
        machine = dataclasses.replace(
            machine, exchanges=dataclasses.replace(machine.exchanges, jitter=0.0)
        )
        few, many = (wall(config, sizes, machine, cores=number) for number in (cores, cores + more))
        assert many <= few * (1 + 1e-9)
