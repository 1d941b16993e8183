"""Output for a person while a run goes on: lines into a pipe, bars on a terminal."""

import os

import pytest
from consoles import ESCAPE, a_console, on_screen, shown_on
from faults import Fault, infect

from ddp.config.schema import DISPLAYS
from ddp.experiment import run
from ddp.results.summary import print_result
from ddp.tracking.bars import Bars
from ddp.tracking.make import make_display
from ddp.tracking.messages import AggregateRound, RatingsRead, RunEnds
from ddp.tracking.metrics import SquaredError
from ddp.tracking.terminal import Lines, make_console, print_facts
from ddp.tracking.tracker import Tracker

PLAIN = ("NO_COLOR", "CI")  # variables that ask for plain text


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
def test_the_display_is_the_one_asked_for(make_config, monkeypatch, display, terminal, kind):
    for name in PLAIN:
        monkeypatch.delenv(name, raising=False)
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


@pytest.fixture
def pseudo_terminal():
    """A terminal as a file, and a function that gives all that it got."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as file:

        def read():
            file.flush()
            return os.read(ours, 100_000).decode()

        yield file, read
    os.close(ours)


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, Bars),
        ({"CI": "false", "NO_COLOR": ""}, Bars),
        ({"TERM": "dumb"}, Lines),
        ({"NO_COLOR": "1"}, Lines),
        ({"CI": "true"}, Lines),
    ],
    ids=["xterm", "not CI", "dumb", "NO_COLOR", "CI"],
)
def test_a_plain_environment_gets_lines_without_control_characters(
    make_config, monkeypatch, tmp_path, pseudo_terminal, environment, kind
):
    for name in PLAIN:
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm"} | environment).items():
        monkeypatch.setenv(name, value)
    file, read = pseudo_terminal
    monkeypatch.setattr("sys.stdout", file)
    console, config = make_console(), make_config("backend=serial", "display=auto")
    assert console.is_terminal
    shown = make_display(config, console)
    assert type(shown) is kind
    print_result(run(config, tmp_path, [shown]), console)
    text = read()
    assert (ESCAPE in text) == (kind is Bars)
    assert ("round 1/2  aggregated RMSE" in text) == (kind is Lines)
    assert [line for line in on_screen(text) if line.lstrip().startswith("serial: 3 workers")]


def rounds_with_a_line(config, seconds_per_round, until):
    console = a_console(terminal=False)
    lines = Lines(config, console)
    for number in range(until):
        lines.on(aggregate(number, elapsed_s=(number + 1) * seconds_per_round))
    lines.on(RunEnds(status="ok"))
    return [int(line.split("/")[0].split()[1]) for line in shown_on(console).splitlines()]


def test_of_many_rounds_not_each_has_a_line(make_config):
    config, first = make_config("rounds=1000"), [*range(1, 11)]
    assert rounds_with_a_line(config, 0.01, 1000) == [*first, *range(20, 1001, 10)]
    assert rounds_with_a_line(config, 0.01, 137) == [*first, *range(20, 131, 10), 137]
    assert rounds_with_a_line(config, 10.0, 30) == [*range(1, 31)]  # a slow run is not silent
    assert rounds_with_a_line(make_config("rounds=100"), 0.01, 100) == [*range(1, 101)]


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
        assert "aggregated" in on_screen(shown_on(console))[-3]
        assert "round 3/3" in on_screen(shown_on(console))[-3]
        states = "2 done, 1 dropped" if policy == "drop" else "3 done"
        assert on_screen(shown_on(console))[-2].startswith(f"workers 0-2: {states}")
    else:
        assert shown_on(console).splitlines().count(told) == 1
    after = a_console(terminal=False)
    print_result(result, after)
    assert told in shown_on(after).splitlines()
