"""The server that workers are forked from: its imports, its path and its end."""

import importlib.util
import multiprocessing
import os
import signal
from multiprocessing import forkserver

import psutil
from jobs import DEADLINE_S

from ddp.backends.forkserver import PRELOAD, ensure_server
from ddp.config.options import OPTIONS


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
    # The first worker's start would give the server neither our path nor its silence.
    ensure_server("one")
    assert forkserver._forkserver._forkserver_pid != killed
    assert exit_code("import sys; sys.exit(3)") == 3


def test_every_trainer_says_what_the_server_is_to_import():
    assert PRELOAD.keys() == OPTIONS["trainer"].keys()
    assert all(
        importlib.util.find_spec(module) for modules in PRELOAD.values() for module in modules
    )
