"""Full and read-only disks, really mounted: no command hangs, leaves half a file, or loses results
without a message.
"""

import csv
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from jobs import DATA
from programs import TRAIN

from ddp.backends.shm_segment import create_segment
from ddp.errors import ConfigError, DataError, UserError
from ddp.experiment import run
from ddp.machine.files import atomic_file
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.cache import cached
from ddp.ratings.sources.fetch import fetch
from ddp.ratings.sources.remote import Download, Member
from ddp.results.run_directory import find_checkpoints
from ddp.results.saved_model import MODEL_FILE, load_model
from ddp.results.table import main as results
from ddp.tracking.messages import AggregateRound
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tensorboard import TensorBoard

REPOSITORY = Path(__file__).parent.parent.parent
TIMEOUT_S = 60
PAGE = 4096
SMALL = (
    *DATA,
    *(
        "split=iid",
        "model=tiny",
        "workers=2",
        "rounds=6",
        "local_epochs=1",
        "reference=false",
        "display=none",
    ),
    "checkpoint_every=0",
)

# --- disks ---


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, pages: int = 0) -> None:
        """Fills the disk and leaves so many pages."""
        (self.path / "filler").unlink(missing_ok=True)
        free = os.statvfs(self.path)
        with (self.path / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize - pages * PAGE)

    def protect(self) -> None:
        """Makes the disk read-only: for root too, who may ignore permissions."""
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)


@pytest.fixture(scope="module")
def disk_directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("disk")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "ddp-test", path],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.fixture
def disk(disk_directory):
    """An empty disk that takes files."""
    yield Disk(disk_directory)
    subprocess.run(["mount", "-o", "remount,rw", disk_directory], check=True)
    for path in disk_directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- commands ---


@pytest.fixture
def train(programs, disk, tmp_path):
    """`train(*arguments)`: exit code and standard error. Files that the disk does not take go to
    tmp_path.
    """

    def command(*arguments: str, directory=tmp_path, temporary=tmp_path, stdout=None):
        with (
            (tmp_path / "stderr").open("w") as said,
            (stdout or tmp_path / "stdout").open("w") as shown,
        ):
            streams = {"stdout": shown.fileno(), "stderr": said.fileno()}
            program = programs.start(
                TRAIN, *SMALL, *arguments, cwd=directory, temporary=temporary, **streams
            )
            try:
                code = program.wait(TIMEOUT_S)
            finally:
                program.kill()
            psutil.wait_procs(members(program.pid), timeout=10)
            assert members(program.pid) == []
            text = (tmp_path / "stderr").read_text()
        assert "Traceback" not in text
        assert_whole(disk.path)
        assert_whole(tmp_path)
        return code, text

    return command


def members(session: int) -> list[psutil.Process]:
    """The processes of a command that still run."""
    running = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                running.append(process)
        except ProcessLookupError:
            continue
    return running


