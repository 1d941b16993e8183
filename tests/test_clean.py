"""`python -m ddp.clean`: what killed runs and earlier versions have left; and `python -m ddp`."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from jobs import DEADLINE_S
from programs import REPOSITORY

import ddp
import ddp.__main__ as commands_of
from ddp.clean import main
from ddp.machine.segment import Segment, remove_orphans
from ddp.results.run_directory import (
    CONFIG_FILE,
    REFERENCES,
    RESULT_FILE,
    reference_file,
    run_directory,
)

COMMANDS = ("results", "report", "predict", "clean")


def command(*arguments):
    """`python -m ddp.clean` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "ddp.clean", *map(str, arguments)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip


# Its children do not end with it, and must not keep its lock.
OWNER = """
import multiprocessing, sys, time
from pathlib import Path
from ddp.machine.segment import Segment

if __name__ == "__main__":
    segment = Segment.create(8192, Path(sys.argv[1]))
    children = []
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        children.append(context.Process(target=time.sleep, args=(3600,)))
        children[-1].start()
    print(segment.path, *(child.pid for child in children), flush=True)
    time.sleep(3600)
"""


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """A directory with the segment of a living process; its path, its owner and the children."""
    directory = tmp_path_factory.mktemp("segments")
    script = tmp_path_factory.mktemp("script") / "owner.py"
    script.write_text(OWNER)
    # It is killed, and leaves the folder of its sockets.
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(script.parent)}
    with subprocess.Popen(
        [sys.executable, script, directory], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        path, *pids = process.stdout.readline().split()
        children = [psutil.Process(int(pid)) for pid in pids]
        try:
            yield directory, Path(path), process, children
        finally:
            process.kill()
            for child in children:
                child.kill()
            psutil.wait_procs(children, DEADLINE_S)


def test_cleaning_up_leaves_the_living_removes_the_dead_and_touches_nothing_else(owner, tmp_path):
    directory, path, process, children = owner
    runs = tmp_path
    foreign = [
        directory / name
        for name in ("ddp-1-abc", "ddp-notes", "psm_1234", "ddp-12-0123456789ab.txt")
    ]
    for file in foreign:
        file.write_text("mine")
    (directory / "ddp-5-0123456789ab").mkdir()
    (directory / "ddp-6-0123456789ab").symlink_to(foreign[0])
    os.mkfifo(directory / "ddp-7-0123456789ab")
    others = sorted(set(directory.iterdir()) - {path})
    assert remove_orphans(directory) == []
    assert "segment" not in command("--yes", "--segments", directory, runs).stdout
    assert sorted(directory.iterdir()) == sorted([*others, path])

    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE_S)
    assert all(child.is_running() for child in children)
    would = command("--segments", directory, runs)
    assert would.stderr == ""
    assert f"segment   {path}  0.0 MiB\n" in would.stdout
    assert would.stdout.splitlines()[-1].startswith("would remove: ")
    assert path.exists()
    done = command("--yes", "--segments", directory, runs)
    assert f"segment   {path}  0.0 MiB\n" in done.stdout
    assert sorted(directory.iterdir()) == others


def test_a_segment_that_was_taken_for_dead_while_it_was_born_gets_another_name(
    tmp_path, monkeypatch
):
    """Another program may clean up between the creation of a segment and its lock."""
    cleaned = []
    flock = fcntl.flock

    def clean_first(fd, operation):
        if not cleaned and not operation & fcntl.LOCK_NB:
            cleaned.append(None)
            cleaned[0] = remove_orphans(tmp_path)
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", clean_first)
    before = psutil.Process().num_fds()
    mine = Segment.create(4096, tmp_path)
    assert len(cleaned[0]) == 1
    assert list(tmp_path.iterdir()) == [mine.path]
    assert cleaned[0][0][0] != mine.path
    mine.unlink()
    del mine
    assert psutil.Process().num_fds() == before


