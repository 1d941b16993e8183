"""`python -m ddp.report` makes, of runs with any content in their files, a page with these runs."""

import copy
import json
import re
from contextlib import suppress
from functools import reduce
from operator import getitem

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import damaged, fuzzed, no_hang
from report_files import DATA
from test_fuzz_results import NUMBERS, PIECES, RESULT, plain, values

from ddp.report.page import make_page
from ddp.results.run_directory import RESULT_FILE, ROUNDS_FILE
from ddp.results.run_file import find_runs, read_runs

NUM_RUNS = 10  # on one page, which takes most of the time

LANE = {
    "who": "worker_0", "wall_s": 2.0, "closed": True, "seconds": {"compute": 1.5, "wait": 0.5},
    "waits_for": {"aggregator": 0.5},
}  # fmt: skip
TOLD = RESULT | {
    "account": [LANE, LANE | {"who": "aggregator"}],
    "memory": {
        "shared_bytes": 10,
        "processes": [{"who": "main", "peak_rss_bytes": 10**8, "pss_bytes": 10**8}],
    },
    "environment": {"python": "3.11", "versions": {"torch": "2"}},
    "command": ["train.py", "-m"],
    "data": DATA,
}
SLICE = {
    "ph": "X",
    "name": "compute",
    "pid": 0,
    "tid": 1,
    "ts": 10.0,
    "dur": 5.0,
    "args": {"round": 0},
}
NAME = {"ph": "M", "name": "thread_name", "pid": 0, "tid": 1, "args": {"name": "worker_0"}}
TRACE = {
    "traceEvents": [
        NAME,
        SLICE,
        SLICE | {"name": "wait", "ts": 15.0},
        SLICE | {"args": {"round": 1}},
    ]
}
ROUNDS = b"""round,who,test_rmse,elapsed_s,pickled_bytes,copied_bytes
0,worker_0,0.9,,10,20
0,aggregated,0.9,1.5,10,20
1,aggregated,0.8,2,1,1
"""

result_places = st.sampled_from(
    [
        *[(key,) for key in TOLD], *[("config", key) for key in TOLD["config"]],
        *[("account", 0, key) for key in LANE],
        ("account", 1, "seconds", "compute"), ("account", 0, "seconds", "a"),
        ("memory", "shared_bytes"), ("memory", "processes"),
        ("memory", "processes", 0), ("memory", "processes", 0, "pss_bytes"),
        ("environment", "versions"), ("command", 0),
        ("rmse", "test"), ("seconds", "total"), *[("data", key) for key in DATA],
        ("data", "format", "separator"), ("data", "time", 0), ("data", "scale", 1), ("data", "new"),
    ]
)  # fmt: skip
trace_places = st.sampled_from(
    [
        ("traceEvents",),
        *[("traceEvents", number) for number in range(4)],
        ("traceEvents", 1, "args", "round"),
    ]
    + [
        ("traceEvents", number, key)
        for number in range(4)
        for key in ("ph", "name", "tid", "ts", "dur", "args")
    ]
)


def changed(content, changes):
    content = copy.deepcopy(content)
    for (*way, last), value in changes:
        # an earlier change has taken the place away
        with suppress(KeyError, IndexError, TypeError):
            reduce(getitem, way, content)[last] = value
    return json.dumps(content).encode()


near_results = st.builds(
    changed, st.just(TOLD), st.lists(st.tuples(result_places, values), max_size=3)
)
near_traces = st.builds(
    changed, st.just(TRACE), st.lists(st.tuples(trace_places, values), max_size=3)
)
near_rounds = st.builds(
    lambda number, value: ROUNDS.replace(number, str(value).encode("utf-8", "replace")),
    st.sampled_from([b"0.9", b"1.5", b"20", b"0,", b"aggregated", b"round"]),
    plain | st.sampled_from(NUMBERS),
)
files = st.fixed_dictionaries(
    {
        RESULT_FILE: near_results | damaged(near_results, PIECES),
        ROUNDS_FILE: near_rounds | damaged(near_rounds, PIECES),
        "trace.json": near_traces | damaged(near_traces, PIECES),
    }
)


@pytest.mark.usefixtures("fonts")
@fuzzed(1 / NUM_RUNS)
@given(contents=st.lists(files, min_size=NUM_RUNS, max_size=NUM_RUNS))
def test_any_files(tmp_path, contents):
    for number, content in enumerate(contents):
        (tmp_path / str(number)).mkdir(exist_ok=True)
        for name, text in content.items():
            (tmp_path / str(number) / name).write_bytes(text)
    with no_hang():
        page = make_page(read_runs(find_runs([tmp_path])))
    assert "could not be drawn" not in page
    table = page[page.index('<section id="runs">') : page.index('<section id="origin">')]
    assert len(re.findall("<tr", table)) == 1 + NUM_RUNS
    assert page.count("<script>") == 1
    assert all(character.isprintable() or character == "\n" for character in page)
