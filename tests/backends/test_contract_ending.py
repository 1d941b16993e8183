"""A run that ends early: on every backend after the same round, with all workers in good order."""

from itertools import count

import pytest
from contract import CONCURRENT, same
from jobs import BACKENDS, FUSED, IN_PROCESS, OVERFITS, STRATIFIED, SWEEPING

from ddp.experiment import run
from ddp.results.saved_model import MODEL_FILE
from ddp.tracking.metrics import SquaredError

pytestmark = pytest.mark.usefixtures("server_of_programs")

NAMES = ("serial", *CONCURRENT)
SPLITS = {
    "averaged": FUSED,
    "stratified": (*STRATIFIED, *FUSED),
    **SWEEPING,
}
ERRORS = (5.0, 3.0, 4.0, 3.0, 2.0, 1.0)  # of each round: none of rounds 2 and 3 is below round 1


def told_errors():
    """An `evaluate` that gives each round the next one of ERRORS."""
    rounds = count()
    return lambda vector: (SquaredError(ERRORS[next(rounds)], 1), SquaredError(1.0, 1))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", NAMES)
def test_patience_ends_the_rounds_and_all_workers_finish(make_config, drive, name, split):
    early = (*SPLITS[split], "rounds=6", "patience=2")
    ended = drive(make_config(*early, *BACKENDS[name]), evaluate=told_errors())
    whole = drive(make_config(*SPLITS[split], "rounds=4", "backend=serial"), evaluate=told_errors())
    same(ended, whole)
    assert sorted(ended.history.finished_with) == [0, 1, 2]
    assert all(row.aggregate_received for row in ended.history.worker_rounds)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", NAMES)
def test_max_seconds_ends_the_run_after_its_round(make_config, tmp_path, name, split):
    config = make_config(*SPLITS[split], "rounds=50", "max_seconds=1e-9", *BACKENDS[name])
    result = run(config, tmp_path / "run", [])
    assert (result.ended, len(result.history.aggregate_rounds)) == ("max_seconds", 1)
    assert sorted(result.history.finished_with) == [0, 1, 2]
    assert all(row.round_index == 0 for row in result.history.worker_rounds)
    lanes = result.lanes()
    assert all(lane.closed for lane in lanes)


@pytest.mark.parametrize("name", ["thread", "process", "shm"])
def test_a_worker_that_goes_on_without_aggregates_ends_with_the_others(make_config, drive, name):
    # its patience for an aggregate is shorter than the way there, so it is rounds ahead
    config = make_config(*FUSED, "rounds=6", "patience=2", "agg_timeout=1e-6", *BACKENDS[name])
    ended = drive(config, evaluate=told_errors())
    assert len(ended.vectors) == 4
    assert sorted(ended.history.finished_with) == [0, 1, 2]


@pytest.fixture(scope="module")
def kept_by_serial(make_config, tmp_path_factory):
    """The round and the file of the model that the serial run keeps."""
    runs = {}

    def of(*overrides):
        if overrides not in runs:
            directory = tmp_path_factory.mktemp("serial") / "run"
            result = run(make_config(*overrides, "backend=serial"), directory, [])
            runs[overrides] = result.kept, (directory / MODEL_FILE).read_bytes()
        return runs[overrides]

    return of


EARLY = ("rounds=6", "local_epochs=4", "patience=2")


@pytest.mark.parametrize("split", OVERFITS)
@pytest.mark.parametrize("name", CONCURRENT)
def test_every_backend_keeps_the_same_round(make_config, tmp_path, kept_by_serial, name, split):
    overrides = (*OVERFITS[split], *EARLY)
    kept, model = kept_by_serial(*overrides)
    result = run(make_config(*overrides, *BACKENDS[name]), tmp_path / "run", [])
    assert result.kept.round_index == kept.round_index < result.last.round_index
    assert (result.kept.valid, result.kept.test) == (kept.valid, kept.test)
    assert (tmp_path / "run" / MODEL_FILE).read_bytes() == model


@pytest.mark.parametrize("name", IN_PROCESS)
def test_without_an_early_end_no_worker_hears_of_one(make_config, drive, name):
    ended = drive(make_config(*FUSED, "rounds=2", *BACKENDS[name]))
    assert not ended.backend.is_over
