"""Runs in shared memory: nothing is pickled from round to round; late aggregates are given up."""

import os
import signal
from multiprocessing import forkserver
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import psutil
import pytest
from in_workers import in_workers
from jobs import DEADLINE_S, prepare

from ddp.aggregation.mean import weighted_mean
from ddp.aggregation.weights import worker_weights
from ddp.backends.peer import Deadline
from ddp.machine.segment import NAME, remove_orphans
from ddp.tracking.messages import Started


class Seen:
    """A run, and observations of it while it goes on."""

    def __init__(self, drive, config, directory):
        self.files = {}  # number of workers that have started -> files in the directory
        self.modes = set()
        self.removed = []
        self.blocked = {}
        self.maps = ""
        self.jobs = None
        self.vectors = []
        self.directory = directory
        self.num_started = 0
        self.pickled = []
        dumps = ForkingPickler.dumps

        def counting(obj, protocol=None):
            self.pickled.append(type(obj))
            return dumps(obj, protocol)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ForkingPickler, "dumps", counting)
            self.run = drive(config, look=self._look, jobs=in_workers(REFUSES_TO_PICKLE))

    def _look(self, moment, round_index, backend):
        if moment == "message" and isinstance(self.run_messages(backend)[-1], Started):
            self.num_started += 1
            files = list(self.directory.iterdir())
            self.files[self.num_started] = [file.name for file in files]
            self.modes |= {file.stat().st_mode & 0o777 for file in files}
            self.removed += remove_orphans(self.directory)
        if moment == "gather" and round_index == 0:
            self.files["gathered"] = [file.name for file in self.directory.iterdir()]
            self.jobs = list(backend.jobs)
            server = psutil.Process(forkserver._forkserver._forkserver_pid)
            self.blocked = {
                process.pid: blocks_ctrl_c(process) for process in (server, *server.children())
            }
            self.maps = Path(f"/proc/{server.pid}/maps").read_text()

    @staticmethod
    def run_messages(backend):
        return backend.on_message.__self__.messages


def blocks_ctrl_c(process):
    """Whether SIGINT is blocked in the process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    blocked = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(int(blocked, 16) >> signal.SIGINT - 1 & 1)


REFUSES_TO_PICKLE = """
import pickle
from multiprocessing.reduction import ForkingPickler
from ddp.tracking.messages import Failed, Finished, Started

def refuse(what, real):
    def pickling(*arguments, **options):
        if not isinstance(arguments[0], (Failed, Finished, Started)):
            raise AssertionError(f"{what} of a {type(arguments[0]).__name__}")
        return real(*arguments, **options)
    return pickling

ForkingPickler.dumps = refuse("ForkingPickler.dumps", ForkingPickler.dumps)
pickle.dumps = refuse("pickle.dumps", pickle.dumps)
pickle.loads = refuse("pickle.loads", pickle.loads)
"""


@pytest.fixture(scope="module")
def seen(make_config, drive, leaks, tmp_path_factory):
    directory = tmp_path_factory.mktemp("memory")
    config = make_config("backend=shm", "workers=2", "rounds=5", f"backend.directory={directory}")
    with leaks():
        yielded = Seen(drive, config, directory)
    return yielded


def test_nothing_is_pickled_from_round_to_round(seen):
    """By now a worker that pickles or unpickles anything but its start and end has failed."""
    assert len(seen.run.vectors) == 5
    jobs = [kind for kind in seen.pickled if kind is tuple]
    # the parent pickles only its answer when a worker asks for its job
    assert seen.pickled == jobs
    assert len(jobs) == 2


def test_the_segment_loses_its_name_when_every_worker_has_it(seen):
    assert seen.files.keys() == {1, 2, "gathered"}
    assert len(seen.files[1]) == 1
    assert NAME.fullmatch(seen.files[1][0])
    assert seen.files[1][0].startswith(f"ddp-{os.getpid()}-")
    # before a tracker hears that the last worker has started
    assert seen.files[2] == seen.files["gathered"] == []
    assert seen.modes == {0o600}


def test_cleaning_up_leaves_a_live_run_alone(seen):
    assert seen.removed == []


def test_the_parent_keeps_no_ratings(seen):
    assert seen.jobs == []


def test_the_server_has_imported_torch(seen):
    assert "libtorch_cpu" in seen.maps


def test_ctrl_c_does_not_reach_the_server_and_its_workers(seen):
    """Otherwise Ctrl-C while they import would make each of them print a stack trace."""
    assert len(seen.blocked) == 3
    assert all(seen.blocked.values())
    assert not blocks_ctrl_c(psutil.Process())


# --- late aggregates ---


def test_workers_whose_aggregates_are_late_go_on_with_their_own_models(
    make_config, drive, train_alone, leaks
):
    config = make_config(
        "backend=shm", "agg_timeout=0.02", "workers=2", "rounds=4", "select_on=last"
    )
    attempts = []

    def hold_back(backend):
        broadcast = backend.broadcast
        attempts.append(backend)

        def late(round_index, vector):
            rows = backend.on_message.__self__.history.worker_rounds
            backend._await(
                lambda: [] if len(rows) == 2 * (round_index + 1) else [0], Deadline(DEADLINE_S)
            )
            broadcast(round_index, vector)

        backend.broadcast = late

    with leaks():
        run_ = drive(config, prepare=hold_back)
    assert [row.aggregate_received for row in run_.history.worker_rounds] == [False] * 8
    alone = [prepare(config).make_jobs()[worker] for worker in range(2)]
    for round_index, vector in enumerate(run_.vectors):
        trained = [train_alone(job, round_index + 1) for job in alone]
        losses = [run_.history.worker(worker)[round_index].valid.mse for worker in range(2)]
        weights = worker_weights(
            config.aggregation, [len(job.shard.train) for job in alone], losses
        )
        assert vector.tobytes() == weighted_mean(trained, weights).tobytes()
