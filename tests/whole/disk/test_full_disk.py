"""A run whose disk is full at whatever moment loses no result without a message."""

import json
import re
from pathlib import Path

import pytest
from disks import errors

from ddp.results.run_directory import find_checkpoints
from ddp.results.saved_model import MODEL_FILE, load_model

# Each file of a run takes a page or some; the run writes them in this order.
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
    """Numbers of free pages; those that are not in `default` are slow."""
    return [n if n in default else pytest.param(n, marks=pytest.mark.slow) for n in every]


# For each file one of these numbers of free pages makes it the first without room.
EACH_FILE = {0, 1, 2, 3, 4, 5, 7, 9, 12, 17, 19, 24, 34, 35, 36, 37, 38, 39, 40, 46}


@pytest.mark.parametrize(
    "pages", page_counts(EACH_FILE, [*range(20), *range(20, 34, 2), *range(34, 48)])
)
def test_a_run_whose_disk_is_full_at_whatever_moment(train, disk, tmp_path, blamed, pages):
    disk.fill(pages)
    directory = disk.path / "run"
    code, said = train(f"hydra.run.dir={directory}")
    lines = said.splitlines()
    warnings = event_warnings(lines, directory, blamed)
    if code == 0:
        assert lines == []
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
    load_model(directory if name in RESULTS else saved)
    if name in RESULTS:
        assert {path.name for path in saved.iterdir()} == set(RESULTS)
    result = next(
        path for path in (directory / "result.json", saved / "result.json") if path.exists()
    )
    result = json.loads(result.read_text())
    assert (result["rounds_completed"], result["warnings"]) == (6, warnings)
    if name != "result.json":
        assert (result["status"], name in result["error"]) == ("failed", True)


def event_warnings(lines, directory, blamed):
    """Takes the warning that the run does without TensorBoard from the lines, if it is there.

    The directory has an event file if there is no warning, and all files if there are no lines.
    """
    events = [path for path in directory.iterdir() if "tfevents" in path.name]
    warnings = []
    if lines and lines[0].startswith("warning: "):
        warnings.append(lines.pop(0).removeprefix("warning: "))
        assert re.match(
            f"{directory}/events.out.tfevents.*: No space left on device; .*without TensorBoard$",
            warnings[0],
        )
        assert events == []
        blamed.add("events")
    if not lines:
        others = {path.name for path in directory.iterdir()} - {path.name for path in events}
        assert others == {".hydra", "config.yaml", *NEEDED[4:], *RESULTS}
    return warnings


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
    """The event file is by far the largest file of such a run."""
    disk.fill(36)
    job = ("rounds=40", "account=false", "tracker.tensorboard.detail=all")
    code, said = train(f"hydra.run.dir={disk.path}/run", *job)
    assert code == 0
    (warning,) = said.splitlines()
    result = json.loads((disk.path / "run" / "result.json").read_text())
    assert (result["status"], result["rounds_completed"]) == ("ok", 40)
    assert [f"warning: {trouble}" for trouble in result["warnings"]] == [warning]
    assert list((disk.path / "run").glob("*tfevents*")) == []
