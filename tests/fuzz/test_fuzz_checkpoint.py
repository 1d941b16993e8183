"""Checkpoints.load gives a state that resumes, or a CheckpointError, whatever the folder has."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import damaged, fuzzed, no_hang
from safetensors import safe_open
from safetensors.numpy import save

from ddp.errors import CheckpointError
from ddp.experiment import run
from ddp.ratings.load import load_ratings
from ddp.results.checkpoint import Checkpoints, _digest
from ddp.results.run_directory import find_checkpoints
from ddp.tracking.history import History

PIECES = [
    b"about",
    b"sha256",
    b"aggregate",
    b"memory/0",
    b"null",
    b"NaN",
    b"-1",
    b"99999999999999999999",
    b'"F64"',
    b"[3,2]",
    b"\xff" * 4,
]
ROW_PIECES = [
    b'{"worker": 0}',
    b"null",
    b"NaN",
    b"[]",
    b"\n\n",
    b'"total"',
    b"-1",
    b"1e999",
    b"\xff",
    b"[" * 50,
]


@pytest.fixture(scope="module")
def valid(make_config, tmp_path_factory):
    """A run with two checkpoints, its ratings, and the content of the files."""
    folder = tmp_path_factory.mktemp("valid")
    config = make_config(
        *("backend=serial", "trainer=autograd", "workers=2"),
        *("rounds=2", "local_epochs=1", "checkpoint_every=1"),
        *("data.num_users=6", "data.num_items=5", "data.num_ratings=15"),
        *("model.dim=1", "split.valid_fraction=0", "select_on=last"),
        *("aggregation=uniform", "aggregation.outer=momentum"),
    )
    run(config, folder / "run", [])
    first, last = find_checkpoints(folder / "run")
    rows = (folder / "run" / "checkpoints" / "rounds.jsonl").read_bytes()
    return (
        config,
        load_ratings(config.data, config.data_seed),
        (first.read_bytes(), last.read_bytes(), rows),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed") / "run"
    (folder / "checkpoints").mkdir(parents=True)
    return folder


def check(folder, valid, files) -> None:
    config, ratings, _ = valid
    for name, content in zip(
        ("round-000001.safetensors", "round-000002.safetensors", "rounds.jsonl"), files, strict=True
    ):
        (folder / "checkpoints" / name).write_bytes(content)
    history = History()
    with no_hang():
        try:
            state = Checkpoints(config, history).load(folder, ratings)
        except CheckpointError:
            return
    assert state.next_round in (1, 2)
    assert {*state.dropped} < {0, 1}
    assert math.isfinite(state.elapsed_s)
    assert (state.vector.shape, state.vector.dtype) == ((6 * 2 + 5 * 2 + 1,), np.float32)
    assert all(row.round_index < 10**9 for row in history.worker_rounds + history.aggregate_rounds)


def test_the_files_without_damage_are_gone_on_from(folder, valid):
    config, ratings, files = valid
    check(folder, valid, files)
    assert Checkpoints(config, History()).load(folder, ratings).next_round == 2


@fuzzed(0.5)
@given(data=st.data())
def test_any_bytes(folder, valid, data):
    first, last, rows = valid[2]
    contents = [data.draw(damaged(st.just(content), PIECES)) for content in (first, last)]
    check(folder, valid, [*contents, data.draw(damaged(st.just(rows), ROW_PIECES))])


values = st.recursive(
    st.sampled_from(
        [None, True, 0, 1, -1, 2, 3, 10**30, 0.5, math.nan, math.inf, "", "x", "\ud800"]
    )
    | st.integers()
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)
arrays = st.sampled_from(
    [
        np.zeros(23, np.float32),
        np.zeros(22, np.float32),
        np.zeros(23),
        np.zeros((23, 1), np.float32),
        np.zeros(0, np.float32),
        np.ones(3, np.int8),
    ]
)


@fuzzed(0.5)
@given(data=st.data())
def test_any_content_with_a_checksum_that_fits(folder, valid, data):
    first, last, rows = valid[2]
    path = folder / "checkpoints" / "round-000002.safetensors"
    path.write_bytes(last)
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["about"])
    keys = st.sampled_from([*about, "other"])
    about |= data.draw(st.dictionaries(keys, values, max_size=2))
    for key in data.draw(st.lists(keys, max_size=1)):
        about.pop(key, None)
    names = st.sampled_from([*tensors, "memory/x", "outer/9", "memory/-1", "other"])
    tensors |= data.draw(st.dictionaries(names, arrays, max_size=2))
    for name in data.draw(st.lists(names, max_size=1)):
        tensors.pop(name, None)
    told = data.draw(st.just(json.dumps(about)) | st.sampled_from(["", "null", "[]", "1", "{"]))
    content = save(tensors, {"about": told, "sha256": _digest(tensors, told)})
    check(folder, valid, [first, content, rows])
