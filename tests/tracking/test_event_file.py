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
from ddp.tracking.tracker import RunFacts

ROUNDS, WORKERS = 3, 3
METRICS = ("test/mae/kept", "test/ndcg_at_10/kept", "test/recall_at_10/kept")
WORKER_KINDS = {"compute", "evaluate", "publish", "wait", "receive", "tell", "other"}
AGGREGATOR_KINDS = {"wait", "gather", "average", "broadcast", "evaluate", "record", "other"}
INNER_KINDS = {"lock_wait", "lock_hold", "serialise", "transfer", "deserialise", "copy", "pickle"}
WHOS = [f"worker_{worker}" for worker in range(WORKERS)]


class Recorded:
    """A run with TensorBoard on, read back."""

    def __init__(self, config, directory: Path) -> None:
        self.config, self.directory = config, directory
        facts = RunFacts(
            directory=directory, settings=row_of(config), command="python train.py workers=3"
        )
        self.result = run(config, directory, [TensorBoard(facts, "all")])
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
        for who in [*WHOS, "aggregated", "workers_pooled", "kept"]
    }
    tags |= {f"train/{kind}/{who}" for kind in ("loss", "weight") for who in WHOS}
    tags |= {f"traffic/pickled_bytes/{who}" for who in WHOS} | {
        "train/loss/mean_of_workers",
        "train/lr",
    }
    tags |= {f"time/{kind}_ms/{who}" for kind in WORKER_KINDS | INNER_KINDS for who in WHOS}
    tags |= {f"time/{kind}_ms/aggregator" for kind in AGGREGATOR_KINDS | INNER_KINDS}
    tags |= {"traffic/pickled_bytes/aggregator", "time/training_s", "train/lr", *METRICS}
    assert {
        tag for tag in recorded.events.Tags()["scalars"] if not tag.startswith("time/account/")
    } == tags


def test_the_round_that_the_run_keeps_is_a_point(recorded):
    for part in ("valid", "test"):
        assert recorded.points(f"rmse/{part}/kept") == {
            recorded.result.kept.round_index + 1: pytest.approx(
                getattr(recorded.result, f"{part}_rmse"), rel=1e-6
            )
        }


def test_texts_tell_the_command_the_configuration_and_the_results(recorded):
    def told(name):
        return recorded.events.Tensors(f"run/{name}")[0].tensor_proto.string_val[0].decode()

    assert told("command").endswith("\n\n    python train.py workers=3")
    rows = dict(re.findall(r"^\| (\S+) \| `(.*)` \|$", told("configuration"), re.MULTILINE))
    assert rows == {key: str(value) for key, value in hparams(recorded.config).items()}
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in told("result").splitlines()
        if line.startswith("| worker") or line.startswith("| kept")
    ]
    result = recorded.result
    kept = [f"kept, round {result.kept.round_index + 1}", f"{result.valid_rmse:.4f}"]
    assert table[0][:3] == [*kept, f"{result.test_rmse:.4f}"]
    for worker in range(WORKERS):
        rows = result.history.worker(worker)
        seconds = sum(row.account.phase_s("compute") for row in rows)
        own = [f"worker {worker}", f"{rows[-1].valid.rmse:.4f}", f"{rows[-1].test.rmse:.4f}"]
        assert [*own, f"{seconds:.3f}"] in [row[:4] for row in table]


def test_few_tags_are_written_unless_all_are_asked_for(make_config, tmp_path):
    config = make_config("backend=thread", "workers=5", "reference=true", "rounds=1")
    board = TensorBoard(RunFacts(directory=tmp_path, settings=row_of(config)))
    run(config, tmp_path, [board])
    tags = read_events(tmp_path).Tags()["scalars"]
    whos = [f"worker_{worker}" for worker in range(5)]
    assert len(tags) <= 40
    assert {
        *(f"rmse/{part}/{who}" for part in ("valid", "test") for who in [*whos, "aggregated"]),
        *(f"time/{kind}_ms/{who}" for kind in ("lock_wait", "pickle", "compute") for who in whos),
        "rmse/test/one_worker",
    } <= {*tags}
    families = {tag.partition("/")[0] for tag in tags}
    assert min(families) == "rmse"
    assert [family for family in families if "time" in family] == ["time"]


