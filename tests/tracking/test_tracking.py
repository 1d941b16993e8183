"""TensorBoard shows the run's measurements; a tracker ignores events that are not for it."""

import csv
import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
from faults import Fault, infect
from PIL import Image, ImageColor
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from ddp.config.options import OPTIONS
from ddp.config.schema import settings
from ddp.errors import WorkerError
from ddp.experiment import run
from ddp.machine.memory import Memory
from ddp.timing.account import Account
from ddp.timing.kinds import KINDS
from ddp.tracking import messages
from ddp.tracking.history import History
from ddp.tracking.messages import (
    AggregateRound,
    Asking,
    Ended,
    EpochDone,
    Event,
    Failed,
    Failure,
    Finished,
    HandedOn,
    MemoryUsed,
    Message,
    OutsideRounds,
    Published,
    Reference,
    Rewound,
    Started,
    TrainingBegan,
    WorkerRound,
)
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tensorboard import TensorBoard
from ddp.tracking.tracker import Everyone, Tracker

ROUNDS, WORKERS = 3, 3
WORKER_KINDS = {"compute", "evaluate", "publish", "wait", "receive", "tell", "other"}
AGGREGATOR_KINDS = {"wait", "gather", "average", "broadcast", "evaluate", "record", "other"}
INNER_KINDS = {"lock_wait", "lock_hold", "serialise", "transfer", "deserialise", "copy", "pickle"}
WHOS = [f"worker_{worker}" for worker in range(WORKERS)]


def read_events(directory: Path) -> EventAccumulator:
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


class Recorded:
    """A run with TensorBoard on, read back."""

    def __init__(self, config, directory: Path) -> None:
        self.config, self.directory = config, directory
        self.result = run(config, directory, [TensorBoard(directory, hparams(config))])
        self.events = read_events(directory)
        with (directory / "rounds.csv").open(newline="") as file:
            self.rounds = {(int(row["round"]), row["who"]): row for row in csv.DictReader(file)}

    def points(self, tag: str) -> dict[int, float]:
        return {event.step: event.value for event in self.events.Scalars(tag)}

    def column(self, who: str, name: str) -> dict[int, np.float32]:
        return {
            number: np.float32(row[name])
            for (number, whose), row in self.rounds.items()
            if whose == who
        }


@pytest.fixture(scope="module")
def recorded(make_config, tmp_path_factory) -> Recorded:
    config = make_config(
        "backend=thread", f"rounds={ROUNDS}", f"workers={WORKERS}", "tensorboard=true"
    )
    return Recorded(config, tmp_path_factory.mktemp("tensorboard"))


def test_one_event_file_and_no_directory_of_tensorboards(recorded):
    assert len(list(recorded.directory.rglob("*tfevents*"))) == 1
    assert [path for path in recorded.directory.iterdir() if path.is_dir()] == []


def test_every_tag_is_there_and_no_other(recorded):
    tags = {
        f"rmse/{part}/{who}"
        for part in ("valid", "test")
        for who in [*WHOS, "aggregated", "workers_pooled"]
    }
    tags |= {f"{kind}/{who}" for kind in ("loss/train", "bytes/pickled", "weight") for who in WHOS}
    tags |= {f"time_ms/{kind}/{who}" for kind in WORKER_KINDS | INNER_KINDS for who in WHOS}
    tags |= {f"time_ms/{kind}/aggregator" for kind in AGGREGATOR_KINDS | INNER_KINDS}
    tags |= {"bytes/pickled/aggregator", "time_s/training"}
    assert {
        tag for tag in recorded.events.Tags()["scalars"] if not tag.startswith("account_ms/")
    } == tags


def test_every_tag_has_one_point_per_round(recorded):
    for tag in recorded.events.Tags()["scalars"]:
        if tag.startswith("account_ms/"):  # a kind that a round has nothing of has no point
            continue
        steps = [event.step for event in recorded.events.Scalars(tag)]
        assert sorted(steps) == (
            [ROUNDS - 1] if tag == "time_s/training" else list(range(ROUNDS))
        ), tag


