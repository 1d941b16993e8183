"""`python -m ddp.results` makes, of a run with any content in its files, a row of the table."""

import copy
import json
from contextlib import suppress
from functools import reduce
from operator import getitem

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from inputs import damaged, fuzzed, no_hang

from ddp.results.run_directory import CONFIG_FILE, RESULT_FILE
from ddp.results.run_file import find_runs, read_runs
from ddp.results.screen import print_runs
from ddp.results.table import COLUMNS, rows_of

NUM_RUNS = 10  # in one table, which takes most of the time

TEXTS = [
    "ok",
    "failed",
    "",
    "[/bold]",
    "[red]",
    "[link=file:///]x",
    "\x1b[2J",
    "\r",
    "\n",
    "\0",
    "\ud800",
    "é",
    "=1+1",
    "x" * 300,
    "../..",
    "/",
    "NaN",
]
NUMBERS = [0, 1, -1, 0.5, 10**400, 2**64, float("nan"), float("inf"), -0.0, 1e308]
PIECES = [text.encode("utf-8", "surrogatepass") for text in TEXTS] + [
    b"[" * 5000,
    b'{"":' * 5000,
    b"9" * 5000,
    b"NaN",
    b"\\ud800",
    b"null",
    b"{}",
    b'"',
]

RESULT = {
    "status": "ok",
    "error": None,
    "config": {
        "workers": 2, "rounds": 1, "seed": 0, "display": "none",
        "data": {"name": "csv", "path": None, "paths": ["a", "b"]},
        "backend": {"name": "thread"}, "split": {"name": "iid", "test_fraction": 0.2},
        "model": {"name": "tiny", "dim": 8},
    },
    "rmse": {"test": 0.9, "valid": 0.95},
    "seconds": {"total": 1.5, "train": 1.0},
    "workers": [
        {"startup_s": 0.1, "compute_s": 1.0, "wait_s": 0.2},
        {"startup_s": 0.2, "compute_s": 1.0, "wait_s": 0.1},
    ],
}  # fmt: skip

plain = (
    st.none()
    | st.booleans()
    | st.sampled_from(NUMBERS)
    | st.sampled_from(TEXTS)
    | st.text(max_size=5)
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "a", "wait_s"]), inner, max_size=2)
    ),
    max_leaves=4,
)
places = st.sampled_from(
    [
        *[(key,) for key in RESULT], *[("config", key) for key in RESULT["config"]],
        ("config", "data", "paths"),
        ("config", "data", "name"), ("rmse", "test"), ("seconds", "total"), ("workers", 0),
        ("workers", 0, "wait_s"),
        ("workers", 1, "lock_wait_s"), ("new",),
    ]
)  # fmt: skip


def changed(changes: list) -> bytes:
    result = copy.deepcopy(RESULT)
    for (*way, last), value in changes:
        # an earlier change has taken the place away
        with suppress(KeyError, IndexError, TypeError):
            reduce(getitem, way, result)[last] = value
    return json.dumps(result).encode()


near_results = st.builds(changed, st.lists(st.tuples(places, values), max_size=3))
results = near_results | damaged(near_results, PIECES)
configs = damaged(
    st.sampled_from([b"workers: 5\nrounds: 3\n", b"workers:", b"defaults: []\n", b""]), PIECES
)


@fuzzed(1 / NUM_RUNS)
@given(contents=st.lists(results, min_size=NUM_RUNS, max_size=NUM_RUNS), claimed=configs)
def test_any_files(tmp_path, capsys, contents, claimed):
    for number, content in enumerate(contents):
        (tmp_path / str(number)).mkdir(exist_ok=True)
        (tmp_path / str(number) / RESULT_FILE).write_bytes(content)
    (tmp_path / str(NUM_RUNS)).mkdir(exist_ok=True)
    (tmp_path / str(NUM_RUNS) / CONFIG_FILE).write_bytes(claimed)
    with no_hang():
        found = find_runs([tmp_path])
        assert [path.name for path in found] in (
            [str(number) for number in range(num)] for num in (NUM_RUNS, NUM_RUNS + 1)
        )
        runs = read_runs(found)
        assert all(tuple(row) == COLUMNS for row in rows_of(runs))
        assert all(isinstance(run.status, str) for run in runs)
        print_runs(runs, tmp_path / "table.csv")
    assert len(pd.read_csv(tmp_path / "table.csv")) == len(found)
    assert {path.name for path in tmp_path.iterdir()} == {
        *(str(number) for number in range(NUM_RUNS + 1)),
        "table.csv",
    }
    shown = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in shown)
