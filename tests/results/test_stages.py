"""The seconds of the stages of a run."""

import threading

from run_files import STAGES

from ddp.experiment import run, train
from ddp.machine.signals import WORKER_THREAD
from ddp.ratings.load import load_ratings
from ddp.results.accounts import stage_seconds
from ddp.timing.account import Account
from ddp.workers.prepare import prepare


def test_each_stage_is_read_off_the_account():
    seconds = {
        "start/interpreter": 1.0, "data": 2.0, "imports": 3.0, "start": 4.0, "start/run_queue": 5.0,
        "wait": 6.0,
        "record/checkpoint": 7.0, "other": 8.0, "stop": 9.0, "save/checkpoint": 10.0,
        "save/log": 11.0, "reference": 12.0,
    }  # fmt: skip
    assert list(stage_seconds(Account(seconds=seconds)).items()) == [
        *(("data", 2.0), ("imports", 3.0), ("start", 9.0), ("train", 13.0), ("stop", 9.0)),
        *(("save", 10.0), ("total", 2 + 9 + 13 + 9 + 10 + 8 + 11.0), ("reference", 12.0)),
    ]
    assert stage_seconds(Account(seconds={"data": 1.0})) == {"data": 1.0, "total": 1.0}


def test_the_stages_are_there_without_an_account(make_config, tmp_path):
    result = run(make_config("backend=thread", "account=false"), tmp_path, [])
    assert set(result.seconds) == STAGES | {"total"}
    assert all(value > 0 for value in result.seconds.values())


def test_rounds_that_nobody_wants_any_more_stop_the_workers(make_config):
    config = make_config("backend=thread", "rounds=1000")
    rounds = train(prepare(config, load_ratings(config.data, config.data_seed)))
    assert next(rounds).row.round_index == 0
    rounds.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(WORKER_THREAD)]
