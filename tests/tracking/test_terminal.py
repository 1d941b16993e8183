"""Output for a person while a run goes on: lines into a pipe, bars on a terminal."""

import re

import pytest
from consoles import ESCAPE, a_console, shown_on
from faults import Fault, infect

from ddp.config.schema import DISPLAYS
from ddp.experiment import run
from ddp.results.summary import print_result
from ddp.tracking.messages import AggregateRound, RatingsRead
from ddp.tracking.metrics import SquaredError
from ddp.tracking.terminal import Bars, Lines, make_display, print_facts
from ddp.tracking.tracker import Tracker

HIDE_CURSOR, SHOW_CURSOR = f"{ESCAPE}[?25l", f"{ESCAPE}[?25h"


def aggregate(round_index: int, elapsed_s: float = 1.5) -> AggregateRound:
    return AggregateRound(
        round_index=round_index,
        valid=SquaredError(4.0, 4),
        test=SquaredError(9.0, 4),
        weights=(1.0,),
        elapsed_s=elapsed_s,
    )


@pytest.mark.parametrize(
    ("display", "terminal", "kind"),
    [
        ("auto", True, Bars),
        ("auto", False, Lines),
        ("bars", True, Bars),
        ("bars", False, Bars),
        ("lines", True, Lines),
        ("lines", False, Lines),
        ("none", True, Tracker),
        ("none", False, Tracker),
    ],
)
def test_the_display_is_the_one_asked_for(make_config, display, terminal, kind):
    shown = make_display(make_config(f"display={display}"), a_console(terminal=terminal))
    try:
        assert type(shown) is kind
        assert display in DISPLAYS
    finally:
        shown.close()


def test_none_shows_nothing(make_config, tmp_path, capfd):
    console = a_console(terminal=True)
    config = make_config("backend=serial", "display=none")
    run(config, tmp_path, [make_display(config, console)])
    assert shown_on(console) == ""
    assert capfd.readouterr() == ("", "")


def test_a_line_a_round(make_config, tmp_path):
    console = a_console(terminal=False)
    config = make_config("backend=thread", "rounds=3", "display=lines")
    result = run(config, tmp_path, [make_display(config, console)])
    lines = shown_on(console).splitlines()
    data, lines = lines[:3], lines[3:]
    assert data[0] == "data:       1,200 ratings of 60 users for 40 items, 50 % full"
    assert data[1].startswith("            scale ")
    assert data[2].startswith("split:      iid; ")
    assert len(lines) == 3
    for number, (line, row) in enumerate(
        zip(lines, result.history.aggregate_rounds, strict=True), start=1
    ):
        assert line.startswith(f"round {number}/3 ")
        errors = f"validation {row.valid.rmse:.4f}  test {row.test.rmse:.4f}"
        assert f"{errors}  after {row.elapsed_s:.2f} s" in line
    assert ESCAPE not in shown_on(console)


def test_a_line_on_a_terminal_is_the_same(make_config):
    console = a_console(terminal=True)
    Lines(make_config(), console).on(aggregate(0))
    assert (
        shown_on(console)
        == "round 1/2  aggregated RMSE: validation 1.0000  test 1.5000  after 1.50 s\n"
    )


def test_a_long_line_is_not_broken(make_config):
    console = a_console(terminal=False, width=80)
    Lines(make_config("rounds=100000"), console).on(aggregate(99_999, elapsed_s=12_345.67))
    assert len(shown_on(console).splitlines()) == 1


FACTS = [
    ("data", "100,000 ratings of 943 users for 1,682 items, 6.3 % full"),
    ("", "scale 1 to 5, mean 3.53, 1997-09-20 to 1998-04-22"),
    ("recognised", "columns user [red]id[/red]"),
    ("note", "all ratings are 4, so there is nothing to learn: check data.rating"),
]


@pytest.mark.parametrize("width", [40, 80])
def test_facts_are_folded_on_a_terminal_below_their_start(width):
    console = a_console(terminal=True, width=width)
    print_facts(FACTS, console)
    lines = shown_on(console).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == {40: 8, 80: 4}[width]
    assert lines[0].startswith("data:       100,000 ratings of 943 users")
    assert [line for line in lines if line.startswith("recognised: columns user [red]id")]
    starts = ("data:       ", "recognised: ", "note: ", "      ")
    assert all(line.startswith(starts) for line in lines)


