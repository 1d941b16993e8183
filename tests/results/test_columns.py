"""At 60, 80 and 120 columns the table of runs has whole RMSEs and seconds, and tells runs apart."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
from consoles import a_console, shown_on
from hypothesis import given, settings
from hypothesis import strategies as st

from ddp.config.defaults import default_config
from ddp.config.schema import settings as as_settings
from ddp.results.columns import FIRST, asked_columns, chosen_columns, told_once
from ddp.results.fitting import least_width, print_table
from ddp.results.run_file import OUTCOME, WORKER_MEANS, RunFile
from ddp.results.table import COLUMNS, MAIN, rows_of, sort_key, telling_settings

WIDTHS = [60, 80, 120]
PLAIN = as_settings(asdict(default_config()))
few = settings(max_examples=15)
figure = st.none() | st.floats(0, 99_999)
varied = st.fixed_dictionaries(
    {},
    optional={
        "backend": st.sampled_from(["thread", "process", "shm"]),
        "workers": st.integers(1, 64),
        "trainer.lr": st.floats(1e-6, 1),
        "aggregation": st.sampled_from(["uniform", "inverse_loss", "softmax_loss"]),
        "split.alpha": st.sampled_from([0.1, "-"]),
        "straggler_timeout": st.sampled_from([None, 12.5]),
        "data.path": st.text("abc/ é", min_size=1, max_size=70),
        "seed": st.integers(0, 2**63),
        "local_epochs": st.integers(1, 100),
        "trainer.batch_size": st.integers(1, 10**6),
    },
)


@st.composite
def rows(draw):
    """Rows of runs in one sweep or in several folders, some of which failed."""
    jobs = draw(st.booleans())
    runs = []
    for number in range(draw(st.integers(1, 5))):
        own = draw(varied)
        name = ",".join(f"{key}={value}" for key, value in own.items())[:80] or "defaults"
        failed = draw(st.integers(0, 4)) == 0
        runs.append(
            RunFile(
                directory=Path("sweeps") / (f"{number}_{name}" if jobs else f"{name} {number}"),
                status="failed" if failed else "ok",
                error="it is, made up" if failed else None,
                settings=PLAIN | own,
                outcome={key: draw(figure) for key in OUTCOME},
                worker_means={key: draw(figure) for key in WORKER_MEANS},
            )
        )
    return [row | {"name": Path(row["directory"]).name} for row in rows_of(runs)]


def printed(columns, width):
    console = a_console(terminal=False, width=width)
    print_table(console, "", columns)
    return shown_on(console).splitlines()


def names_of(columns):
    return [column.header.replace(".\n", ".").replace("\n", "_") for column in columns]


@pytest.mark.parametrize("width", WIDTHS)
@few
@given(rows=rows())
def test_no_number_is_cut_or_folded_and_rmse_and_seconds_always_show(width, rows):
    columns, left_out = chosen_columns(rows, width)
    lines = printed(columns, width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for column in columns:
        if column.right:
            assert {*column.cells} <= {*words}
    shown = names_of(columns)
    for name in FIRST:
        assert name in shown or all(row[name] is None for row in rows)
    assert not {*shown} & {*left_out}


@pytest.mark.parametrize("width", WIDTHS)
@few
@given(rows=rows())
def test_what_runs_differ_in_is_shown_or_their_names_and_the_rest_is_told_once(width, rows):
    columns, left_out = chosen_columns(rows, width)
    shown, told = names_of(columns), re.findall(r"(?:^|  )([a-z_.]+)=", told_once(rows))
    telling = telling_settings(rows)
    assert {*telling} <= {*shown} or "name" in shown
    assert not {*told} & {*shown}
    assert {*MAIN} <= {*told, *telling}
    figures = {name for name in (*OUTCOME, *WORKER_MEANS) if any(row[name] for row in rows)}
    assert figures <= {*told, *shown, *left_out}
    assert ("status" in shown) == (len({row["status"] for row in rows}) > 1)


@pytest.mark.parametrize("width", [*WIDTHS, 1000])
@few
@given(rows=rows())
def test_the_directory_is_its_last_part_or_the_number_of_the_job(width, rows):
    columns, _ = chosen_columns(rows, width)
    by_name = dict(zip(names_of(columns), columns, strict=True))
    names = [Path(row["directory"]).name for row in rows]
    if width == 1000 and len({*names}) == len(names):
        assert list(by_name["directory"].cells) == names
    elif "job" in by_name:
        assert list(by_name["job"].cells) == [name.partition("_")[0] for name in names]


def test_a_setting_that_only_follows_from_the_option_is_no_column():
    runs = [
        RunFile(directory=Path(f"{n}"), status="ok", settings=PLAIN | own)
        for n, own in enumerate(
            [{"backend": "thread"}, {"backend": "process", "backend.start_method": "spawn"}]
        )
    ]
    assert telling_settings(rows_of(runs)) == ["backend"]


def test_a_setting_is_told_once_if_it_is_unlike_conf_or_one_of_the_main_ones():
    runs = [
        RunFile(
            directory=Path(f"{n}"), status="ok", settings=PLAIN | {"seed": n, "trainer.lr": 9.5}
        )
        for n in range(2)
    ]
    told = told_once(rows_of(runs)).split("  ")
    assert told[0] == f"backend={PLAIN['backend']}"
    assert "trainer.lr=9.5" in told
    assert not [setting for setting in told if setting.startswith(("seed", "agg_timeout", "name"))]


@few
@given(rows=rows(), width=st.integers(1, 200))
def test_columns_that_are_asked_for_come_in_their_order(rows, width):
    names = ["workers", "valid_rmse", "directory", "data.path"]
    columns, left_out = asked_columns(rows, names, width)
    shown = names_of(columns)
    assert [name for name in names if name not in left_out] == shown
    assert len(shown) == 1 or least_width(columns) <= width


@few
@given(rows=rows(), name=st.sampled_from(COLUMNS))
def test_rows_without_a_value_come_last(rows, name):
    values = [row[name] for row in sorted(rows, key=sort_key(name))]
    known = [value for value in values if value is not None]
    assert values[: len(known)] == known
    numbers = [value for value in known if not isinstance(value, str)]
    assert known[: len(numbers)] == sorted(numbers)