def test_the_facts_about_the_ratings_are_a_text(recorded):
    (event,) = recorded.events.Tensors("run/data")
    (text,) = event.tensor_proto.string_val
    *ratings, split = text.decode().splitlines()
    assert ratings == [f"    {label:12}{told}" for label, told in in_lines(recorded.result.data)]
    assert split.startswith("    split       iid; ")
    assert b"1,200 ratings of 60 users for 40 items" in text


def test_every_tag_has_one_point_per_round(recorded):
    for tag in recorded.events.Tags()["scalars"]:
        # a kind without a second in a round has no point; "kept" has that of one round
        if tag.startswith("time/account/") or tag.endswith("/kept"):
            continue
        steps = [event.step for event in recorded.events.Scalars(tag)]
        assert sorted(steps) == (
            [ROUNDS] if tag == "time/training_s" else list(range(1, ROUNDS + 1))
        ), tag


def shown_columns():
    """Tags that show columns of rounds.csv: tag, whose rows, column, factor of its unit."""
    for who in [*WHOS, "aggregated"]:
        for part in ("valid", "test"):
            yield f"rmse/{part}/{who}", who, f"{part}_rmse", 1.0
    for who in WHOS:
        yield f"train/loss/{who}", who, "train_loss", 1.0
        yield f"traffic/pickled_bytes/{who}", who, "pickled_bytes", 1.0
    for who in [*WHOS, "aggregator"]:
        row_of = "aggregated" if who == "aggregator" else who
        for kind in kinds_of(who) | INNER_KINDS - {"pickle"}:
            yield f"time/{kind}_ms/{who}", row_of, f"{kind}_s", 1e3


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
        weights = {row.round_index + 1: row.weights[WHOS.index(who)] for row in rounds}
        assert recorded.points(f"train/weight/{who}") == pytest.approx(weights, rel=1e-6)


@pytest.mark.parametrize("who", [*WHOS, "aggregator"])
def test_the_phases_add_up_to_the_wall_of_the_round(recorded, who):
    phases = [recorded.points(f"time/{kind}_ms/{who}") for kind in kinds_of(who)]
    row_of = "aggregated" if who == "aggregator" else who
    for number, wall in recorded.column(row_of, "wall_s").items():
        assert sum(phase[number] for phase in phases) == pytest.approx(wall * 1e3, rel=1e-4)


@pytest.mark.parametrize("who", [*WHOS, "aggregator"])
def test_all_kinds_together_are_the_wall_of_the_round(recorded, who):
    tags = [
        tag
        for tag in recorded.events.Tags()["scalars"]
        if re.fullmatch(f"time/account/[a-z_]+_ms/{who}", tag)
    ]
    assert f"time/account/evaluate_ms/{who}" in tags
    points = [recorded.points(tag) for tag in tags]
    for number, wall in recorded.column(
        "aggregated" if who == "aggregator" else who, "wall_s"
    ).items():
        assert sum(each.get(number, 0.0) for each in points) == pytest.approx(wall * 1e3, rel=1e-4)


def test_the_last_round_is_a_picture(recorded):
    (image,) = recorded.events.Images("timeline/last_rounds")
    assert image.step == ROUNDS
    with Image.open(io.BytesIO(image.encoded_image_string)) as picture:
        assert picture.format == "PNG"
        assert picture.size == (image.width, image.height)
        colours = {colour for _, colour in picture.getcolors(1 << 20)}
    assert {
        ImageColor.getrgb(KINDS[kind].light) for kind in ("compute", "evaluate", "average", "wait")
    } <= colours


def test_the_times_are_not_all_zero(recorded):
    for tag in (
        "time/compute_ms/worker_0",
        "time/evaluate_ms/aggregator",
        "time/lock_hold_ms/worker_1",
        "time/training_s",
    ):
        assert all(value > 0 for value in recorded.points(tag).values()), tag


