"""A checkpoint comes back as it was, or is refused.

It is refused if it is cut off, altered, or of another version, config or ratings.
"""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
from checkpoint_job import JOB
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from ddp import experiment
from ddp.errors import CheckpointError
from ddp.experiment import run
from ddp.ratings.features import features_of
from ddp.results import checkpoint
from ddp.results.checkpoint import read_checkpoint
from ddp.results.run_directory import find_checkpoints
from ddp.results.run_file import read_runs
from ddp.tracking.messages import Started
from ddp.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def done(make_config, tmp_path_factory):
    """A run with its checkpoints after rounds 2 and 3."""
    directory = tmp_path_factory.mktemp("done") / "run"
    return run(make_config(*JOB), directory, [])


@pytest.fixture
def copied(done, tmp_path):
    """A copy of the run's directory, for damage."""
    shutil.copytree(done.output_dir, tmp_path / "run")
    return tmp_path / "run"


def resumed(make_config, directory, *overrides):
    return run(make_config(*JOB, *overrides), directory, [], resume=True)


def rewritten(path, **about):
    """The same checkpoint with other metadata, and a checksum that fits."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told = json.loads(file.metadata()["about"]) | about
    metadata = {"about": json.dumps(told)}
    metadata["sha256"] = checkpoint._digest(tensors, metadata["about"])
    path.write_bytes(save(tensors, metadata))


def test_the_last_two_are_kept_with_all_that_they_need(done):
    files = sorted(path.name for path in (done.output_dir / "checkpoints").iterdir())
    assert files == ["round-000002.safetensors", "round-000003.safetensors", "rounds.jsonl"]
    tensors, about = read_checkpoint(find_checkpoints(done.output_dir)[-1])
    assert tensors.keys() == {"aggregate", "memory/0", "memory/1", "outer/0", "outer/1"}
    assert tensors["aggregate"].tobytes() == done.state.vector.tobytes()
    length = len(done.state.vector) - 1  # the mean is not learned
    assert {len(tensors["memory/0"]), len(tensors["memory/1"])} == {1 + 2 * length}
    assert tensors["memory/0"][0] > 0  # steps
    assert (about["next_round"], about["seed"], about["dropped"], about["restarts"]) == (
        3,
        0,
        [],
        0,
    )
    assert about["config"]["trainer"]["name"] == "autograd"
    assert "backend" not in about["config"]


def test_a_resumed_run_says_so_and_is_not_compared_by_its_seconds(make_config, done, copied):
    """The seconds in result.json are those of the last process only."""
    first = json.loads((done.output_dir / "result.json").read_text())
    resumed(make_config, copied, "rounds=4")
    again = json.loads((copied / "result.json").read_text())
    assert (first["resumed"], again["resumed"]) == (False, True)
    for name in ("total_s", "train_s"):
        seconds = [run.outcome[name] for run in read_runs([done.output_dir, copied])]
        assert [math.isnan(value) for value in seconds] == [False, True], name


def test_a_run_brings_its_rows_back(make_config, done, copied):
    result = resumed(make_config, copied)
    assert result.history.worker_rounds == done.history.worker_rounds
    assert result.history.aggregate_rounds == done.history.aggregate_rounds
    assert result.history.startup_s == done.history.startup_s


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1, -1000])
def test_a_truncated_one_is_passed_over_for_the_one_before(make_config, done, copied, length):
    last = find_checkpoints(copied)[-1]
    content = last.read_bytes()
    last.write_bytes(content[:length])
    result = resumed(make_config, copied)
    assert result.state.vector.tobytes() == done.state.vector.tobytes()
    assert [row.round_index for row in result.history.aggregate_rounds] == [0, 1, 2]


def test_rows_that_were_cut_off_are_those_of_the_last_one_only(make_config, done, copied):
    rows = copied / "checkpoints" / "rounds.jsonl"
    rows.write_bytes(rows.read_bytes()[:-5])
    result = resumed(make_config, copied)
    assert result.state.vector.tobytes() == done.state.vector.tobytes()
    assert [row.round_index for row in result.history.aggregate_rounds] == [0, 1, 2]


def test_where_none_is_whole_it_says_so_and_changes_nothing(make_config, copied):
    for path in find_checkpoints(copied):
        path.write_bytes(path.read_bytes()[:-3])
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    with pytest.raises(
        CheckpointError,
        match=r"round-000003\.safetensors: is damaged .*round-000002.*start the run anew",
    ):
        resumed(make_config, copied)
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_where_there_is_none_it_says_so(make_config, copied):
    shutil.rmtree(copied / "checkpoints")
    with pytest.raises(CheckpointError, match="there is no checkpoint to go on from"):
        resumed(make_config, copied)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("seed=1",), "seed was 0, not 1"),
        (("trainer.lr=0.5",), r"trainer\.lr was 0\.005, not 0\.5"),
        (("workers=3",), "workers was 2, not 3"),
        (("trainer=fused",), "trainer was autograd, not fused"),
        (("rounds=2",), r"has more rounds \(3\) than rounds=2"),
    ],
)
def test_one_of_another_config_is_refused(make_config, copied, overrides, reason):
    with pytest.raises(CheckpointError, match=reason):
        resumed(make_config, copied, *overrides)


def test_what_does_not_decide_the_numbers_may_be_another(make_config, done, copied):
    others = (
        "round_timeout=50",
        "on_failure=restart",
        "checkpoint_every=2",
        "display=none",
        "backend=thread",
    )
    assert (
        resumed(make_config, copied, *others).state.vector.tobytes() == done.state.vector.tobytes()
    )


def test_one_of_another_version_is_refused_and_not_passed_over(make_config, copied):
    rewritten(find_checkpoints(copied)[-1], format=checkpoint.FORMAT + 1)
    with pytest.raises(
        CheckpointError,
        match=f"is of format {checkpoint.FORMAT + 1}, and this version reads format",
    ):
        resumed(make_config, copied)


@pytest.mark.parametrize("what", ["ratings", "user_features", "item_features"])
def test_one_of_other_ratings_is_refused(make_config, monkeypatch, copied, what):
    load_ratings = experiment.load_ratings

    def others(*args):
        ratings = load_ratings(*args)
        if what == "ratings":
            ratings.ratings[17] += 1
        else:
            cells = {"kind": ["a", "b", "a"]}
            setattr(ratings, what, features_of(cells, np.arange(3, dtype=np.int32))[0])
        return ratings

    monkeypatch.setattr(experiment, "load_ratings", others)
    with pytest.raises(CheckpointError, match="the ratings are not those that the run began with"):
        resumed(make_config, copied)


@given(data=st.data())
@settings(max_examples=300)
def test_whatever_is_altered_it_is_what_was_written_or_is_refused(done, tmp_path_factory, data):
    path = find_checkpoints(done.output_dir)[-1]
    content = bytearray(path.read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    where = data.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(content) - 1)))
    content[where] ^= data.draw(st.integers(1, 255))
    altered = tmp_path_factory.getbasetemp() / "altered.safetensors"
    altered.write_bytes(content)
    try:
        tensors, about = read_checkpoint(altered)
    except CheckpointError:
        return
    expected, expected_about = read_checkpoint(path)
    assert about == expected_about
    assert {name: array.tobytes() for name, array in tensors.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_a_run_that_cannot_write_checkpoints_goes_on(make_config, done, tmp_path, capsys):
    config = make_config(*JOB)

    class Blocks(Tracker):
        def on(self, event):
            if isinstance(event, Started):
                (tmp_path / "run" / "checkpoints").write_text("a file where the folder should be")

    result = run(config, tmp_path / "run", [Blocks()])
    assert result.status == "ok"
    assert result.state.vector.tobytes() == done.state.vector.tobytes()
    [warning] = json.loads((tmp_path / "run" / "result.json").read_text())["warnings"]
    assert "checkpoints" in warning
    assert warning.endswith("; the run goes on without this checkpoint")
    assert capsys.readouterr().err.count("warning: ") == 1


def test_a_state_is_one_thing():
    """A run replaces it as a whole: an interrupt finds the old one or the new one."""
    state = checkpoint.RunState(next_round=1, vector=np.zeros(3, np.float32))
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.next_round = 2
