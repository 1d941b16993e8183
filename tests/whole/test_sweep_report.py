"""A sweep leaves its table and its report also when it fails or is interrupted."""

import os
import signal
import time
from contextlib import suppress

import pytest
from commands import SMALL, interrupted, statuses
from programs import TIMEOUT_S


def test_a_sweep_that_is_interrupted_leaves_them_too(started, tmp_path):
    process = started(tmp_path, "-m", "rounds=100000", "seed=0,1", "hydra.sweep.dir=sweep")
    shown, errors = interrupted(process)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "report: sweep/report.html\n" in shown
    assert statuses(tmp_path / "sweep") == ["interrupted"]
    assert "1 interrupted" in (tmp_path / "sweep" / "report.html").read_text()


@pytest.mark.parametrize(
    ("matplotlib", "code", "said"),
    [
        ("raise ImportError('no such thing')", 1, "ImportError: no such thing"),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGINT)",
            130,
            "error: interrupted before the sweep's table and report",
        ),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
            143,
            "error: interrupted before the sweep's table and report",
        ),
    ],
)
def test_a_report_that_does_not_come_about_costs_nothing_else(
    train, tmp_path, matplotlib, code, said
):
    (tmp_path / "matplotlib.py").write_text(matplotlib)
    sweep = ("-m", *SMALL, "seed=0,1", "display=none", "hydra.sweep.dir=sweep")
    # the server has imported them already
    ended = train(tmp_path, *sweep, forget=["matplotlib", "ddp.report"])
    assert ended.returncode == code
    assert said in ended.stderr
    assert "KeyboardInterrupt" not in ended.stderr
    assert statuses(tmp_path / "sweep") == ["ok", "ok"]
    assert not (tmp_path / "sweep" / "report.html").exists()


def test_a_sweep_can_do_without(train, tmp_path):
    sweep = ("-m", *SMALL, "trainer.lr=1e30,0.02", "display=none", "hydra.sweep.dir=sweep")
    ended = train(tmp_path, *sweep, "~hydra.callbacks.summary")
    assert ended.returncode == 1
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == [
        "0_trainer.lr=1e+30",
        "1_trainer.lr=0.02",
        "multirun.yaml",
    ]


def test_a_sweep_whose_table_cannot_be_written_has_its_report(train, tmp_path):
    (tmp_path / "sweep" / "sweep.csv").mkdir(parents=True)
    ended = train(tmp_path, "-m", *SMALL, "seed=0,1", "display=none", "hydra.sweep.dir=sweep")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: sweep/sweep.csv: ")
    assert ended.stderr.count("\n") == 1
    assert "2 runs" in (tmp_path / "sweep" / "report.html").read_text()


def test_ctrl_c_while_the_results_of_a_sweep_are_read_is_one_line(started, tmp_path):
    """A FIFO in place of a result keeps the command reading."""
    job = tmp_path / "sweep" / "9"
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra" / "config.yaml").write_text("")
    os.mkfifo(job / "result.json")
    process = started(tmp_path, "-m", "seed=0,1", "hydra.sweep.dir=sweep")
    try:
        deadline, pipe = time.monotonic() + TIMEOUT_S, None
        while pipe is None and time.monotonic() < deadline:
            with suppress(OSError):  # until somebody reads
                pipe = os.open(job / "result.json", os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
        os.close(pipe)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert (process.returncode, errors) == (
        130,
        "error: interrupted before the sweep's table and report were written\n",
    )


def test_a_sweep_whose_report_cannot_be_written_says_so(train, tmp_path):
    (tmp_path / "sweep" / "report.html").mkdir(parents=True)
    ended = train(tmp_path, "-m", *SMALL, "seed=0,1", "display=none", "hydra.sweep.dir=sweep")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: sweep/report.html: ")
    assert ended.stderr.count("\n") == 1
    assert statuses(tmp_path / "sweep") == ["ok", "ok"]