@pytest.mark.parametrize("display", [Lines, Bars])
def test_each_display_shows_the_facts(make_config, display):
    console = a_console(terminal=False, width=40)
    shown = display(make_config(), console)
    shown.on(RatingsRead(lines=FACTS))
    *facts, note = shown_on(console).splitlines()[: len(FACTS)]
    assert facts == [f"{label and label + ':':12}{text}" for label, text in FACTS[:-1]]
    assert note == f"note: {FACTS[-1][1]}"


@pytest.mark.parametrize("backend", ["serial", "thread"])
def test_the_bars_reach_their_totals(make_config, tmp_path, backend):
    console = a_console(terminal=True)
    config = make_config(f"backend={backend}", "display=bars", "rounds=3", "local_epochs=4")
    bars = Bars(config, console)
    result = run(config, tmp_path, [bars])
    assert [task.description for task in bars.progress.tasks] == [
        "worker_0",
        "worker_1",
        "worker_2",
        "aggregated",
    ]
    assert [(task.completed, task.total) for task in bars.progress.tasks] == [(12, 12)] * 3 + [
        (3, 3)
    ]
    assert all(task.finished for task in bars.progress.tasks)
    final = (
        re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown_on(console))
        .replace("\r", "\n")
        .splitlines()[-4:]
    )
    for line, name in zip(final, ["worker_0", "worker_1", "worker_2", "aggregated"], strict=True):
        assert line.lstrip().startswith(name)
        assert ("3/3" if name == "aggregated" else "12/12") in line
    assert f"validation {result.last.valid.rmse:.4f}  test {result.test_rmse:.4f}" in final[-1]


@pytest.mark.parametrize("width", [34, 40, 60, 71, 72, 80])
def test_bars_show_the_whole_rmse_on_a_narrow_terminal(make_config, width):
    console = a_console(terminal=True, width=width)
    bars = Bars(make_config("display=bars", "rounds=20", "workers=12"), console)
    bars.open()
    bars.on(aggregate(0))
    bars.close()
    assert "1/20" in shown_on(console)
    assert "test 1.5000" in shown_on(console)


def test_the_bars_stop_and_give_the_cursor_back_also_when_the_run_fails(make_config, tmp_path):
    class Fails(Tracker):
        def on(self, event):
            if isinstance(event, AggregateRound):
                raise RuntimeError("made up")

    console = a_console(terminal=True)
    bars = Bars(make_config("display=bars"), console)
    assert not bars.progress.live.is_started  # a run that is refused has shown nothing
    with pytest.raises(RuntimeError, match="made up"):
        run(bars.config, tmp_path, [bars, Fails()])
    assert not bars.progress.live.is_started
    assert shown_on(console).count(HIDE_CURSOR) == shown_on(console).count(SHOW_CURSOR) == 1
    assert [task.completed for task in bars.progress.tasks][-1] == 1


@pytest.mark.parametrize("display", ["lines", "bars"])
@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("drop", "worker 1 was dropped in round 2 (publish): RuntimeError: a fault"),
        (
            "restart",
            "worker 1 failed, and the round began again in round 2 (publish): RuntimeError: a"
            " fault",
        ),
    ],
)
def test_a_worker_that_failed_is_told_of(make_config, monkeypatch, tmp_path, display, policy, told):
    console = a_console(terminal=display == "bars")
    infect(monkeypatch, Fault("exception", "publishing", tmp_path / "done", last_round=2))
    config = make_config(
        "backend=thread", "trainer=fused", "rounds=3", f"on_failure={policy}", f"display={display}"
    )
    shown = make_display(config, console)
    result = run(config, tmp_path / "run", [shown])
    if display == "bars":
        assert "dropped" in shown_on(console) or policy == "restart"
        assert [task.completed for task in shown.progress.tasks][-1] == 3
    else:
        assert shown_on(console).splitlines().count(told) == 1
    after = a_console(terminal=False)
    print_result(result, after)
    assert told in shown_on(after).splitlines()