def assert_whole(directory: Path) -> None:
    """Every file below is complete."""
    assert list(directory.rglob("*.part")) == []
    for path in directory.rglob("*.*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".yaml":
            assert yaml.safe_load(path.read_text()) is not None
        elif path.suffix == ".csv":
            assert len({len(row) for row in csv.reader(path.read_text().splitlines())}) == 1
            assert path.read_text().endswith("\n")
        elif path.suffix == ".pkl":
            pickle.loads(path.read_bytes())
        elif path.suffix == ".npz":
            assert zipfile.ZipFile(path).testzip() is None
        elif path.suffix == ".safetensors":
            from safetensors.numpy import load

            assert load(path.read_bytes())
        elif "tfevents" in path.name:
            assert num_events(path) > 1


def num_events(path: Path) -> int:
    """Raises an exception at half a record."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return len(list(EventFileLoader(str(path)).Load()))


def errors(said: str) -> list[str]:
    return [
        line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")
    ]


# --- a run ---

# Every file of a run is a page or some; in the order in which they are written.
NEEDED = (
    ".hydra/config.yaml",
    ".hydra/hydra.yaml",
    ".hydra/overrides.yaml",
    "config.yaml",
    MODEL_FILE,
    "catalogue.npz",
)
RESULTS = ("rounds.csv", "ddp_thread_results.pkl", "trace.json", "result.json")


@pytest.fixture(scope="module")
def blamed() -> set[str]:
    """The files that had no room in the runs below."""
    return set()


def page_counts(default, every):
    """Of free pages; those that are not in `default` are slow."""
    return [n if n in default else pytest.param(n, marks=pytest.mark.slow) for n in every]


# Each file is the first without room for one of these.
EACH_FILE = {0, 1, 2, 3, 4, 5, 7, 9, 12, 17, 19, 24, 34, 36, 38, 40, 46}


@pytest.mark.parametrize("pages", page_counts(EACH_FILE, [*range(20), *range(20, 48, 2)]))
def test_a_run_whose_disk_is_full_at_whatever_moment(train, disk, tmp_path, blamed, pages):
    disk.fill(pages)
    directory = disk.path / "run"
    code, said = train(f"hydra.run.dir={directory}")
    lines = said.splitlines()
    events = [path for path in directory.iterdir() if "tfevents" in path.name]
    warnings = (
        [lines.pop(0).removeprefix("warning: ")]
        if lines and lines[0].startswith("warning: ")
        else []
    )
    if warnings:
        assert re.match(
            f"{directory}/events.out.tfevents.*: No space left on device; .*without TensorBoard$",
            warnings[0],
        )
        assert events == []
        blamed.add("events")
    if code == 0:
        assert lines == []
        assert {path.name for path in directory.iterdir()} - {path.name for path in events} == {
            ".hydra",
            "config.yaml",
            *NEEDED[4:],
            *RESULTS,
        }
        assert json.loads((directory / "result.json").read_text())["status"] == "ok"
        return
    assert code == 1
    (message,) = errors(said)
    assert "; make room there, or put the run elsewhere: hydra.run.dir=DIR" in message
    name = message.removeprefix(f"{directory}/").partition(": No space left on device")[0]
    assert not (directory / name).exists()
    blamed.add(name)
    if name in NEEDED[:4]:
        assert len(lines) == 1
        assert set(directory.iterdir()) <= {directory / ".hydra"}  # the directory is not taken
        return
    assert re.match(r"test RMSE \d\.\d{4}; ", lines[1])
    saved = Path(re.search(r"is in (\S+)$", lines[-1])[1])
    assert saved.parent == tmp_path
    if name in RESULTS:
        load_model(directory)
        assert {path.name for path in saved.iterdir()} == set(RESULTS)
    else:
        load_model(saved)
    result = next(
        path for path in (directory / "result.json", saved / "result.json") if path.exists()
    )
    result = json.loads(result.read_text())
    assert (result["rounds_completed"], result["warnings"]) == (6, warnings)
    if name != "result.json":
        assert (result["status"], name in result["error"]) == ("failed", True)


def test_each_file_was_the_one_without_room(blamed):
    if blamed:
        assert blamed == {*NEEDED, *RESULTS, "events"}


@pytest.mark.parametrize(
    "pages", page_counts({5, 9, 13, 21, 30}, [5, 7, 9, 11, 13, 15, 18, 21, 25, 30, 40])
)
def test_a_run_does_without_checkpoints_that_have_no_room(train, disk, pages):
    """The run ends and says so, and `resume` goes on with its files once there is room."""
    disk.fill(pages)
    directory = disk.path / "run"
    code, said = train(f"hydra.run.dir={directory}", "tensorboard=false", "checkpoint_every=1")
    warnings = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert all(
        re.search(
            r"checkpoints/\S+: No space left on device; .*goes on without this checkpoint$", line
        )
        for line in warnings
    )
    assert code in (0, 1)
    if code == 0:
        told = json.loads((directory / "result.json").read_text())
        assert (told["status"], told["rounds_completed"]) == ("ok", 6)
        assert [f"warning: {trouble}" for trouble in told["warnings"]] == warnings
    disk.fill(200)
    if find_checkpoints(directory):
        code, said = train(f"resume={directory}", "rounds=7")
        assert (code, said) == (0, "")
        assert json.loads((directory / "result.json").read_text())["rounds_completed"] == 7


def test_a_run_does_without_tensorboard(train, disk):
    """The file that is by far the largest of such a run."""
    disk.fill(33)
    code, said = train(f"hydra.run.dir={disk.path}/run", "rounds=40", "account=false")
    assert code == 0
    (warning,) = said.splitlines()
    result = json.loads((disk.path / "run" / "result.json").read_text())
    assert (result["status"], result["rounds_completed"]) == ("ok", 40)
    assert [f"warning: {trouble}" for trouble in result["warnings"]] == [warning]
    assert list((disk.path / "run").glob("*tfevents*")) == []


def test_what_can_be_saved_nowhere_is_told(train, disk):
    disk.fill(4)
    code, said = train(f"hydra.run.dir={disk.path}/run", "tensorboard=false", temporary=disk.path)
    message, *notes = said.splitlines()
    assert (code, len(errors(said)), len(notes)) == (1, 1, 2)
    assert message.startswith(f"error: {disk.path}/run/{MODEL_FILE}: No space left on device; ")
    for note in notes:
        assert re.search(
            r"test RMSE \d\.\d{4}; it could not be saved elsewhere either .*No space left on"
            r" device",
            note,
        )
    assert not (disk.path / "run" / "result.json").exists()
    assert list(disk.path.glob("ddp-run-*")) == []


def test_a_full_disk_does_not_hide_why_the_run_failed(train, disk):
    disk.fill(4)
    code, said = train(f"hydra.run.dir={disk.path}/run", "workers=2000")
    error, *notes = said.splitlines()[-2:]
    assert (code, len(notes)) == (2, 1)
    assert error.startswith("error: workers=2000: ")
    assert re.search(
        r"rounds.csv: No space left on device; no round was finished; .* is in \S+$", notes[0]
    )


def test_whoever_handles_an_error_of_another_run_is_told_as_well(
    make_config, disk, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    disk.fill(4)
    try:
        raise KeyError("of another run")
    except KeyError:
        with pytest.raises(OSError, match=r"No space left on device: '.*rounds\.csv'"):
            run(make_config("backend=serial"), disk.path / "run", [])


def test_the_workers_of_a_run_that_cannot_be_saved_have_ended(train, disk):
    disk.fill(4)
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as short:  # the path of a socket must be
        code, said = train(
            f"hydra.run.dir={disk.path}/run", "backend=shm", "rounds=1", temporary=short
        )
    assert code == 1
    assert f"error: {disk.path}/run/{MODEL_FILE}: No space left on device" in said


def test_a_read_only_disk_is_one_message(train, disk):
    disk.protect()
    code, said = train(directory=disk.path)
    assert code == 1
    (message,) = errors(said)
    assert message.startswith("outputs: Read-only file system; ")
    assert "hydra.run.dir=DIR" in message


def test_a_run_needs_no_directory_but_its_own(train, disk, tmp_path):
    """The run cannot keep the errors of the one worker then, and goes on without them."""
    disk.protect()
    assert train(
        f"hydra.run.dir={tmp_path}/run", "reference=true", "trainer=fused", directory=disk.path
    ) == (0, "")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["rmse"]["gap"] is not None


READ_ONLY = """
for place in /tmp /var/tmp /usr/tmp; do
    [ ! -d $place ] || {
        mount --rbind $place $place && mount -o remount,ro,bind $place
    } || exit 99
done
exec "$@"
"""


def test_processes_without_any_temporary_directory_are_one_message(disk):
    """As in a container with a read-only root. (Nobody can write into /proc, where this runs.)"""
    command = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        READ_ONLY,
        "sh",
        sys.executable,
        str(REPOSITORY / "train.py"),
        *SMALL,
    ]
    environment = {
        key: value for key, value in os.environ.items() if key not in ("TMPDIR", "TEMP", "TMP")
    }
    done = subprocess.run(
        [*command, "backend=process", f"hydra.run.dir={disk.path}/run"],
        cwd="/proc", env=environment, capture_output=True, text=True, timeout=TIMEOUT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert message.startswith("error: TMPDIR: No usable temporary directory found in ['/tmp', ")


def test_an_output_that_is_full_is_one_message(train, tmp_path):
    code, said = train(f"hydra.run.dir={tmp_path}/run", "display=lines", stdout=Path("/dev/full"))
    assert code == 1
    (message,) = errors(said)
    assert message.startswith("standard output")
    assert "No space left on device" in message
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "failed"


# --- a sweep ---


@pytest.mark.parametrize("pages", [1, 2, 7])
def test_a_sweep_whose_disk_is_full(train, disk, pages):
    disk.fill(pages)
    sweep = disk.path / "sweep"
    code, said = train("-m", f"hydra.sweep.dir={sweep}", "seed=0,1")
    assert code == 1
    messages = errors(said)
    if pages < 2:
        assert len(messages) == 1
        assert messages[0].startswith(f"{sweep}/multirun.yaml: No space left on device; ")
        assert list(sweep.iterdir()) == []  # it is not taken
        return
    assert [message.startswith(f"{sweep}/{job}/") for job, message in enumerate(messages[:2])] == [
        True,
        True,
    ]
    assert messages[2].startswith(f"{sweep}/sweep.csv: ")
    assert messages[3].startswith(f"{sweep}/report.html: ")
    assert messages[4:] == ["2 of 2 jobs did not succeed"]


def test_the_table_that_cannot_be_written_is_shown(train, disk, tmp_path, capsys, monkeypatch):
    train(f"hydra.run.dir={tmp_path}/run", "tensorboard=false")
    disk.fill()
    monkeypatch.setattr(
        sys, "argv", ["results", str(tmp_path), "--csv", str(disk.path / "table.csv")]
    )
    assert results() == 1
    shown = capsys.readouterr()
    assert str(tmp_path / "run") in shown.out
    assert (
        shown.err
        == f"error: {disk.path}/table.csv: No space left on device; choose another place with"
        " --csv FILE\n"
    )
    assert {path.name for path in disk.path.iterdir()} == {"filler"}


# --- files ---


def test_a_file_that_has_no_room_leaves_what_was_there(disk):
    with atomic_file(disk.path / "file") as file:
        file.write(b"old")
    disk.fill()
    with (
        pytest.raises(OSError, match="No space left on device") as refusal,
        atomic_file(disk.path / "file") as file,
    ):
        file.write(bytes(10 * PAGE))
    assert refusal.value.filename == str(disk.path / "file")
    assert (disk.path / "file").read_bytes() == b"old"
    assert {path.name for path in disk.path.iterdir()} == {"file", "filler"}


def test_a_file_on_a_read_only_disk_is_named_by_its_own_name(disk):
    disk.protect()
    with (
        pytest.raises(OSError, match="Read-only file system") as refusal,
        atomic_file(disk.path / "file") as file,
    ):
        file.write(b"new")
    assert refusal.value.filename == str(disk.path / "file")


def test_the_new_name_of_a_file_survives_a_power_cut(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def watched(descriptor):
        synced.append(
            (Path(f"/proc/self/fd/{descriptor}").readlink().name, (tmp_path / "file").exists())
        )
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with atomic_file(tmp_path / "file") as file:
        file.write(b"content")
    (_, before), directory = synced
    assert not before
    assert directory == (tmp_path.name, True)


def test_event_files_keep_what_they_had(disk):
    board = TensorBoard(disk.path, {"workers": 1})
    error = SquaredError(1.0, 1)
    board.on(AggregateRound(round_index=0, valid=error, test=error, weights=(1.0,), elapsed_s=1.0))
    board._flush()
    (path,) = disk.path.iterdir()
    before = path.read_bytes()
    disk.fill()
    board.on(
        AggregateRound(round_index=1, valid=error, test=error, weights=(1.0,) * 1000, elapsed_s=2.0)
    )
    board.close()
    assert board.trouble.startswith(f"{path}: No space left on device")
    assert path.read_bytes() == before
    assert num_events(path) > 1


# --- data ---


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("titles", "1\tA\n")
        opened.writestr("ratings", bytes(10 * PAGE))
    return path


@pytest.mark.parametrize("pages", [0, 1, 2, 5])
def test_a_set_that_has_no_room_is_one_message(disk, archive, pages):
    """At first there is no archive, then a file in its place. Nobody asks another source, which
    would need as much room.
    """
    disk.fill(pages)
    source = Download(
        url=archive.as_uri(),
        members=tuple(Member(name=name, target=name) for name in ("titles", "ratings")),
    )
    with pytest.raises(
        DataError,
        match=f"^{disk.path}/set: cannot be written: No space left on device. Set data.root",
    ):
        fetch([source, source], disk.path / "set", connect_timeout_s=1, limit_bytes=10**6)
    assert {path.name for path in (disk.path / "set").iterdir()} <= {"titles"}


@pytest.mark.parametrize("protected", [False, True])
def test_a_cache_that_cannot_be_written_is_done_without(disk, tmp_path, protected):
    (tmp_path / "data").write_text("data")
    numbers = np.arange(3 * PAGE, dtype=np.int32)
    ratings = Ratings(
        name="some", users=numbers, items=numbers, ratings=numbers.astype(np.float32),
        user_ids=numbers.astype(np.int64),
        item_ids=numbers.astype(np.int64), rating_min=1.0, rating_max=5.0,
    )  # fmt: skip
    disk.protect() if protected else disk.fill(2)
    assert cached(disk.path / "ratings.npz", [tmp_path / "data"], "", lambda: ratings) is ratings
    assert {path.name for path in disk.path.iterdir()} <= {"filler"}


# --- kernels ---

WITHOUT_A_CACHE = """
import os, sys, tempfile
tempfile.tempdir = os.environ["HOME"]
import ddp.machine.compiled.jit, ddp.machine.compiled.gates, numpy
counters = numpy.zeros(2, numpy.int64)
gates = ddp.machine.compiled.gates.Gates(counters)
gates.open(0, 7)
print(ddp.machine.compiled.gates.__file__, ddp.machine.compiled.jit._caching, gates.wait(0, 7, 1.0))
"""


@pytest.mark.parametrize("protected", [False, True])
def test_kernels_are_compiled_into_memory_where_no_cache_can_be_written(disk, protected):
    shutil.copytree(
        REPOSITORY / "ddp", disk.path / "ddp", ignore=shutil.ignore_patterns("__pycache__")
    )
    disk.protect() if protected else disk.fill()
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_CACHE], capture_output=True, text=True, timeout=TIMEOUT_S,
        check=False, cwd=disk.path,
        env=environment
        | {"HOME": str(disk.path), "PYTHONPATH": str(disk.path), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [
        str(disk.path / "ddp" / "machine" / "compiled" / "gates.py"),
        "False",
        "True",
    ]


# --- shared memory ---


def test_shared_memory_on_a_full_disk_is_one_message(disk):
    disk.fill(3)
    with pytest.raises(UserError, match=r"backend\.directory=DIR"):
        create_segment(4 * PAGE, disk.path)
    assert {path.name for path in disk.path.iterdir()} == {"filler"}


def test_shared_memory_on_a_read_only_disk_is_one_message(disk):
    disk.protect()
    with pytest.raises(ConfigError, match=r"cannot hold a file \(Read-only file system\)"):
        create_segment(PAGE, disk.path)
