"""Stratified workers give the result of one SGD over all ratings; a late hand-over is named."""

import numpy as np
import pytest
from jobs import FUSED, STRATIFIED, prepare

from ddp.errors import WorkerError
from ddp.experiment import run
from ddp.machine.compiled.gates import Gates
from ddp.results.saved_model import load_model
from ddp.timing.spans import Spans
from ddp.workers.exchange import Exchange, RowPassing
from ddp.workers.stratified import StratifiedWorker
from ddp.workers.worker import worker_loop


@pytest.mark.parametrize("trainer", [FUSED, ("trainer=autograd", "trainer.batch_size=64")])
def test_one_worker_is_the_one_worker_of_any_other_split(make_config, drive, trainer):
    """One worker cuts nothing and visits as with split=iid: so the bits are the same."""
    common = ("workers=1", "rounds=3", "select_on=last", "backend=serial", *trainer)
    stratified = drive(make_config(*common, *STRATIFIED))
    plain = drive(make_config(*common, "split=iid", "aggregation=uniform"))
    assert [vector.tobytes() for vector in stratified.vectors] == [
        vector.tobytes() for vector in plain.vectors
    ]
    assert stratified.aggregates() == plain.aggregates()


@pytest.mark.parametrize("trainer", [FUSED, ("trainer=autograd", "trainer.batch_size=64")])
def test_what_a_turn_gives_does_not_depend_on_who_is_first(make_config, drive, trainer):
    """So the workers may as well run one after another: the result is that of one SGD."""
    config = make_config(*STRATIFIED, *trainer, "backend=serial", "workers=4", "rounds=2")

    def backwards(jobs):
        return jobs[::-1]

    forward, backward = drive(config), drive(config, jobs=backwards)
    assert [vector.tobytes() for vector in forward.vectors] == [
        vector.tobytes() for vector in backward.vectors
    ]


def test_it_fits_as_well_as_one_worker(make_config, drive):
    """Five averaged workers have a fifth of each row's ratings; here each row has all of them."""
    common = (
        *FUSED,
        "backend=serial",
        "rounds=4",
        "local_epochs=5",
        "data.num_ratings=1200",
        "trainer.lr=0.03",
    )

    def training_rmse(*overrides):
        runs = [
            drive(make_config(*common, *overrides, f"seed={seed}", "split.valid_fraction=0.01"))
            for seed in range(3)
        ]
        return np.mean([run.history.aggregate_rounds[-1].test.rmse for run in runs])

    one, five = training_rmse(*STRATIFIED, "workers=1"), training_rmse(*STRATIFIED, "workers=5")
    averaged = training_rmse("split=iid", "workers=5", "aggregation=uniform", "select_on=last")
    assert abs(five - one) < abs(averaged - one)


def test_a_workers_errors_are_those_of_its_own_users_and_add_up(make_config, drive):
    driven = drive(make_config(*STRATIFIED, *FUSED, "backend=serial", "rounds=1"))
    rows = driven.history.worker_rounds
    assert sum(row.test.count for row in rows) == len(driven.prepared.test)
    assert sum(row.valid.count for row in rows) == len(driven.prepared.valid)
    assert all(np.isfinite(row.train_loss) and row.aggregate_received for row in rows)


def test_the_saved_model_has_the_datas_own_ids(make_config, tmp_path):
    result = run(make_config(*STRATIFIED, *FUSED, "workers=3"), tmp_path / "run", [])
    ratings = prepare(result.config).ratings
    rows = prepare(result.config).deal.rows("test")
    predicted = load_model(tmp_path / "run").predict(
        ratings.user_ids[ratings.users[rows]].tolist(),
        ratings.item_ids[ratings.items[rows]].tolist(),
    )
    rmse = np.sqrt(np.mean((predicted - ratings.ratings[rows]) ** 2))
    assert rmse == pytest.approx(result.test_rmse, abs=1e-6)


# --- a hand-over that does not come ---


class Deaf(Exchange):
    """An exchange that hands nothing on."""

    def __init__(self, gates):
        super().__init__(Spans(), NoRows(gates))

    def publish(self, update):
        pass

    def wait(self, round_index, timeout_s):
        raise AssertionError("it needs no aggregate")

    receive_into = wait

    def tell(self, message):
        pass


class NoRows(RowPassing):
    def __init__(self, gates):
        self.gates = gates

    def working_vector(self, start):
        return start.copy()

    def take(self, group, turn, before, rows, timeout_s):
        return False

    def hand_on(self, group, turn, to, rows):
        pass


@pytest.mark.parametrize(
    "gates", [None, Gates(np.zeros(4, np.int64))], ids=["turn by turn", "as one loop"]
)
def test_a_worker_that_waits_too_long_for_its_items_says_for_whose(make_config, gates):
    job = prepare(make_config(*STRATIFIED, *FUSED, "round_timeout=0.01")).make_jobs()[1]
    before = job.strata.holder(job.strata.group(1, 1), 0)
    expected = (
        r"^worker 1 in round 1 \(wait\): LateRows:"
        rf" no items came from worker {before} within round_timeout=0.01 s"
    )
    with pytest.raises(WorkerError, match=expected):
        list(worker_loop(job, Deaf(gates)))


def test_seconds_of_the_compiled_loop_are_told_apart(make_config):
    """A worker that waits in vain spends its time waiting, not computing."""
    job = prepare(make_config(*STRATIFIED, *FUSED, "round_timeout=0.2")).make_jobs()[1]
    deaf = Deaf(Gates(np.zeros(4, np.int64)))
    worker = StratifiedWorker(job, job.strata, deaf)
    with pytest.raises(TimeoutError):
        list(worker.round(0))
    assert worker.spans.take().phase_s("wait") >= 0.2