def test_the_command_refuses_what_is_no_directory(tmp_path):
    for arguments in ([tmp_path / "missing"], ["--segments", tmp_path / "missing"]):
        ended = command(*arguments)
        assert ended.returncode == 2
        assert f"{tmp_path / 'missing'} is not a directory" in ended.stderr


def cleaned(capsys, monkeypatch, *arguments):
    """The lines about runs and references, and the exit code, without a new process."""
    monkeypatch.setattr(sys, "argv", ["ddp.clean", *map(str, arguments)])
    code = main()
    lines = capsys.readouterr().out.splitlines()
    return [line.rpartition("  ")[0] for line in lines if not line.startswith("segment")], code


def run_without_a_round(directory, make_config, **result):
    """The directory of a run that was killed, or that ended early with this result."""
    config = make_config("checkpoint_every=1")
    with run_directory(config, directory, resume=False):
        pass
    (directory / "events.out.tfevents.1").write_bytes(b"\0")
    if result:
        (directory / RESULT_FILE).write_text(json.dumps({"status": "failed", **result}))
    return directory


def test_runs_without_a_round_are_listed_and_removed_only_with_yes(
    make_config, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    outputs = tmp_path / "outputs"
    killed = run_without_a_round(outputs / "killed", make_config)
    failed = run_without_a_round(outputs / "failed", make_config, rounds_completed=0)
    stay = {
        "a round": run_without_a_round(outputs / "round", make_config, rounds_completed=1),
        "a damaged result": run_without_a_round(outputs / "damaged", make_config, rounds=0),
        "a file of the user": run_without_a_round(outputs / "notes", make_config),
        "a checkpoint": run_without_a_round(outputs / "checkpoint", make_config),
        "a run that may have rounds": run_without_a_round(outputs / "rare", make_config),
    }
    (stay["a file of the user"] / "notes.txt").write_text("mine")
    (stay["a checkpoint"] / "checkpoints").mkdir()
    (stay["a checkpoint"] / "checkpoints" / "round-000001.safetensors").write_bytes(b"")
    config = stay["a run that may have rounds"] / CONFIG_FILE
    config.write_text(config.read_text().replace("checkpoint_every: 1", "checkpoint_every: 5"))
    live = outputs / "live"
    with run_directory(make_config("checkpoint_every=1"), live, resume=False):
        listed, code = cleaned(capsys, monkeypatch)
        assert code == 0
        found = ["run       outputs/failed", "run       outputs/killed"]
        assert [line for line in listed if line.startswith("run ")] == found
        assert killed.exists()
        assert failed.exists()
        cleaned(capsys, monkeypatch, "--yes")
        assert live.exists()
    assert not killed.exists()
    assert not failed.exists()
    assert [why for why, path in stay.items() if not path.exists()] == []


def test_references_of_earlier_versions_are_stale(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    kept, stale = reference_file("0123"), REFERENCES / "0123456789abcdef01234567.json"
    REFERENCES.mkdir(parents=True)
    for path in (kept, stale):
        path.write_text("{}")
    listed, _ = cleaned(capsys, monkeypatch)
    assert f"reference {stale}" in listed
    assert not any(str(kept) in line for line in listed)
    cleaned(capsys, monkeypatch, "--yes")
    assert (kept.exists(), stale.exists()) == (True, False)


def test_the_list_of_commands_names_every_command_and_each_exists(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ddp"])
    assert commands_of.main() == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("train.py", *COMMANDS))
    for name in COMMANDS:
        assert find_spec(f"ddp.{name}") is not None
    monkeypatch.setattr(sys, "argv", ["ddp", "results"])
    assert commands_of.main() == 2
    assert "write python -m ddp.results" in capsys.readouterr().err


def test_the_version_is_one(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ddp", "--version"])
    assert commands_of.main() == 0
    assert capsys.readouterr().out == f"ddp {ddp.__version__}\n"
    assert "attr: ddp.config.version.VERSION" in (REPOSITORY / "setup.cfg").read_text()


def test_the_command_needs_no_torch():
    code = "import sys, ddp.clean; print({'torch', 'hydra', 'pandas'} & set(sys.modules))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout
        == "set()\n"
    )
