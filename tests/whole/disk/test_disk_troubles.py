"""Commands on a full or read-only disk: none hangs or leaves half a file; each says why."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from disks import SMALL, TIMEOUT_S, errors
from programs import REPOSITORY

from ddp.experiment import run
from ddp.results.command import main as results
from ddp.results.saved_model import MODEL_FILE


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
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as short:  # as a socket's path must be
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
    """As in a container with a read-only root.

    It runs in /proc, where nobody can write.
    """
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
    # without those of `make coverage` either, which would complain that it cannot write its file
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("TMPDIR", "TEMP", "TMP") and not key.startswith("COVERAGE_")
    }
    done = subprocess.run(
        [*command, "backend=process", f"hydra.run.dir={disk.path}/run"],
        cwd="/proc", env=environment, capture_output=True, text=True, timeout=TIMEOUT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert message.startswith("error: TMPDIR: No usable temporary directory found in ['/tmp', ")


def test_an_output_that_is_full_is_one_message_and_ends_no_run(train, tmp_path):
    code, said = train(f"hydra.run.dir={tmp_path}/run", "display=lines", stdout=Path("/dev/full"))
    assert code == 0
    (message,) = said.splitlines()
    assert message.startswith("warning: standard output: No space left on device; ")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "ok"


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
    assert [
        message.startswith(f"{sweep}/{job}_seed={job}/") for job, message in enumerate(messages[:2])
    ] == [
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
    assert shown.out.startswith("1 run: ok\n")
    assert (
        shown.err
        == f"error: {disk.path}/table.csv: No space left on device; choose another place with"
        " --csv FILE\n"
    )
    assert {path.name for path in disk.path.iterdir()} == {"filler"}
