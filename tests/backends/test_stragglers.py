"""straggler_timeout: no aggregate waits for late workers; their states count in the next one."""

import threading
from functools import partial

import numpy as np
import pytest
from jobs import BACKENDS, DEADLINE_S, make_trainer, prepare

from ddp.aggregation.mean import weighted_mean
from ddp.backends.worker_processes import WorkerProcesses
from ddp.config import seeding
from ddp.errors import ConfigError
from ddp.tracking.messages import Finished

LATE = 1
OPTIONS = (
    *("trainer=fused", "trainer.lr_decay=1", "split=iid"),
    *("aggregation=uniform", "select_on=last", "workers=3", "rounds=3"),
    *("local_epochs=2", "straggler_timeout=0.3", "agg_timeout=3600"),
)
CONCURRENT = ("thread", "process", "shm")


class Late:
    """A worker's end. Worker 1 publishes round 0 when the test lets it.

    If they go `in_order`, the others publish and finish after worker 1, from round 1 on: then the
    test does not depend on how fast the workers are.
    """

    def __init__(self, exchange, events, worker, in_order):
        self._exchange = exchange
        self._events = events
        self._late = worker == LATE
        self._in_order = in_order

    def __getattr__(self, name):
        return getattr(self._exchange, name)

    def publish(self, update):
        if self._late and update.round_index == 0:
            self._events["let go"].wait()
        step = f"published {update.round_index}" if self._late else AFTER[update.round_index]
        self._after_the_late_one(step, lambda: self._exchange.publish(update))

    def tell(self, message):
        step = "finished" if isinstance(message, Finished) else None
        self._after_the_late_one(step, lambda: self._exchange.tell(message))

    def _after_the_late_one(self, step, do):
        if step is not None and self._in_order and not self._late:
            self._events[step].wait()
        do()
        if step is not None and self._late:
            self._events[step].set()


# The step of worker 1 that the others wait for before they publish. It leaves out round 1.
AFTER = {0: None, 1: "published 0", 2: "published 2"}
STEPS = ("let go", "published 0", "published 2", "finished")


def late(events, in_order, worker, exchange):
    return Late(exchange, events, worker, in_order)


def hold_back(backend, *, in_order):
    """Makes worker 1 late until the test sets the event that it gives."""
    in_processes = isinstance(backend, WorkerProcesses)
    new = backend.context.Event if in_processes else threading.Event
    events = {step: new() for step in STEPS}
    backend.wrap = partial(late, events, in_order)
    return events["let go"]


def trained(job, start, round_index):
    model = job.parameters(start.copy())
    trainer = make_trainer(job.config.trainer, model, job.shard.train)
    order = seeding.stream(job.config.seed, "order", job.worker, round_index)
    for _ in range(job.config.local_epochs):
        trainer.epoch(order)
    return model.vector


@pytest.mark.parametrize("name", CONCURRENT)
def test_a_late_update_counts_in_the_next_round_and_its_worker_then_goes_on_with_the_others(
    make_config, driven, name
):
    config = make_config(*OPTIONS, *BACKENDS[name])
    events = []

    def look(moment, round_index, backend):
        if (moment, round_index) == ("broadcast", 0):
            events[0].set()

    run = driven(
        config, look=look, prepare=lambda backend: events.append(hold_back(backend, in_order=True))
    ).run()
    weights = [row.weights for row in run.history.aggregate_rounds]
    assert weights == [(0.5, 0.0, 0.5), pytest.approx((1 / 3,) * 3), pytest.approx((1 / 3,) * 3)]
    # it leaves out the round that it missed
    assert [row.round_index for row in run.history.worker(LATE)] == [0, 2]
    jobs = prepare(config).make_jobs()
    start = jobs[0].vector
    late = trained(jobs[LATE], start, 0)
    first = weighted_mean([trained(jobs[worker], start, 0) for worker in (0, 2)], np.ones(2))
    assert run.vectors[0].tobytes() == first.tobytes()
    others = {worker: trained(jobs[worker], first, 1) for worker in (0, 2)}
    second = weighted_mean([others[0], late, others[2]], np.ones(3))
    assert run.vectors[1].tobytes() == second.tobytes()
    third = weighted_mean([trained(job, second, 2) for job in jobs], np.ones(3))
    assert run.vectors[2].tobytes() == third.tobytes()


@pytest.mark.parametrize("name", CONCURRENT)
def test_a_worker_that_never_comes_does_not_keep_the_run_from_its_end(make_config, driven, name):
    events = []
    attempt = driven(
        make_config(*OPTIONS, *BACKENDS[name]),
        prepare=lambda backend: events.append(hold_back(backend, in_order=False)),
    )
    try:
        run = attempt.run()
        assert [row.weights for row in run.history.aggregate_rounds] == [(0.5, 0.0, 0.5)] * 3
        assert run.history.worker(LATE) == []
    finally:
        # A process was killed while it waited, and needs no event.
        if name == "thread":
            events[0].set()
        for thread in threading.enumerate():
            if thread.name.startswith("worker-"):
                thread.join(DEADLINE_S)


def test_who_is_on_time_gives_the_numbers_of_a_run_without_a_timeout(make_config, drive):
    expected = drive(make_config(*OPTIONS, "straggler_timeout=null", "backend=serial")).vectors
    for name in ("serial", "thread", "shm"):
        run = drive(make_config(*OPTIONS, "straggler_timeout=100", f"backend={name}"))
        assert [vector.tobytes() for vector in run.vectors] == [
            vector.tobytes() for vector in expected
        ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("split=stratified",), "split=stratified cannot go on without a worker's rows"),
        (
            ("backend=thread", "backend.poll_interval_s=0.1"),
            "an aggregator that polls cannot tell a late worker",
        ),
    ],
)
def test_where_nobody_can_be_left_behind_it_is_refused(make_config, options, reason):
    with pytest.raises(ConfigError, match=f"straggler_timeout=5: {reason}"):
        make_config("straggler_timeout=5", *options)
