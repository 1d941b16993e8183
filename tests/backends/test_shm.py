"""Shared memory: no slot is overwritten too early, nothing is pickled, ratings are there once."""

import importlib.util
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing import forkserver
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import psutil
import pytest
from jobs import BACKENDS, prepare

from ddp.aggregation.mean import weighted_mean
from ddp.aggregation.weights import worker_weights
from ddp.backends.forkserver import PRELOAD, ensure_server
from ddp.backends.make import make_backend
from ddp.backends.peer import Deadline
from ddp.backends.shm_segment import create_segment
from ddp.backends.worker_processes import drain
from ddp.config.options import OPTIONS
from ddp.errors import BackendError, ConfigError, Stopped, UserError, WorkerError
from ddp.experiment import run
from ddp.machine.segment import NAME, remove_orphans
from ddp.tracking.messages import Asking, EpochDone, Failed, Finished, Started, WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tracker import Tracker
from ddp.workers.exchange import Update
from ddp.workers.stratified import StratifiedWorker

DEADLINE_S = 60.0
ONCE = (Asking, Started, Finished, Failed)  # pickled once a run


class Runs:
    """Runs the code in the process that unpickles it."""

    def __init__(self, code):
        self.code = code

    def __reduce__(self):
        return exec, (self.code, {})


def in_workers(code):
    """For `Driven(jobs=...)`: the workers run the code when they get their jobs. (No worker reads
    `display`.)
    """

    def hide(jobs):
        jobs[0].config.display = Runs(code)
        return jobs

    return hide


# --- one run, looked at from all sides ---


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
    # before anybody hears of the last one's start
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


# --- slots ---


class Ends:
    """A backend without processes, and its workers' ends."""

    def __init__(self, config):
        self.prepared = prepare(config)
        self.originals = [parts(job) for job in prepare(config).make_jobs()]
        self.backend = make_backend(self.prepared, self.prepared.make_jobs(), lambda message: None)
        self.length = len(self.prepared.vector)
        connects = self.backend._open()
        self.pipes, self.jobs, self.exchanges = [], [], []
        for worker in self.backend.workers:
            ours, theirs = self.backend.context.Pipe()
            self.backend.pipes[worker] = ours
            self.pipes.append(theirs)
            self.backend._admit(worker)
            job, exchange = connects[worker](theirs, time.perf_counter())
            self.jobs.append(job)
            self.exchanges.append(exchange)

    def update(self, worker, round_index, value):
        vector = np.full(self.length, value, np.float32)
        return Update(worker=worker, round_index=round_index, vector=vector, rmse=value, loss=value)

    def gathered(self, round_index):
        return [(float(update.vector[0]), update.rmse) for update in self.read(round_index)]

    def read(self, round_index):
        return self.backend._read_updates(dict.fromkeys(self.backend.workers, round_index))

    def close(self):
        for pipe in self.pipes:
            pipe.close()
        for exchange in self.exchanges:
            exchange.spans.close()
        self.backend.stop()
        vars(self).clear()


def parts(job):
    shard = job.shard
    return [
        getattr(part, column)
        for part in (shard.train, shard.valid, shard.test)
        for column in ("users", "items", "ratings")
    ] + [job.vector]


@pytest.fixture
def ends(make_config):
    both = Ends(make_config("backend=shm", "workers=2", "round_timeout=0.05", "account=false"))
    yield both
    both.close()


def test_ratings_and_the_first_state_lie_in_the_segment_once(ends):
    for job, exchange, originals in zip(ends.jobs, ends.exchanges, ends.originals, strict=True):
        for array, original in zip(parts(job), originals, strict=True):
            assert array.base is exchange.slot.vector.base  # the mapping
            assert array.dtype == original.dtype
            assert array.tolist() == original.tolist()
    size = sum(array.nbytes for originals in ends.originals for array in originals[:-1])
    # the first state, the last two aggregates, and two slots
    vectors = 5 * ends.originals[0][-1].nbytes
    assert size + vectors <= ends.backend._shared.segment.size <= size + vectors + 4096
    # One worker's training does not reach the other; the first state is the same memory for both.
    first, second = (parts(job)[0] for job in ends.jobs)
    first[:] = -1
    assert (second >= 0).all()
    ends.jobs[0].vector[:] = 7
    assert (
        ends.backend._shared.segment.view(place_of(ends.jobs[1].vector, ends)).tolist()
        == [7] * ends.length
    )


