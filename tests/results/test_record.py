"""The files of a run that ends well, and the promises that other programs rely on."""

import dataclasses
import json
import math
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from run_files import STAGES, read_json, read_rounds

from ddp.config.schema import Config
from ddp.errors import ConfigError
from ddp.experiment import run
from ddp.ratings.description import Description, description_of, facts
from ddp.ratings.load import load_ratings
from ddp.results.record import config_hash
from ddp.results.run_directory import run_directory
from ddp.results.run_result import RunResult

WORKER_PHASES = ("compute", "evaluate", "publish", "wait", "receive", "tell", "other")
AGGREGATOR_PHASES = ("wait", "gather", "average", "broadcast", "evaluate", "record", "other")
COLUMNS = [
    *(
        "round",
        "who",
        "train_loss",
        "valid_rmse",
        "test_rmse",
        "best_epoch",
        "aggregate_received",
        "elapsed_s",
        "lr",
    ),
    *("sample_valid_rmse", "sample_test_rmse", "precision", "samples", "effective_samples"),
    *("compute_s", "evaluate_s", "publish_s", "wait_s", "receive_s", "tell_s", "other_s"),
    *("gather_s", "average_s", "broadcast_s", "record_s"),
    *("lock_wait_s", "lock_hold_s", "serialise_s", "transfer_s", "deserialise_s", "copy_s"),
    *("gil_wait_s", "run_queue_s", "off_cpu_s"),
    *("wall_s", "pickled_bytes", "copied_bytes"),
]

RMSE_KEYS = ("test", "valid", "best_valid_round", "noise_floor", "reference", "gap")


@dataclasses.dataclass
class Done:
    config: Config
    directory: Path
    result: RunResult


@pytest.fixture(scope="module")
def done(make_config, tmp_path_factory) -> Done:
    directory = tmp_path_factory.mktemp("record") / "made" / "by the run"
    config = make_config("backend=thread")
    return Done(config, directory, run(config, directory, []))


def test_the_files_of_a_run(done):
    assert {path.name for path in done.directory.iterdir()} == {
        *(
            "config.yaml",
            "result.json",
            "rounds.csv",
            "model.safetensors",
            "catalogue.npz",
            "ddp_thread_results.pkl",
            "trace.json",
        )
    }


def test_the_result_is_strict_json_with_what_it_was_told_and_how_it_ended(done):
    result, last = read_json(done.directory), done.result.history.aggregate_rounds[-1]
    assert (result["format"], result["status"], result["error"]) == (2, "ok", None)
    assert result["config"] == dataclasses.asdict(done.config)
    assert result["config_hash"] == config_hash(done.config)
    assert result["rounds_completed"] == 2
    assert result["rmse"]["test"] == last.test.rmse == done.result.test_rmse
    assert result["rmse"]["valid"] == last.valid.rmse
    valid = [row.valid.rmse for row in done.result.history.aggregate_rounds]
    assert result["rmse"]["best_valid_round"] == valid.index(min(valid)) + 1
    assert 0 < result["rmse"]["noise_floor"] <= done.config.data.noise_std * 1.2
    assert result["environment"]["torch_threads"] == done.config.torch_threads
    assert all(result["environment"]["versions"].values())
    assert 1 <= result["environment"]["usable_cores"] <= result["environment"]["cpu_count"]
    assert result["environment"]["cpu_model"] != ""


def test_the_result_says_what_was_read(done):
    about = description_of(load_ratings(done.config.data, done.config.data_seed))
    assert done.result.data == about
    assert about.num_ratings == done.config.data.num_ratings
    written = read_json(done.directory)["data"]
    assert written == json.loads(json.dumps(about.as_json()))
    assert facts(Description(**written)) == facts(about)


def test_the_config_file_holds_every_value_of_the_run(done):
    assert yaml.safe_load(
        (done.directory / "config.yaml").read_text(encoding="utf-8")
    ) == dataclasses.asdict(done.config)


def test_the_stages_do_not_overlap(done):
    for seconds in (done.result.seconds, read_json(done.directory)["seconds"]):
        assert set(seconds) == STAGES | {"total"}
        assert all(value >= 0 for value in seconds.values())
        assert sum(seconds[stage] for stage in STAGES - {"imports"}) <= seconds["total"]


def test_a_row_of_every_worker_and_of_the_aggregate_in_every_round(done):
    rows = read_rounds(done.directory)
    assert list(rows[0]) == COLUMNS
    whos = ["worker_0", "worker_1", "worker_2"]
    expected = [(str(number), who) for number in (1, 2) for who in whos] + [
        ("1", "aggregated"),
        ("2", "aggregated"),
    ]
    assert [(row["round"], row["who"]) for row in rows] == expected


