"""Points of an event file, from messages that a test makes."""

import math

import pytest
from event_files import aggregate, hparams, plugin, read_events, row_of, worker_round
from faults import Fault, infect
from jobs import STRATIFIED
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ddp.config.options import OPTIONS
from ddp.experiment import run
from ddp.timing.account import Account
from ddp.tracking.hparams import MAIN, known_values
from ddp.tracking.messages import Measured, Reference, RunEnds
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tensorboard import TensorBoard
from ddp.tracking.tracker import RunFacts


def test_pickling_is_serialising_and_deserialising(tmp_path):
    board = TensorBoard(RunFacts(directory=tmp_path, settings={"workers": 2}), "all")
    seconds = {
        "publish/serialise": 0.25,
        "receive/deserialise": 0.5,
        "publish/transfer": 2.0,
        "publish": 4.0,
        "compute": 8.0,
    }
    account = Account(seconds=seconds, num_bytes={"publish": 100, "receive": 11})
    board.on(worker_round(1, 0, account=account))
    board.close()
    values = {
        tag: read_events(tmp_path).Scalars(tag)[0].value
        for tag in read_events(tmp_path).Tags()["scalars"]
    }
    assert values["time/pickle_ms/worker_1"] == 750
    assert values["time/serialise_ms/worker_1"] == 250
    assert values["time/publish_ms/worker_1"] == 6250
    assert values["time/receive_ms/worker_1"] == 500
    assert values["time/compute_ms/worker_1"] == 8000
    assert values["traffic/pickled_bytes/worker_1"] == 111


def test_pooled_is_not_the_mean_of_rmses(tmp_path):
    board = TensorBoard(RunFacts(directory=tmp_path, settings={"workers": 2}))
    board.on(worker_round(1, 4, test=SquaredError(30.0, 1)))
    # worker 0 is ahead: this row is of the next round
    board.on(worker_round(0, 5, test=SquaredError(1.0, 1)))
    board.on(worker_round(0, 4, test=SquaredError(6.0, 3)))
    board.close()
    pooled = [
        (event.step, event.value)
        for event in read_events(tmp_path).Scalars("rmse/test/workers_pooled")
    ]
    assert pooled == [(5, 3.0)]


def test_a_timeout_is_a_point_and_its_absence_is_none(tmp_path):
    board = TensorBoard(RunFacts(directory=tmp_path, settings={"workers": 2}))
    for number in range(3):
        board.on(worker_round(0, number))
        board.on(worker_round(1, number, received=number != 1))
    board.close()
    events = read_events(tmp_path)
    assert [(event.step, event.value) for event in events.Scalars("train/timeout/worker_1")] == [
        (2, 1.0)
    ]
    assert "train/timeout/worker_0" not in events.Tags()["scalars"]


def test_one_worker_is_a_line_beside_the_aggregate_and_the_gap_to_it_an_hparams_metric(
    tmp_path, make_config
):
    tracker = TensorBoard(RunFacts(directory=tmp_path, settings=row_of(make_config())))
    rows = [aggregate(number, test=SquaredError(9 - 8 * (number == 1), 1)) for number in range(3)]
    for row in rows:
        tracker.on(row)
    tracker.on(Measured(values={"ndcg@10": 0.25, "recall@10": math.nan}))
    tracker.on(Reference(valid=1.5, test=2.5))
    tracker.on(RunEnds(status="ok", kept=rows[1]))
    tracker.close()
    events = read_events(tmp_path)
    points = {
        tag: {event.step: event.value for event in events.Scalars(tag)}
        for tag in events.Tags()["scalars"]
    }
    assert points["rmse/valid/one_worker"] == {1: 1.5, 3: 1.5}
    assert points["rmse/test/one_worker"] == {1: 2.5, 3: 2.5}
    assert (points["rmse/valid/kept"], points["rmse/test/kept"]) == ({2: 2.0}, {2: 1.0})
    assert points["rmse/test/one_worker_gap"] == {2: -1.5}
    experiment = plugin(events, "_hparams_/experiment").experiment
    metrics = [info.name.tag for info in experiment.metric_infos]
    assert metrics[:3] == ["rmse/test/kept", "rmse/valid/kept", "time/training_s"]
    assert "rmse/test/one_worker_gap" in metrics
    assert points["test/ndcg_at_10/kept"] == {2: 0.25}
    assert "test/ndcg_at_10/kept" in metrics
    assert not [tag for tag in [*points, *metrics] if "recall" in tag]  # of no user