def shown_columns():
    """Each tag that shows a column of rounds.csv: whose rows, which column, and the unit in
    TensorBoard.
    """
    for who in [*WHOS, "aggregated"]:
        for part in ("valid", "test"):
            yield f"rmse/{part}/{who}", who, f"{part}_rmse", 1.0
    for who in WHOS:
        yield f"loss/train/{who}", who, "train_loss", 1.0
        yield f"bytes/pickled/{who}", who, "pickled_bytes", 1.0
    for who in [*WHOS, "aggregator"]:
        row_of = "aggregated" if who == "aggregator" else who
        for kind in kinds_of(who) | INNER_KINDS - {"pickle"}:
            yield f"time_ms/{kind}/{who}", row_of, f"{kind}_s", 1e3


def kinds_of(who):
    return AGGREGATOR_KINDS if who == "aggregator" else WORKER_KINDS


def test_every_point_is_the_number_of_the_rounds_file(recorded):
    """The file holds the events of the trackers: tests/results/test_record.py."""
    wrong = {}
    for tag, who, column, unit in shown_columns():
        expected = {n: float(value) * unit for n, value in recorded.column(who, column).items()}
        if recorded.points(tag) != pytest.approx(expected, rel=0 if unit == 1 else 1e-5):
            wrong[tag] = recorded.points(tag), expected
    assert wrong == {}


def test_the_weights_are_those_of_the_aggregate(recorded):
    for who in WHOS:
        rounds = recorded.result.history.aggregate_rounds
        weights = {row.round_index: row.weights[WHOS.index(who)] for row in rounds}
        assert recorded.points(f"weight/{who}") == pytest.approx(weights, rel=1e-6)


@pytest.mark.parametrize("who", [*WHOS, "aggregator"])
def test_the_phases_add_up_to_the_wall_of_the_round(recorded, who):
    phases = [recorded.points(f"time_ms/{kind}/{who}") for kind in kinds_of(who)]
    row_of = "aggregated" if who == "aggregator" else who
    for number, wall in recorded.column(row_of, "wall_s").items():
        assert sum(phase[number] for phase in phases) == pytest.approx(wall * 1e3, rel=1e-4)


@pytest.mark.parametrize("who", [*WHOS, "aggregator"])
def test_all_kinds_together_are_the_wall_of_the_round(recorded, who):
    tags = [
        tag
        for tag in recorded.events.Tags()["scalars"]
        if re.fullmatch(f"account_ms/[a-z_]+/{who}", tag)
    ]
    assert f"account_ms/evaluate/{who}" in tags
    points = [recorded.points(tag) for tag in tags]
    for number, wall in recorded.column(
        "aggregated" if who == "aggregator" else who, "wall_s"
    ).items():
        assert sum(each.get(number, 0.0) for each in points) == pytest.approx(wall * 1e3, rel=1e-4)


def test_the_last_round_is_a_picture(recorded):
    (image,) = recorded.events.Images("timeline/last_round")
    with Image.open(io.BytesIO(image.encoded_image_string)) as picture:
        assert picture.format == "PNG"
        assert picture.size == (image.width, image.height)
        colours = {colour for _, colour in picture.getcolors(1 << 20)}
    assert {
        ImageColor.getrgb(KINDS[kind].light) for kind in ("compute", "evaluate", "average", "wait")
    } <= colours


def test_the_times_are_not_all_zero(recorded):
    for tag in (
        "time_ms/compute/worker_0",
        "time_ms/evaluate/aggregator",
        "time_ms/lock_hold/worker_1",
        "time_s/training",
    ):
        assert all(value > 0 for value in recorded.points(tag).values()), tag


def test_pickling_is_serialising_and_deserialising(tmp_path):
    board = TensorBoard(tmp_path, {"workers": 2})
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
    assert values["time_ms/pickle/worker_1"] == 750
    assert values["time_ms/serialise/worker_1"] == 250
    assert values["time_ms/publish/worker_1"] == 6250
    assert values["time_ms/receive/worker_1"] == 500
    assert values["time_ms/compute/worker_1"] == 8000
    assert values["bytes/pickled/worker_1"] == 111


@pytest.mark.parametrize("part", ["valid", "test"])
def test_the_pooled_curve_is_of_all_squared_errors_together(recorded, part):
    for number, value in recorded.points(f"rmse/{part}/workers_pooled").items():
        errors = [
            getattr(row, part)
            for row in recorded.result.history.worker_rounds
            if row.round_index == number
        ]
        assert len(errors) == WORKERS
        assert value == pytest.approx(
            (sum(e.total for e in errors) / sum(e.count for e in errors)) ** 0.5, rel=1e-6
        )