@pytest.mark.parametrize("part", ["valid", "test"])
def test_the_pooled_curve_is_of_all_squared_errors_together(recorded, part):
    for number, value in recorded.points(f"rmse/{part}/workers_pooled").items():
        errors = [
            getattr(row, part)
            for row in recorded.result.history.worker_rounds
            if row.round_index + 1 == number
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
    assert metrics == {"rmse/test/kept", "rmse/valid/kept", "time/training_s", *METRICS}
    assert metrics <= set(recorded.events.Tags()["scalars"])
    assert {info.name for info in experiment.hparam_infos} == set(hparams(recorded.config))


@pytest.mark.parametrize("backend", ["serial"])
def test_another_backend_writes_the_same_tags_and_hparams(recorded, make_config, tmp_path, backend):
    config = make_config(
        f"backend={backend}", f"rounds={ROUNDS}", f"workers={WORKERS}", "tensorboard=true"
    )
    other = Recorded(config, tmp_path)
    own, others = (
        {tag for tag in run.events.Tags()["scalars"] if "account" not in tag}
        for run in (recorded, other)
    )
    assert own == others
    keys = [
        set(plugin(run.events, "_hparams_/session_start_info").session_start_info.hparams)
        for run in (recorded, other)
    ]
    assert keys[0] == keys[1]
    assert other.points("rmse/test/aggregated") == recorded.points("rmse/test/aggregated")


def charts(events) -> dict[tuple[str, str], list[str]]:
    """(category, chart) -> its patterns."""
    content = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    layout = layout_pb2.Layout.FromString(content)
    return {
        (category.title, chart.title): list(chart.multiline.tag)
        for category in layout.category
        for chart in category.chart
    }


def test_every_chart_shows_its_own_curves(recorded):
    tags, found = recorded.events.Tags()["scalars"], charts(recorded.events)
    # the plugin matches like this
    shown = {
        named: {tag for pattern in patterns for tag in tags if re.match(pattern, tag)}
        for named, patterns in found.items()
    }
    assert list(shown.items())[:2] == [
        (("RMSE of the aggregate", f"{part} RMSE"), {f"rmse/{part}/aggregated"})
        for part in ("test", "valid")
    ]
    by_title = {title: tags for (_, title), tags in shown.items()}
    assert len(by_title) == len(found)  # TensorBoard joins charts that have one title
    for kind in WORKER_KINDS | AGGREGATOR_KINDS | INNER_KINDS:
        own = {tag for tag in tags if re.fullmatch(f"time/{kind}_ms/[a-z_0-9]+", tag)}
        assert by_title[kind.replace("_", " ")] == own
    for who in [*WHOS, "aggregator"]:
        own = {tag for tag in tags if re.fullmatch(f"time/account/[a-z_]+_ms/{who}", tag)}
        assert by_title[who] == own
    for who in WHOS:
        for part in ("test", "valid"):
            assert by_title[f"{who}: {part} RMSE"] == {f"rmse/{part}/{who}"}
        assert by_title[f"{who}: lock wait"] == {f"time/lock_wait_ms/{who}"}
    assert all(shown.values())


def test_a_chart_of_a_run_with_few_tags_has_one_line_per_run(make_config, tmp_path):
    config = make_config("backend=thread", "workers=5")
    run(config, tmp_path, [TensorBoard(RunFacts(directory=tmp_path, settings=row_of(config)))])
    events = read_events(tmp_path)
    found = charts(events)
    compared = [title for _, title in found if title.endswith("compared")]
    for (_, title), patterns in found.items():
        own = [tag for tag in events.Tags()["scalars"] if re.match(patterns[0], tag)]
        assert len(own) == (3 if title in compared else 1), title
    content = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    folded = [category.closed for category in layout_pb2.Layout.FromString(content).category]
    assert folded == [False] + [True] * (len(folded) - 1)