def test_the_rows_hold_what_the_trackers_were_told(done):
    rows, history = read_rounds(done.directory), done.result.history
    told = {
        (str(row.round_index + 1), f"worker_{row.worker}"): row for row in history.worker_rounds
    }
    told |= {(str(row.round_index + 1), "aggregated"): row for row in history.aggregate_rounds}
    assert len(told) == len(rows)
    for row in rows:
        message, of_worker = told[row["round"], row["who"]], row["who"] != "aggregated"
        assert float(row["valid_rmse"]) == message.valid.rmse
        assert float(row["test_rmse"]) == message.test.rmse
        assert float(row["wall_s"]) == message.account.wall_s
        assert row["train_loss"] == (repr(message.train_loss) if of_worker else "")
        assert row["best_epoch"] == (str(message.best_epoch + 1) if of_worker else "")
        assert row["aggregate_received"] == ("True" if of_worker else "")
        assert row["elapsed_s"] == ("" if of_worker else repr(message.elapsed_s))


def test_the_phases_of_a_row_add_up_to_its_wall(done):
    for row in read_rounds(done.directory):
        phases = AGGREGATOR_PHASES if row["who"] == "aggregated" else WORKER_PHASES
        assert math.fsum(float(row[f"{phase}_s"]) for phase in phases) == pytest.approx(
            float(row["wall_s"]), rel=1e-9
        )
        others = {
            f"{phase}_s" for phase in (*WORKER_PHASES, *AGGREGATOR_PHASES) if phase not in phases
        }
        assert {row[name] for name in others} == {""}


def test_the_workers_and_the_aggregator_are_summed_over_the_rounds(done):
    result, rows = read_json(done.directory), read_rounds(done.directory)
    assert [row["worker"] for row in result["workers"]] == [0, 1, 2]
    for summary, who in [
        *((row, f"worker_{row['worker']}") for row in result["workers"]),
        (result["aggregator"], "aggregated"),
    ]:
        mine = [row for row in rows if row["who"] == who]
        assert summary["test_rmse"] == float(mine[-1]["test_rmse"])
        assert summary["valid_rmse"] == float(mine[-1]["valid_rmse"])
        for column in (
            "evaluate_s",
            "wait_s",
            "lock_wait_s",
            "transfer_s",
            "wall_s",
            "pickled_bytes",
        ):
            assert summary[column] == pytest.approx(
                sum(float(row[column]) for row in mine), rel=1e-9
            ), column
    assert sum(row["num_train"] for row in result["workers"]) == result["aggregator"]["num_train"]
    assert [row["timeouts"] for row in result["workers"]] == [0, 0, 0]


class OnlyBuiltins(pickle.Unpickler):
    """Refuses to look up any name, so that it loads builtin values only."""

    def find_class(self, module, name):
        raise AssertionError(f"{module}.{name} is in the pickle")


def all_types(value: object) -> set[type]:
    inner = (
        [*value, *value.values()]
        if type(value) is dict
        else value
        if type(value) in (list, tuple)
        else []
    )
    return {type(value)}.union(*(all_types(one) for one in inner))


def test_the_pickle_of_the_seed_systems_holds_builtin_values_only(done):
    with (done.directory / "ddp_thread_results.pkl").open("rb") as file:
        results = OnlyBuiltins(file).load()
    assert all_types(results) <= {dict, list, tuple, str, int, float, bool, type(None)}
    assert results["status"] == "ok"
    assert results["config"] == dataclasses.asdict(done.config)
    assert [[row["round"] for row in rows] for rows in results["workers"]] == [[1, 2]] * 3
    assert [row["test_rmse"] for row in results["aggregated"]] == [
        r.test.rmse for r in done.result.history.aggregate_rounds
    ]
    assert [sum(row["weights"]) for row in results["aggregated"]] == pytest.approx([1, 1])


def test_the_torch_threads_recorded_are_those_that_the_run_had(make_config, tmp_path):
    # the process has another number outside a run
    number = torch.get_num_threads() + 2
    run(make_config("backend=serial", "rounds=1", f"torch_threads={number}"), tmp_path, [])
    assert (
        json.loads((tmp_path / "result.json").read_text())["environment"]["torch_threads"] == number
    )


def test_a_directory_is_claimed_once(make_config, tmp_path):
    first, directory = make_config(), tmp_path / "a" / "b"
    with run_directory(first, directory, resume=False):
        pass
    written = (directory / "config.yaml").read_bytes()
    with (
        pytest.raises(ConfigError) as refusal,
        run_directory(make_config("seed=7"), directory, resume=False),
    ):
        pytest.fail("it was claimed twice")
    assert str(directory) in str(refusal.value)
    assert "hydra.run.dir" in str(refusal.value)
    assert (directory / "config.yaml").read_bytes() == written


def test_a_refused_run_touches_nothing(make_config, tmp_path, done):
    before = {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in done.directory.iterdir()
    }
    with pytest.raises(ConfigError):
        run(make_config("seed=7"), done.directory, [])
    assert {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in done.directory.iterdir()
    } == before


def test_a_run_of_the_compiled_trainer_has_no_threads_of_torch(make_config, tmp_path):
    run(make_config("trainer=fused", "backend=serial", "rounds=1"), tmp_path, [])
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["environment"]["torch_threads"] is None
