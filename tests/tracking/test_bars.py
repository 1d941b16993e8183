"""Bars on a terminal: the aggregate, the workers, and what comes before the training."""

import re

import pytest
from consoles import ESCAPE, a_console, on_screen, shown_on

from ddp.experiment import run
from ddp.machine.memory import Memory
from ddp.tracking.bars import Bars
from ddp.tracking.messages import (
    AggregateRound,
    EpochDone,
    Failure,
    Finished,
    Preparing,
    Started,
    TrainingBegan,
)
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tracker import Tracker

HIDE_CURSOR, SHOW_CURSOR = f"{ESCAPE}[?25l", f"{ESCAPE}[?25h"


def aggregate(round_index):
    return AggregateRound(
        round_index=round_index, valid=SquaredError(4.0, 4), test=SquaredError(9.0, 4),
        weights=(1.0,), elapsed_s=61.5,
    )  # fmt: skip


def frame(bars, width, height=40):
    """The lines that the bars would draw now on a terminal of this size."""
    console = a_console(terminal=True, width=width, height=height)
    console.print(bars)
    return [line for line in on_screen(shown_on(console)) if line]


def failure(worker, action):
    return Failure(
        worker=worker, round_index=0, phase=None, reason="", exit_code=1, action=action,
        traceback="",
    )  # fmt: skip


def training(config):
    """Bars of a run whose workers train, each with 1,000 ratings."""
    bars = Bars(config, a_console(terminal=False))
    workers = range(config.workers)
    bars.on(TrainingBegan(torch_threads=None, num_ratings=dict.fromkeys(workers, 1000)))
    for worker in workers:
        bars.on(Started(worker=worker, startup_s=0.1))
    return bars


@pytest.mark.parametrize("backend", ["serial", "thread"])
def test_the_bars_reach_their_ends(make_config, tmp_path, backend):
    console = a_console(terminal=True)
    config = make_config(f"backend={backend}", "display=bars", "rounds=3", "local_epochs=4")
    result = run(config, tmp_path, [Bars(config, console)])
    first, workers, nothing = on_screen(shown_on(console))[-3:]
    rmse, seconds = f"{result.last.valid.rmse:.4f}", f"{result.last.elapsed_s:.1f}"
    assert re.fullmatch(
        rf"aggregated ━+ round 3/3  RMSE valid {rmse}  \S+ ratings/s  {seconds} s", first
    )
    assert (workers, nothing) == ("workers 0-2: 3 done, local epochs 36/36", "")
    assert shown_on(console).count(HIDE_CURSOR) == shown_on(console).count(SHOW_CURSOR) == 1


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_number_is_whole_at_every_width(make_config, width):
    bars = training(make_config("rounds=20", "workers=16", "local_epochs=10"))
    for worker in range(12):
        bars.on(EpochDone(worker=worker, round_index=0, epoch=9))
    before = frame(bars, width)
    bars.on(aggregate(0))
    lines = frame(bars, width)
    for each in (before, lines):
        assert max(map(len, each)) < width
        words = " ".join(" ".join(each[:-16]).split())
        assert re.search(
            r"round 1/20 RMSE (valid 1\.0000|-) [0-9.]+[kMG] ratings/s \d:\d\d left$", words
        )
        assert [line.split()[0] for line in each[-16:]] == [f"worker_{n}" for n in range(16)]
    bar = " [━╸╺]{8,40}" if width > 40 else ""
    assert all(re.match(rf" *worker_\d+{bar} ", line) for line in lines[-16:])
    for shown, state in ((before, "waiting"), (lines, "training")):
        assert sum(line.endswith(f" 10/200  {state}") for line in shown) == 12


def test_workers_that_do_not_fit_are_one_line_also_after_a_resize(make_config):
    bars = training(make_config("rounds=2", "workers=16", "local_epochs=5", "on_failure=drop"))
    for worker in range(3):
        bars.on(EpochDone(worker=worker, round_index=0, epoch=4))
    bars.on(failure(15, "drop"))
    assert len(frame(bars, 80, height=24)) == 17
    first, folded = frame(bars, 80, height=10)
    assert first.startswith("aggregated ")
    assert folded == "workers 0-15: 12 training, 3 waiting, 1 dropped, local epochs 15/160"
    assert frame(bars, 60, height=10)[-1] == "workers 0-15: 12 training, 3 waiting, 1 dropped"
    assert len(frame(bars, 80, height=24)) == 17


def test_a_phase_before_training_is_shown_if_it_takes_long(make_config):
    bars = Bars(make_config(), a_console(terminal=False))
    bars.on(Preparing("reading [red]a.csv", 300_000_000, 600_000_000, "bytes"))
    assert frame(bars, 80) == []
    bars._prepares_since -= 10
    (line,) = frame(bars, 80)
    assert re.fullmatch(r"reading \[red\]a\.csv [━╸╺]{38} 300/600 MB  0:10 left", line)
    assert max(map(len, frame(bars, 30))) <= 30
    bars.on(Preparing("numbering users and items"))
    assert frame(bars, 80) == []  # a phase of its own
    bars._prepares_since -= 3
    assert frame(bars, 80) == ["numbering users and items 0:03"]
    bars.on(Preparing("fetching a.zip", 12_345_678, None, "bytes"))
    bars._prepares_since -= 3
    assert frame(bars, 80) == ["fetching a.zip 12.3M bytes  0:03"]


def test_the_bars_stop_and_give_the_cursor_back_also_when_the_run_fails(make_config, tmp_path):
    class Fails(Tracker):
        def on(self, event):
            if isinstance(event, AggregateRound):
                raise RuntimeError("made up")

    console = a_console(terminal=True)
    bars = Bars(make_config("display=bars"), console)
    assert not bars.live.is_started  # a run that is refused has shown nothing
    with pytest.raises(RuntimeError, match="made up"):
        run(bars.config, tmp_path, [bars, Fails()])
    assert not bars.live.is_started
    assert shown_on(console).count(HIDE_CURSOR) == shown_on(console).count(SHOW_CURSOR) == 1
    assert "round 1/2" in on_screen(shown_on(console))[-3]
    assert on_screen(shown_on(console))[-1] == ""  # the message has a line of its own


def test_a_run_that_ends_before_it_trains_leaves_no_line(make_config):
    console = a_console(terminal=True)
    bars = Bars(make_config("display=bars"), console)
    bars.open()
    bars.on(Preparing("reading a.csv", 1, 2, "bytes"))
    bars._prepares_since -= 10
    bars.live.refresh()
    assert on_screen(shown_on(console))[0].startswith("reading a.csv")
    bars.close()
    assert on_screen(shown_on(console)) == [""]


def test_a_worker_that_is_done_or_failed_is_told(make_config):
    bars = training(make_config("workers=2"))
    bars.on(Finished(worker=0, memory=Memory(peak_rss_bytes=1, pss_bytes=None)))
    bars.on(failure(1, "abort"))
    assert [line.split()[-1] for line in frame(bars, 80)[-2:]] == ["done", "failed"]
