"""The event file of a run: its tags, points, hparams and charts."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from event_files import hparams, plugin, read_events, row_of
from PIL import Image, ImageColor
from tensorboard.plugins.custom_scalar import layout_pb2

from ddp.experiment import run
from ddp.ratings.description import in_lines
from ddp.timing.kinds import KINDS
from ddp.tracking.tensorboard import TensorBoard

ROUNDS, WORKERS = 3, 3
WORKER_KINDS = {"compute", "evaluate", "publish", "wait", "receive", "tell", "other"}
AGGREGATOR_KINDS = {"wait", "gather", "average", "broadcast", "evaluate", "record", "other"}
INNER_KINDS = {"lock_wait", "lock_hold", "serialise", "transfer", "deserialise", "copy", "pickle"}
WHOS = [f"worker_{worker}" for worker in range(WORKERS)]


class Recorded:
    """A run with TensorBoard on, read back."""

    def __init__(self, config, directory: Path) -> None:
        self.config, self.directory = config, directory
        self.result = run(config, directory, [TensorBoard(directory, row_of(config))])
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


def test_the_facts_about_the_ratings_are_a_text(recorded):
    (event,) = recorded.events.Tensors("data/text_summary")
    (text,) = event.tensor_proto.string_val
    assert text.decode().splitlines() == [
        f"    {label:12}{told}" for label, told in in_lines(recorded.result.data)
    ]
    assert b"1,200 ratings of 60 users for 40 items" in text


def test_every_tag_has_one_point_per_round(recorded):
    for tag in recorded.events.Tags()["scalars"]:
        if tag.startswith("account_ms/"):  # a kind without a second in a round has no point
            continue
        steps = [event.step for event in recorded.events.Scalars(tag)]
        assert sorted(steps) == (
            [ROUNDS - 1] if tag == "time_s/training" else list(range(ROUNDS))
        ), tag


def shown_columns():
    """Tags that show columns of rounds.csv: tag, whose rows, column, factor of its unit."""
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
    """tests/results/test_record.py shows that rounds.csv has what the trackers got."""
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
        # the plugin matches like this
        shown = {tag for pattern in patterns for tag in tags if re.match(pattern, tag)}
        kinds = {"RMSE": "rmse/TITLE/.*", "Time (ms per round)": "time_ms/TITLE/.*"}
        own = kinds.get(category, "account_ms/[a-z_]+/TITLE").replace("TITLE", title)
        assert shown == {tag for tag in tags if re.fullmatch(own, tag)}
        assert len(shown) >= 1