def test_pooled_is_not_the_mean_of_rmses(tmp_path):
    board = TensorBoard(tmp_path, {"workers": 2})
    board.on(worker_round(1, 4, test=SquaredError(30.0, 1)))
    # of the next round: a worker may be ahead
    board.on(worker_round(0, 5, test=SquaredError(1.0, 1)))
    board.on(worker_round(0, 4, test=SquaredError(6.0, 3)))
    board.close()
    pooled = [
        (event.step, event.value)
        for event in read_events(tmp_path).Scalars("rmse/test/workers_pooled")
    ]
    assert pooled == [(4, 3.0)]


def test_a_timeout_is_a_point_and_its_absence_is_none(tmp_path):
    board = TensorBoard(tmp_path, {"workers": 2})
    for number in range(3):
        board.on(worker_round(0, number))
        board.on(worker_round(1, number, received=number != 1))
    board.close()
    events = read_events(tmp_path)
    assert [(event.step, event.value) for event in events.Scalars("timeout/worker_1")] == [(1, 1.0)]
    assert "timeout/worker_0" not in events.Tags()["scalars"]


def hparams(config):
    """The values of a config that TensorBoard gets: numbers, strings and booleans."""
    row = settings(dataclasses.asdict(config))
    return {
        key: value if isinstance(value, int | float | str) else str(value)
        for key, value in row.items()
    }


def test_one_worker_is_a_line_beside_the_aggregate_and_the_gap_to_it_an_hparams_metric(
    tmp_path, make_config
):
    tracker = TensorBoard(tmp_path, hparams(make_config()))
    for round_index in range(3):
        tracker.on(
            AggregateRound(
                round_index=round_index,
                valid=SquaredError(4, 1),
                test=SquaredError(9, 1),
                weights=(1.0,),
                elapsed_s=1.0,
            )
        )
    tracker.on(Reference(valid=1.5, test=2.5))
    tracker.close()
    events = read_events(tmp_path)
    points = {
        tag: {event.step: event.value for event in events.Scalars(tag)}
        for tag in events.Tags()["scalars"]
    }
    assert points["rmse/valid/one_worker"] == {0: 1.5, 2: 1.5}
    assert points["rmse/test/one_worker"] == {0: 2.5, 2: 2.5}
    assert (points["rmse_gap/valid"], points["rmse_gap/test"]) == ({2: 0.5}, {2: 0.5})
    experiment = plugin(events, "_hparams_/experiment").experiment
    assert "rmse_gap/test" in {info.name.tag for info in experiment.metric_infos}


# --- hparams ---


def plugin(events: EventAccumulator, tag: str) -> plugin_data_pb2.HParamsPluginData:
    return plugin_data_pb2.HParamsPluginData.FromString(events.PluginTagToContent("hparams")[tag])


def test_the_hparams_are_in_the_runs_own_file(recorded):
    started = plugin(recorded.events, "_hparams_/session_start_info").session_start_info
    told = {key: getattr(value, value.WhichOneof("kind")) for key, value in started.hparams.items()}
    assert told == hparams(recorded.config)
    assert (told["backend"], told["workers"], told["trainer.lr"]) == (
        "thread",
        WORKERS,
        recorded.config.trainer.lr,
    )


def test_the_hparams_are_compared_by_scalars_that_exist(recorded):
    experiment = plugin(recorded.events, "_hparams_/experiment").experiment
    metrics = {info.name.tag for info in experiment.metric_infos}
    assert metrics == {"rmse/test/aggregated", "rmse/valid/aggregated", "time_s/training"}
    assert metrics <= set(recorded.events.Tags()["scalars"])
    assert {info.name for info in experiment.hparam_infos} == set(hparams(recorded.config))


