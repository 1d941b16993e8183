"""A run opens only a socket and a segment that its own user can enter, and reads no pickle."""

import ast
import os
import stat
from multiprocessing import AuthenticationError, connection, forkserver
from pathlib import Path

import psutil
import pytest
from jobs import BACKENDS
from leaks import descendants

import ddp.experiment
from ddp.experiment import run
from ddp.tracking.messages import Started
from ddp.tracking.tensorboard import TensorBoard
from ddp.tracking.tracker import RunFacts, Tracker

JOB = ("trainer=fused", "workers=2", "rounds=2")


class Look(Tracker):
    """Looks once while the workers train."""

    def __init__(self, look):
        self.look, self.seen = look, []

    def on(self, event):
        if isinstance(event, Started) and not self.seen:
            self.seen.append(self.look())


@pytest.fixture
def manager(monkeypatch):
    """The manager of the last run."""
    backends, make_backend = [], ddp.experiment.make_backend
    monkeypatch.setattr(
        ddp.experiment,
        "make_backend",
        lambda *given: backends.append(make_backend(*given)) or backends[-1],
    )
    yield lambda: backends[-1].shared._manager
    backends.clear()


def test_the_manager_listens_where_only_its_user_can_enter_and_asks_for_a_random_key(
    make_config, manager, tmp_path
):
    keys = []

    def look():
        address, key = manager().address, bytes(manager()._authkey)
        folder = Path(address).parent
        assert stat.S_ISSOCK(Path(address).stat().st_mode)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(key) == 32
        keys.append(key)
        for wrong in (b"", bytes(32), key[:-1]):
            with pytest.raises(AuthenticationError):
                connection.Client(address, "AF_UNIX", authkey=wrong).close()
        connection.Client(address, "AF_UNIX", authkey=key).close()

    for number in range(2):
        run(make_config(*JOB, *BACKENDS["process"]), tmp_path / str(number), [Look(look)])
    assert len(set(keys)) == 2


def sockets_of_the_internet(pid):
    """The internet sockets of one process, without their states, which change at will."""
    connections = psutil.Process(pid).net_connections("inet")
    return {(pid, each.fd, each.laddr, each.raddr) for each in connections}


@pytest.mark.parametrize("name", ["thread", "shm", "process"])
def test_no_process_of_a_run_has_a_socket_of_the_internet(make_config, tmp_path, name):
    """The suite has such sockets to its browser, and so has the browser."""
    theirs = descendants(thorough=True)
    open_before = sockets_of_the_internet(os.getpid())

    def look():
        started = [pid for pid, _ in descendants(thorough=True) - theirs]
        if started:
            started.append(forkserver._forkserver._forkserver_pid)
        sockets = [sockets_of_the_internet(pid) for pid in (os.getpid(), *started)]
        return set().union(*sockets) - open_before, len(started)

    directory = tmp_path / "run"
    watch = Look(look)
    run(
        make_config(*JOB, *BACKENDS[name], "tensorboard=true"),
        directory,
        [TensorBoard(RunFacts(directory=directory, settings={"workers": 2})), watch],
    )
    sockets, count = watch.seen[0]
    assert count == {"thread": 0, "shm": 3, "process": 4}[name]
    assert not sockets


def test_a_segment_lies_where_it_was_asked_for_and_is_its_users_alone(make_config, tmp_path):
    folder = tmp_path / "memory"
    folder.mkdir()

    def look():
        return [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()]

    watch = Look(look)
    run(make_config(*JOB, "backend=shm", f"backend.directory={folder}"), tmp_path / "run", [watch])
    [[(name, mode)]] = watch.seen
    assert name.startswith("ddp-")
    assert mode == 0o600
    assert list(folder.iterdir()) == []


# --- pickle ---

READERS = {"load", "loads", "Unpickler"}
MODULES = {"pickle", "cPickle", "_pickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}
# Our own processes send these through pipes, the manager's dict and the segment.
ALLOWED = {
    "backends/store.py": {"pickle.loads"},
    "backends/worker_processes.py": {"pickle.loads"},
    "backends/shm_jobs.py": {"pickle.Unpickler"},
    "backends/shm_messages.py": {"marshal"},
}


def readers_of_pickles(source):
    """Parts of a source that may run code that it reads.

    They are functions by name, imports that would hide them, np.load and torch.load.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if (
                module.partition(".")[0] in MODULES
            ):
                yield from (
                    f"{module}.{name.name}" for name in names if name.name in {*READERS, "*"}
                )
            case ast.Import(names=names):
                yield from (
                    name.name
                    for name in names
                    if name.name in MODULES - {"pickle"} or (name.name == "pickle" and name.asname)
                )
            case ast.Attribute(value=ast.Name(id="pickle"), attr=attr) if attr in READERS:
                yield f"pickle.{attr}"
            case (
                ast.Attribute(value=ast.Name(id="torch"), attr="load")
                | ast.Attribute(attr="read_pickle")
            ):
                yield ast.unparse(node)
            case ast.Call(keywords=keywords):
                yield from (
                    "allow_pickle"
                    for each in keywords
                    if each.arg == "allow_pickle" and ast.unparse(each.value) != "False"
                )


def test_a_pickle_is_read_only_where_our_own_processes_talk_to_each_other():
    root = Path(ddp.__file__).parent
    found = {
        str(path.relative_to(root)): set(readers_of_pickles(path.read_text()))
        for path in root.rglob("*.py")
    }
    assert {name: uses for name, uses in found.items() if uses} == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle\npickle.load(file)", "from pickle import loads"),
        *("import pickle as p", "import dill", "torch.load(path)", "pd.read_pickle(path)"),
        *("np.load(path, allow_pickle=True)", "np.load(path, allow_pickle=flag)"),
    ],
)
def test_whoever_would_read_a_pickle_is_found(source):
    assert list(readers_of_pickles(source))