def place_of(array, ends):
    from ddp.machine.segment import Place

    base = ends.exchanges[1].shared.aggregates[0]
    return Place(
        array.ctypes.data - base.ctypes.data + ends.backend._shared.plan.aggregates[0].offset,
        array.shape,
        array.dtype,
    )


def test_the_aggregator_reads_slots_where_they_lie(ends):
    ends.exchanges[0].publish(ends.update(0, 0, 1.0))
    ends.exchanges[1].publish(ends.update(1, 0, 2.0))
    updates = ends.read(0)
    assert [update.worker for update in updates] == [0, 1]
    assert all(not update.vector.flags.owndata for update in updates)
    ends.exchanges[1].slot.vector[:] = 9  # what the protocol forbids shows that there was no copy
    assert updates[1].vector.tolist() == [9] * ends.length
    assert updates[0].vector.tolist() == [1] * ends.length


def test_a_slot_that_was_not_averaged_yet_is_not_overwritten(ends):
    for worker, exchange in enumerate(ends.exchanges):
        exchange.publish(ends.update(worker, 0, 1.0 + worker))
    early = ends.exchanges[0]
    # it gives up, and is the first to be through with the next round
    assert not early.wait(0, 0.01)
    with pytest.raises(
        TimeoutError,
        match=r"^what it published in round 0 was not averaged within round_timeout=0.05 s$",
    ):
        early.publish(ends.update(0, 1, 5.0))
    assert ends.gathered(0) == [(1.0, 1.0), (2.0, 2.0)]
    ends.backend.broadcast(0, np.full(ends.length, 8, np.float32))
    early.publish(ends.update(0, 1, 5.0))
    assert not early.wait(1, 0.01)  # the aggregate of round 0 is not taken for it
    ends.exchanges[1].publish(ends.update(1, 1, 6.0))
    assert ends.gathered(1) == [(5.0, 5.0), (6.0, 6.0)]


def test_a_worker_that_waits_to_publish_goes_on_when_the_aggregate_is_out(ends):
    early = ends.exchanges[0]
    early.round_timeout_s = DEADLINE_S
    early.publish(ends.update(0, 0, 1.0))
    polls, poll = threading.Event(), early.pipe.poll

    def polling(timeout_s):
        polls.set()
        return poll(timeout_s)

    class Pipe:
        def __getattr__(self, name):
            return polling if name == "poll" else getattr(ends.pipes[0], name)

    early.pipe = Pipe()
    waiting = threading.Thread(target=early.publish, args=(ends.update(0, 1, 5.0),))
    waiting.start()
    assert polls.wait(DEADLINE_S)
    assert early.slot.vector[0] == 1.0
    ends.backend.broadcast(0, np.zeros(ends.length, np.float32))
    waiting.join(DEADLINE_S)
    assert not waiting.is_alive()
    assert early.slot.vector[0] == 5.0


@pytest.mark.parametrize("step", ["publish", "wait", "tell"])
def test_a_worker_whose_run_is_stopped_ends(ends, step):
    exchange = ends.exchanges[0]
    exchange.publish(ends.update(0, 0, 1.0))
    ends.backend.stop()
    steps = {
        "publish": lambda: exchange.publish(ends.update(0, 1, 1.0)),
        "wait": lambda: exchange.wait(0, DEADLINE_S),
        "tell": lambda: exchange.tell(EpochDone(worker=0, round_index=0, epoch=0)),
    }
    with pytest.raises(Stopped):
        steps[step]()


def test_what_lies_in_the_segment_says_of_which_round_it_is(ends):
    with pytest.raises(BackendError, match=r"^round 0: the slot of worker 0 holds round -1$"):
        ends.gathered(0)
    with pytest.raises(BackendError, match=r"^round 0: the aggregate holds round -1$"):
        ends.exchanges[0].receive_into(np.zeros(ends.length, np.float32), 0)