def test_the_hparams_have_the_same_keys_whatever_runs(make_config):
    one_of_each = [
        (f"{group}={option}",)
        for group in ("backend", "split", "model", "trainer", "aggregation")
        for option in OPTIONS[group]
        if option not in ("files", "time")
    ]
    rows = [hparams(make_config(*overrides)) for overrides in one_of_each]
    assert {tuple(row) for row in rows} == {tuple(hparams(make_config()))}
    for row in rows:
        assert {type(value) for value in row.values()} <= {str, int, float, bool}
    assert {row["backend"] for row in rows} == set(OPTIONS["backend"])
    assert {row["aggregation"] for row in rows} == set(OPTIONS["aggregation"])


@pytest.mark.parametrize("backend", ["serial"])
def test_another_backend_writes_the_same_tags_and_hparams(recorded, make_config, tmp_path, backend):
    config = make_config(
        f"backend={backend}", f"rounds={ROUNDS}", f"workers={WORKERS}", "tensorboard=true"
    )
    other = Recorded(config, tmp_path)
    own, others = (
        {tag for tag in run.events.Tags()["scalars"] if "account_ms" not in tag}
        for run in (recorded, other)
    )
    assert own == others
    keys = [
        set(plugin(run.events, "_hparams_/session_start_info").session_start_info.hparams)
        for run in (recorded, other)
    ]
    assert keys[0] == keys[1]
    assert other.points("rmse/test/aggregated") == recorded.points("rmse/test/aggregated")


def test_a_run_that_failed_before_its_first_aggregate_has_a_file_without_hparams(tmp_path):
    board = TensorBoard(tmp_path, {"workers": 2})
    board.on(worker_round(0, 0))
    board.close()
    events = read_events(tmp_path)
    assert "rmse/test/worker_0" in events.Tags()["scalars"]
    assert "_hparams_/session_start_info" not in events.Tags()["tensors"]


# --- custom scalars ---


def charts(recorded: Recorded) -> dict[tuple[str, str], list[str]]:
    """(category, chart) -> its patterns."""
    content = recorded.events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    layout = layout_pb2.Layout.FromString(content)
    return {
        (category.title, chart.title): list(chart.multiline.tag)
        for category in layout.category
        for chart in category.chart
    }


def test_every_chart_shows_its_own_curves(recorded):
    tags, found = recorded.events.Tags()["scalars"], charts(recorded)
    assert {title for category, title in found if category == "RMSE"} == {"valid", "test"}
    assert {
        title for category, title in found if category.startswith("Time")
    } == WORKER_KINDS | AGGREGATOR_KINDS | INNER_KINDS
    assert {title for category, title in found if category.startswith("Where")} == {
        *WHOS,
        "aggregator",
    }
    for (category, title), patterns in found.items():
        # as the plugin does
        shown = {tag for pattern in patterns for tag in tags if re.match(pattern, tag)}
        kinds = {"RMSE": "rmse/TITLE/.*", "Time (ms per round)": "time_ms/TITLE/.*"}
        own = kinds.get(category, "account_ms/[a-z_]+/TITLE").replace("TITLE", title)
        assert shown == {tag for tag in tags if re.fullmatch(own, tag)}
        assert len(shown) >= 1


# --- the trackers that get an event ---


TEST_ERROR = SquaredError(4.0, 4)


def worker_round(
    worker, round_index, *, test=TEST_ERROR, account=None, received=True
) -> WorkerRound:
    return WorkerRound(
        worker=worker, round_index=round_index, train_loss=1.0, valid=SquaredError(1.0, 4),
        test=test,
        best_epoch=0, aggregate_received=received, account=account or Account(),
    )  # fmt: skip


AGGREGATE = AggregateRound(
    round_index=0,
    valid=SquaredError(1.0, 4),
    test=SquaredError(4.0, 4),
    weights=(0.5, 0.5),
    elapsed_s=1.0,
)
HEARD = [
    Started(worker=1, startup_s=0.5), EpochDone(worker=1, round_index=0, epoch=2),
    worker_round(1, 0),
    Finished(worker=1, memory=Memory(peak_rss_bytes=1000, pss_bytes=100)),
]  # fmt: skip
NOT_FOR_TRACKERS = [
    Asking(worker=0),
    Published(worker=0, round_index=0),
    HandedOn(worker=0, group=1, turn=2),
    Failed(worker=0, error=WorkerError(0, 1, "made up")),
]