def test_a_setting_without_a_value_is_no_hparam_and_a_column_has_one_type(make_config):
    one_of_each = [
        (f"{group}={option}",)
        for group in ("backend", "model", "trainer", "aggregation")
        for option in OPTIONS[group]
        if option not in ("none", "gibbs", "als")
    ]
    one_of_each += [
        (f"trainer={option}", "split=both", "aggregation=none") for option in ("gibbs", "als")
    ]
    others = ("files", "time", "stratified", "both")
    averaged = [name for name in OPTIONS["split"] if name not in others]
    one_of_each += [(f"split={option}",) for option in averaged] + [STRATIFIED]
    one_of_each += [("backend.poll_interval_s=0.5",), ("straggler_timeout=3", "max_norm=null")]
    rows = [known_values(row_of(make_config(*overrides))) for overrides in one_of_each]
    types = {}
    for row, overrides in zip(rows, one_of_each, strict=True):
        assert row == hparams(make_config(*overrides))
        for name, value in row.items():
            types.setdefault(name, set()).add(type(value))
            assert value not in ("-", "None")
    assert all(len(kinds) == 1 for kinds in types.values())
    assert {row["backend"] for row in rows} == set(OPTIONS["backend"])
    assert {row.get("straggler_timeout") for row in rows} == {None, 3.0}
    assert "max_norm" in rows[0]
    assert "max_norm" not in rows[-1]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"data.user": 0}, {"data.user": "0"}),  # a column has a position or a name
        ({"data.user": "userId"}, {"data.user": "userId"}),
        ({"data.paths": ["a", "b"]}, {"data.paths": "['a', 'b']"}),
        ({"seed": 3, "account": True}, {"seed": 3.0, "account": 1.0}),
        ({"seed": 10**400, "workers": 2}, {"workers": 2.0}),
        ({"split.seed": None, "trainer.batch_size": "-"}, {}),
    ],
)
def test_the_schema_decides_between_number_and_text(settings, expected):
    assert known_values(settings) == expected


@pytest.mark.parametrize(
    ("varied", "columns"),
    [
        (["seed", "workers", "backend"], ["backend", "workers", "seed"]),
        (["split.seed"], ["split.seed"]),
        (None, [*MAIN, "rounds"]),
    ],
)
def test_the_columns_are_those_that_a_sweep_varies_the_main_ones_first(
    tmp_path, make_config, varied, columns
):
    row = row_of(make_config())
    tracker = TensorBoard(RunFacts(directory=tmp_path, settings=row, varied=varied))
    tracker.on(aggregate(0))
    tracker.on(RunEnds(status="ok", kept=aggregate(0)))
    tracker.close()
    infos = plugin(read_events(tmp_path), "_hparams_/experiment").experiment.hparam_infos
    assert [info.name for info in infos][: len(columns)] == columns
    assert varied is None or len(infos) == len(columns)
    assert {info.name for info in infos if info.differs} == {*(varied or MAIN)}
    types = {info.name: info.type for info in infos}
    assert types.get("workers", 3) == types.get("split.seed", 3) == 3  # DATA_TYPE_FLOAT64
    assert types.get("backend", 1) == 1  # DATA_TYPE_STRING


def test_a_run_that_failed_before_its_first_aggregate_has_a_file_without_hparams(tmp_path):
    board = TensorBoard(RunFacts(directory=tmp_path, settings={"workers": 2}))
    board.on(worker_round(0, 0))
    board.close()
    events = read_events(tmp_path)
    assert "rmse/test/worker_0" in events.Tags()["scalars"]
    assert "_hparams_/session_start_info" not in events.Tags()["tensors"]


@pytest.mark.parametrize(("status", "told"), [("ok", 1), ("failed", 2), ("interrupted", 2)])
def test_the_hparams_tell_how_the_run_has_ended(tmp_path, status, told):
    board = TensorBoard(RunFacts(directory=tmp_path, settings={"workers": 1}))
    board.on(aggregate(0))
    board.on(RunEnds(status=status, error="made up", kept=aggregate(0)))
    board.close()
    events = read_events(tmp_path)
    assert plugin(events, "_hparams_/session_end_info").session_end_info.status == told
    text = events.Tensors("run/result")[0].tensor_proto.string_val[0].decode()
    assert f"Status: {status} (made up)." in text


def scalars(directory):
    """Reads as TensorBoard does: of two events of one step the later one counts."""
    accumulator = EventAccumulator(str(directory), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


@pytest.mark.parametrize("policy", ["drop", "restart"])
def test_a_failure_is_a_point_and_a_round_that_began_again_is_there_once(
    make_config, monkeypatch, tmp_path, policy
):
    directory = tmp_path / "run"
    infect(monkeypatch, Fault("exception", "publishing", tmp_path / "done", last_round=3))
    config = make_config(
        "split=stratified",
        "trainer=fused",
        "aggregation=rows",
        "rounds=4",
        "backend=thread",
        f"on_failure={policy}",
    )
    # so that the file already holds the rows that do not count
    monkeypatch.setattr("ddp.tracking.tensorboard.FLUSH_EVERY_S", 0.0)
    run(
        config,
        directory,
        [TensorBoard(RunFacts(directory=directory, settings={"workers": 3}), "all")],
    )
    told = scalars(directory)
    assert told["train/failure/worker_1"] == [(2, 1.0)]
    assert [step for step, _ in told["rmse/test/aggregated"]] == [1, 2, 3, 4]
    assert [step for step, _ in told["rmse/test/worker_0"]] == [1, 2, 3, 4]
    assert [value == 0 for _, value in told["train/weight/worker_1"]] == [
        policy == "drop" and step > 1 for step in (1, 2, 3, 4)
    ]
