"""Messages that name the command with which a run or a sweep goes on."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
import yaml
from composing import CONF
from hydra import compose, initialize_config_dir
from omegaconf import read_write

from ddp.errors import ConfigError
from ddp.launch.going_on import command_to_go_on, num_jobs
from ddp.launch.resume import nothing_left, resumed_arguments


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-m", "seed=0,1"], "-m seed=0,1 hydra.sweep.dir=out/a sweep_resume=true"),
        (
            ["-m", "hydra.sweep.dir=elsewhere", "sweep_resume=true", "name='a b'"],
            "-m \"name='a b'\" hydra.sweep.dir=out/a sweep_resume=true",
        ),
    ],
)
def test_the_command_repeats_the_sweep_in_its_directory(arguments, expected):
    command = command_to_go_on(arguments, Path("out/a"), in_study=False)
    assert command == f"python train.py {expected}"


def test_a_study_in_a_storage_goes_on_with_the_same_command():
    arguments = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.storage=sqlite:///study.db"]
    command = command_to_go_on(arguments, Path("out/a"), in_study=True)
    assert command == f"python train.py {' '.join(arguments)}"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [(["seed=0,1,2", "workers=1,2"], 6), (["seed=range(4)"], 4), (["rounds=3"], 1)],
)
def test_the_jobs_of_a_sweep_are_counted_before_they_begin(overrides, expected):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", return_hydra_config=True)
        with read_write(composed):
            composed.hydra.overrides.task = overrides
        assert num_jobs(composed) == expected


def made_run(directory, at_s):
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text("workers: 1\n")
    os.utime(directory / "config.yaml", (at_s, at_s))


def test_the_last_run_is_the_one_that_began_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_run(Path("outputs/2026-01-02/one"), 200)
    made_run(Path("outputs/multirun/2026-01-01/sweep/1_seed=1"), 300)
    made_run(Path("outputs/2026-01-03/another"), 100)
    with pytest.raises(ConfigError, match=r"resume=outputs/multirun/2026-01-01/sweep/1_seed=1: "):
        resumed_arguments(["resume=last"], sweep=False)


def test_without_a_run_there_is_no_last_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"resume=last: there is no run below outputs/"):
        resumed_arguments(["resume=last"], sweep=False)


@pytest.mark.parametrize(
    ("result", "over"),
    [
        ({"rounds_completed": 5, "ended": "rounds"}, True),
        ({"rounds_completed": 5}, True),
        ({"rounds_completed": 4, "ended": "rounds"}, False),
        ({"rounds_completed": 3, "ended": "patience"}, False),
        ({"rounds_completed": 5, "ended": "else"}, False),
        ({"rounds_completed": None}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_run_is_over_only_if_its_files_say_so(make_config, tmp_path, result, over):
    config = make_config("backend=serial", "rounds=5")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(dataclasses.asdict(config)))
    (tmp_path / "result.json").write_text(json.dumps({"format": 2, "status": "ok"} | result))
    assert (nothing_left(tmp_path, config) is not None) is over