EVENTS = [
    *HEARD,
    *NOT_FOR_TRACKERS,
    AGGREGATE,
    Failure.of(WorkerError(0, 1, "made up"), "drop"),
    Rewound(next_round=1, last=AGGREGATE),
    Ended(worker=1, began_s=0.5, ended_s=1.5),
    TrainingBegan(torch_threads=1),
    OutsideRounds(account=Account()),
    MemoryUsed(processes={}, shared_bytes=0),
    Reference(valid=1.0, test=1.1),
]


class Notebook(Tracker):
    def __init__(self, name: str, log: list) -> None:
        self.name, self.log = name, log

    def open(self):
        self.log.append((self.name, "open"))

    def on(self, event):
        self.log.append((self.name, event))

    def close(self):
        self.log.append((self.name, "close"))


def test_every_kind_of_event_is_listed_here():
    """Otherwise the next test would not try a new one."""
    kinds = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind not in (Event, Message)
    }
    assert {type(event) for event in EVENTS} == kinds


def test_every_event_reaches_every_tracker():
    log = []
    everyone = Everyone([Notebook("first", log), Tracker(), Notebook("second", log)])
    everyone.open()
    for event in EVENTS:
        everyone.on(event)
    everyone.close()
    names = ("first", "second")
    assert log[:2] == [(name, "open") for name in names]
    assert log[2:-2] == [(name, event) for event in EVENTS for name in names]
    assert log[-2:] == [(name, "close") for name in names]


def test_a_plain_tracker_and_an_empty_everyone_do_nothing():
    for tracker in (Tracker(), Everyone([])):
        before = dict(vars(tracker))
        assert tracker.open() is None
        for event in EVENTS:
            assert tracker.on(event) is None
        assert tracker.close() is None
        assert vars(tracker) == before


def test_the_history_keeps_every_row():
    history = History()
    for message in [*HEARD, worker_round(0, 0), worker_round(1, 1), *NOT_FOR_TRACKERS]:
        history.on(message)
    history.on(AGGREGATE)
    history.on(Ended(worker=1, began_s=0.5, ended_s=1.5))
    history.close()
    assert history.startup_s == {1: 0.5}
    assert history.finished_with[1].memory.peak_rss_bytes == 1000
    assert history.lives == {1: (0.5, 1.5)}
    assert [(row.worker, row.round_index) for row in history.worker_rounds] == [
        (1, 0),
        (0, 0),
        (1, 1),
    ]
    assert [row.round_index for row in history.worker(1)] == [0, 1]
    assert history.worker(2) == []
    assert history.aggregate_rounds == [AGGREGATE]


def test_a_round_that_begins_again_leaves_no_row_in_the_history():
    history = History()
    for number in range(3):
        for worker in (0, 1):
            history.on(worker_round(worker, number))
        history.on(dataclasses.replace(AGGREGATE, round_index=number))
    history.on(Rewound(next_round=1, last=history.aggregate_rounds[0]))
    assert [(row.worker, row.round_index) for row in history.worker_rounds] == [(0, 0), (1, 0)]
    assert [row.round_index for row in history.aggregate_rounds] == [0]


def test_the_history_keeps_no_slices():
    """Slices of a long run would take more memory than all the rest."""
    history = History()
    told = Account(seconds={"compute": 1.0}, slices=b"12345678" * 3)
    history.on(worker_round(0, 0, account=told))
    history.on(dataclasses.replace(AGGREGATE, account=told))
    for row in (*history.worker_rounds, *history.aggregate_rounds):
        assert row.account == Account(seconds={"compute": 1.0})
    assert told.slices  # other trackers get them


# --- failures ---


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
    # what did not count is in the file already
    monkeypatch.setattr("ddp.tracking.tensorboard.FLUSH_EVERY_S", 0.0)
    run(config, directory, [TensorBoard(directory, {"workers": 3})])
    told = scalars(directory)
    assert told["failure/worker_1"] == [(1, 1.0)]
    assert [step for step, _ in told["rmse/test/aggregated"]] == [0, 1, 2, 3]
    assert [step for step, _ in told["rmse/test/worker_0"]] == [0, 1, 2, 3]
    assert [value == 0 for _, value in told["weight/worker_1"]] == [
        policy == "drop" and step > 0 for step in range(4)
    ]
