"""The aggregator's loop: gather, average, hand back, and evaluate when nobody waits for it."""

import math
import threading

import numpy as np
import pytest
from jobs import prepare

from ddp.aggregation.aggregator import Aggregator, Errors
from ddp.aggregation.combine import MeanByWorker
from ddp.aggregation.make import make_combine
from ddp.backends.make import make_backend
from ddp.errors import AggregationError, WorkerError
from ddp.timing.paths import AGGREGATOR_PHASES
from ddp.timing.spans import Spans
from ddp.tracking.messages import WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.workers.exchange import Update

DEADLINE_S = 60.0
IN_PROCESS = ("backend=serial", "backend=thread")


def updates_of(*vectors, losses=(1.0, 1.0, 1.0), round_index=4):
    return [
        Update(
            worker=w,
            round_index=round_index,
            vector=np.array(vector, np.float32),
            rmse=math.nan,
            loss=losses[w],
        )
        for w, vector in enumerate(vectors)
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uniform", (1 / 3, 1 / 3, 1 / 3)),
        ("samples", (0.1, 0.3, 0.6)),
        ("inverse_loss", (4 / 7, 2 / 7, 1 / 7)),
    ],
)
def test_workers_count_as_configured(make_config, name, expected):
    vectors = [[1, 0], [0, 1], [2, 2]]
    out = np.empty(2, np.float32)
    combine = MeanByWorker(make_config(f"aggregation={name}").aggregation, {0: 10, 1: 30, 2: 60})
    weights = combine(updates_of(*vectors, losses=(1, 2, 4)), np.zeros(2, np.float32), out)
    assert weights == pytest.approx(expected)
    assert out == pytest.approx(np.array(expected) @ np.array(vectors, float))


class Gathers:
    """A backend that has these updates, and takes no aggregate."""

    def __init__(self, config, updates):
        self.config = config
        self.first_round = 0
        self.workers = [0, 1]
        self.spans = Spans()
        self.updates = updates

    def gather(self, *_):
        return self.updates

    def aggregate_buffer(self, round_index):
        return np.empty(2, np.float32)


def test_what_cannot_be_averaged_is_refused_by_worker_and_round(make_config):
    def refused(kind, options, *vectors, losses=(1, 1)):
        config = make_config(*options)
        combine = MeanByWorker(config.aggregation, {0: 1, 1: 1})
        backend = Gathers(config, updates_of(*vectors, losses=losses))
        with pytest.raises(kind) as caught:
            next(Aggregator(backend, combine, np.zeros(2, np.float32), None).rounds())
        return caught.value

    error = refused(WorkerError, ["aggregation=uniform"], [1, 2], [math.nan, 1])
    assert str(error).startswith("worker 1 in round 1 (publish): published a state with NaN")
    assert (error.worker, error.round_index, error.diverged) == (1, 0, True)
    error = refused(WorkerError, ["aggregation=inverse_loss"], [1, 2], [2, 1], losses=(1, math.inf))
    assert str(error).startswith(
        "worker 1 in round 1 (publish): has weight 0.0 under aggregation=inverse_loss"
    )
    assert (error.worker, error.round_index, error.diverged) == (1, 0, True)
    error = refused(AggregationError, ["aggregation=uniform"], [1, 2], [2, 1, 3])
    assert str(error).startswith("round 1: cannot average vectors of shapes")


def test_a_refused_update_of_a_worker_that_is_dropped_already_is_left_out(make_config):
    config = make_config("aggregation=uniform", "workers=2")
    backend = Gathers(config, updates_of([1, 2], [math.nan, 1]))
    backend.workers.remove(1)  # it failed after it had published
    combine = MeanByWorker(config.aggregation, {0: 1, 1: 1})
    out = np.empty(2, np.float32)
    aggregator = Aggregator(backend, combine, np.zeros(2, np.float32), None)
    assert aggregator._combined(0, backend.updates, out) == (1.0, 0.0)
    assert out.tolist() == [1, 2]