def test_two_rows_can_wait_to_be_read(ends):
    """A worker that gave up waiting for an aggregate may be a round ahead of the aggregator."""
    exchange = ends.exchanges[0]
    for round_index in (0, 1):
        exchange.publish(ends.update(0, round_index, 1.0))
        assert not exchange.wait(round_index, 0.01)
        exchange.tell(a_row(worker=0, round_index=round_index, train_loss=10.0 + round_index))
        if round_index == 0:
            ends.backend.broadcast(0, np.zeros(ends.length, np.float32))
    told = [ends.backend._decode(0, content) for content in drain(ends.backend.pipes[0])]
    rows = [message for message in told if isinstance(message, WorkerRound)]
    assert [(row.round_index, row.train_loss) for row in rows] == [(0, 10.0), (1, 11.0)]


def a_row(**values):
    errors = {"valid": SquaredError(0.5, 2), "test": SquaredError(0.5, 2)}
    return WorkerRound(
        **{"train_loss": 0.5, "best_epoch": 1, "aggregate_received": False, **errors, **values}
    )


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


# --- failures ---


DIES_IN_MID_COPY = """
import os, signal
import ddp.backends.shm as shm

publish = shm.ShmExchange.publish

class Halves:
    def __getattr__(self, name):
        return getattr(numpy, name)
    def copyto(self, to, what):
        to[: len(to) // 2] = what[: len(to) // 2]
        os.kill(os.getpid(), signal.SIGKILL)

def publishing(exchange, update):
    global numpy
    if (update.worker, update.round_index) == (1, 1):
        numpy, shm.np = shm.np, Halves()
    publish(exchange, update)

shm.ShmExchange.publish = publishing
"""


@pytest.mark.parametrize("method", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_worker_killed_in_the_middle_of_a_copy_is_named_and_the_last_aggregate_is_whole(
    make_config, driven, tmp_path, reference_vector, method
):
    config = make_config(
        *("backend=shm", f"backend.directory={tmp_path}", f"backend.start_method={method}"),
        *("workers=2", "rounds=3", "round_timeout=3600", "agg_timeout=3600"),
    )
    attempt = driven(config, jobs=in_workers(DIES_IN_MID_COPY))
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 1 \(publish\): the process died \(signal SIGKILL\)$"
    ):
        attempt.run()
    assert [vector.tobytes() for vector in attempt.vectors] == [reference_vector]
    assert list(tmp_path.iterdir()) == []


DIES_WITH_ROWS = """
import os, signal
from ddp.workers.stratified import StratifiedWorker

keep = StratifiedWorker._keep

def dying(worker, turn, round_index):
    if (worker.job.worker, turn) == (1, 11):
        os.kill(os.getpid(), signal.SIGKILL)
    keep(worker, turn, round_index)

StratifiedWorker._keep = dying
"""


