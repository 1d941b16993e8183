"""The rounds after which a run writes a checkpoint, and the rows beside it."""

import json
from itertools import product

from checkpoint_job import JOB
from faults import Fault, infect

from ddp.experiment import run
from ddp.results.run_directory import find_checkpoints


def test_a_round_that_began_again_has_its_rows_once(make_config, monkeypatch, tmp_path):
    """Worker 1 fails in round 1 after worker 0 has reported its row of that round."""
    infect(monkeypatch, Fault("exception", "publishing", tmp_path / "done", last_round=2))
    options = ("split=stratified", "aggregation=none", "trainer=fused", "rounds=3")
    config = make_config("backend=serial", *options, "checkpoint_every=1", "on_failure=restart")
    result = run(config, tmp_path / "run", [])
    assert result.state.restarts == 1
    lines = (tmp_path / "run" / "checkpoints" / "rounds.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "worker" in row]
    once = sorted(product(range(3), range(3)))
    assert sorted((row["round_index"], row["worker"]) for row in rows) == once
    history = result.history.worker_rounds
    assert sorted((row.round_index, row.worker) for row in history) == once


def test_none_are_written_where_none_are_wanted(make_config, tmp_path):
    run(make_config(*JOB, "checkpoint_every=0"), tmp_path / "run", [])
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_one_in_so_many_rounds_and_the_last(make_config, tmp_path):
    run(make_config(*JOB, "rounds=5", "checkpoint_every=2"), tmp_path / "run", [])
    assert [path.stem for path in find_checkpoints(tmp_path / "run")] == [
        "round-000002",
        "round-000004",
    ]  # Adam's state is that of round 4
    run(
        make_config(
            *JOB, "trainer=fused", "aggregation.outer=none", "rounds=5", "checkpoint_every=2"
        ),
        tmp_path / "fused",
        [],
    )
    assert [path.stem for path in find_checkpoints(tmp_path / "fused")] == [
        "round-000004",
        "round-000005",
    ]