@pytest.mark.parametrize("backend", IN_PROCESS)
def test_each_aggregate_is_the_weighted_mean_of_what_was_published(make_config, driven, backend):
    config = make_config(
        "rounds=3", "aggregation=samples", "split=dirichlet", "split.alpha=0.5", backend
    )
    run = driven(config)
    gather, published = run.backend.gather, []

    def gathering(*args):
        updates = gather(*args)
        published.append([(update.worker, update.vector.copy()) for update in updates])
        return updates

    run.backend.gather = gathering
    run.run()
    sizes = np.array([len(job.shard.train) for job in run.jobs], float)
    assert len(set(sizes)) > 1
    for updates, vector, row in zip(
        published, run.vectors, run.history.aggregate_rounds, strict=True
    ):
        assert [worker for worker, _ in updates] == [0, 1, 2]
        assert row.weights == pytest.approx(sizes / sizes.sum())
        assert vector == pytest.approx(
            np.average([v for _, v in updates], axis=0, weights=sizes), abs=1e-6
        )


@pytest.mark.parametrize("backend", IN_PROCESS)
def test_rows_carry_the_errors_on_the_global_parts(make_config, drive, backend):
    seen = []

    def evaluate(vector):
        seen.append(vector.copy())
        return SquaredError(float(len(seen)), 1), SquaredError(2.0 * len(seen), 1)

    run = drive(make_config("rounds=3", backend), evaluate=evaluate)
    assert [
        (row.round_index, row.valid.total, row.test.total) for row in run.history.aggregate_rounds
    ] == [
        (0, 1, 2),
        (1, 2, 4),
        (2, 3, 6),
    ]
    assert [vector.tobytes() for vector in seen] == [vector.tobytes() for vector in run.vectors]


def test_evaluation_keeps_nobody_waiting(make_config, driven):
    """Every worker has received the aggregate while the aggregator still evaluates it."""
    received, changed = [], threading.Condition()

    def evaluate(vector):
        with changed:
            assert changed.wait_for(lambda: len(received) == 3, DEADLINE_S)
        return SquaredError(1, 1), SquaredError(1, 1)

    run = driven(make_config("rounds=1", "backend=thread"), evaluate=evaluate)

    def note(_, exchange):
        exchange.tell = telling(exchange.tell, received, changed)
        return exchange

    run.backend.wrap = note
    run.run()
    assert received == [True] * 3


def telling(tell, received, changed):
    def tell_and_note(message):
        tell(message)
        if isinstance(message, WorkerRound):
            with changed:
                received.append(message.aggregate_received)
                changed.notify_all()

    return tell_and_note


@pytest.mark.parametrize("backend", IN_PROCESS)
def test_seconds_belong_to_the_phases(make_config, drive, backend):
    run = drive(make_config("rounds=4", backend))
    rows = run.history.aggregate_rounds
    for row in rows:
        assert {path.split("/")[0] for path in row.account.seconds} <= set(AGGREGATOR_PHASES)
        assert math.isclose(
            sum(row.account.phase_s(phase) for phase in AGGREGATOR_PHASES), row.account.wall_s
        )
    # The caller's work on a row is timed with the next row.
    assert rows[0].account.phase_s("record") == 0
    assert all(row.account.phase_s("record") > 0 for row in rows[1:])
    # `elapsed_s` is read before the evaluation, and everything before it is in the accounts.
    walls = np.cumsum([row.account.wall_s for row in rows])
    assert all(row.elapsed_s <= wall for row, wall in zip(rows, walls, strict=True))
    assert all(row.elapsed_s > wall for row, wall in zip(rows[1:], walls, strict=False))


def test_finish_waits_for_rows_that_are_still_on_their_way(make_config):
    """The last aggregate's row comes before the workers' last rows; then the loop ends."""
    config = make_config("rounds=1", "backend=thread")
    prepared, rows, release = prepare(config), [], threading.Event()
    backend = make_backend(
        prepared,
        prepared.make_jobs(),
        lambda message: rows.append(message) if isinstance(message, WorkerRound) else None,
    )
    backend.wrap = lambda _, exchange: receiving(after(release, exchange.receive_into), exchange)
    try:
        backend.start()
        combine = make_combine(prepared)
        aggregator = Aggregator(
            backend,
            combine,
            prepared.vector,
            lambda vector: Errors(SquaredError(1, 1), SquaredError(1, 1)),
        )
        loop = aggregator.rounds()
        next(loop)
        assert rows == []
        release.set()
        assert next(loop, "ended") == "ended"
        assert sorted(row.worker for row in rows) == [0, 1, 2]
    finally:
        release.set()
        backend.stop()


def receiving(receive_into, exchange):
    exchange.receive_into = receive_into
    return exchange


def after(event, function):
    def waiting(*args):
        assert event.wait(DEADLINE_S)
        return function(*args)

    return waiting