@pytest.mark.parametrize(
    "backend", ["shm", "process", pytest.param("process spawned", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("trainer", ["fused", "autograd"])  # of which each has a server
def test_a_worker_killed_with_rows_that_others_wait_for_is_named(
    make_config, driven, backend, trainer
):
    config = make_config(
        *(
            *BACKENDS[backend],
            "split=stratified",
            "aggregation=rows",
            "workers=3",
            "rounds=3",
            "local_epochs=2",
        ),
        *(f"trainer={trainer}", "round_timeout=3600", "agg_timeout=3600"),
    )
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 1 \(compute\): the process died \(signal SIGKILL\)$"
    ):
        driven(config, jobs=in_workers(DIES_WITH_ROWS)).run()


@pytest.mark.parametrize("trainer", ["fused", "autograd"])
def test_a_thread_that_fails_with_rows_that_others_wait_for_is_named(
    make_config, drive, monkeypatch, trainer
):
    keep = StratifiedWorker._keep

    def failing(worker, turn, round_index):
        if (worker.job.worker, turn) == (1, 11):
            raise RuntimeError("made up")
        keep(worker, turn, round_index)

    monkeypatch.setattr(StratifiedWorker, "_keep", failing)
    options = (
        "backend=thread",
        "split=stratified",
        "aggregation=rows",
        "workers=3",
        "rounds=3",
        "local_epochs=2",
    )
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 1 \((compute|evaluate)\): RuntimeError: made up"
    ):
        drive(make_config(*options, f"trainer={trainer}", "round_timeout=3600"))


@pytest.fixture(scope="module")
def reference_vector(make_config, drive):
    return drive(make_config("backend=serial", "workers=2", "rounds=1")).vectors[0].tobytes()


class Interrupts(Tracker):
    def on(self, event):
        if isinstance(event, Started):
            raise KeyboardInterrupt


def test_an_interrupted_run_leaves_nothing(make_config, tmp_path, leaks):
    """When the first of three workers has started, the segment still has its name."""
    (tmp_path / "memory").mkdir()
    config = make_config("backend=shm", "rounds=1000", f"backend.directory={tmp_path / 'memory'}")
    with leaks(), pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", [Interrupts()])
    assert list((tmp_path / "memory").iterdir()) == []


def test_no_room_is_said_with_what_to_do(tmp_path):
    free = os.statvfs(tmp_path)
    size = free.f_bavail * free.f_frsize + 2**40
    with pytest.raises(UserError) as refusal:
        create_segment(size, tmp_path)
    message = str(refusal.value)
    assert message.startswith(
        f"{tmp_path}: this run needs {size / 2**20:,.0f} MiB of shared memory there, and "
    )
    assert [
        word
        for word in ("MiB are free", "backend.directory=DIR", "--shm-size", "python -m ddp.clean")
        if word not in message
    ] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_directory_that_is_none_is_refused_by_its_key(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match=rf"^backend.directory={tmp_path / name}: cannot hold a file \("
    ):
        create_segment(4096, tmp_path / name)


def test_no_room_ends_the_run_before_a_worker_starts(make_config, tmp_path, monkeypatch, leaks):
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 4096})())
    assert usage.f_bavail
    before = set(multiprocessing.active_children())
    with leaks(), pytest.raises(UserError, match="this run needs"):
        run(make_config("backend=shm", f"backend.directory={tmp_path}"), tmp_path / "run", [])
    assert set(multiprocessing.active_children()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


# --- the server that workers are forked from ---


def exit_code(code):
    process = multiprocessing.get_context("forkserver").Process(target=exec, args=(code,))
    process.start()
    process.join(DEADLINE_S)
    return process.exitcode


def test_the_server_is_exchanged_when_it_should_have_imported_something_else(monkeypatch, tmp_path):
    monkeypatch.setitem(PRELOAD, "one", ["ddp.tracking.metrics"])
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "only_on_our_path.py").touch()
    monkeypatch.setitem(PRELOAD, "two", ["only_on_our_path"])
    # the server finds our modules where we have found them
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "ours")
    (tmp_path / "ddp").mkdir()
    (tmp_path / "ddp" / "__init__.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    loaded = (
        "import sys; sys.exit(10 + ('ddp.tracking.metrics' in sys.modules)"
        " + 2 * ('only_on_our_path' in sys.modules))"
    )
    pids, codes = [], []
    for trainer in ("one", "one", "two"):
        ensure_server(trainer)
        pids.append(forkserver._forkserver._forkserver_pid)
        codes.append(exit_code(loaded))
    assert codes == [11, 11, 12]
    assert pids[0] == pids[1] != pids[2]
    assert not psutil.pid_exists(pids[0])
    assert "PYTHONPATH" not in os.environ
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_server_that_was_killed_is_started_again(monkeypatch):
    monkeypatch.setitem(PRELOAD, "one", ["ddp.tracking.metrics"])
    ensure_server("one")
    killed = forkserver._forkserver._forkserver_pid
    os.kill(killed, signal.SIGKILL)
    os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
    # and not only the first worker's start, which would give it neither our path nor its silence
    ensure_server("one")
    assert forkserver._forkserver._forkserver_pid != killed
    assert exit_code("import sys; sys.exit(3)") == 3


def test_every_trainer_says_what_the_server_is_to_import():
    assert PRELOAD.keys() == OPTIONS["trainer"].keys()
    assert all(
        importlib.util.find_spec(module) for modules in PRELOAD.values() for module in modules
    )
