"""Names of runs and directories of a sweep's jobs, made from what a command gives."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ddp.config.run_name import MAX_NAME
from ddp.errors import ConfigError
from ddp.launch.names import job_directory, name_of


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["backend=process", "workers=5"], "backend=process,workers=5"),
        (["workers=3", "workers=5"], "workers=5"),
        (["++trainer.lr=0.1", "+experiment=seed_thread"], "trainer.lr=0.1,experiment=seed_thread"),
        (["data=csv", "data.path='my data.csv'"], "data=csv,data.path=my data.csv"),
        (["trainer.lr=0.012345678"], "trainer.lr=0.01235"),
        (["straggler_timeout=1.25"], "straggler_timeout=1.25"),
        (["data.path=a\nb\x1b"], "data.path=a b\\x1b"),
        ([], "defaults"),
        (
            [
                *("display=none", "tensorboard=false", "tracker=[mlflow]", "tracker.mlflow.uri=x"),
                *("hydra.run.dir=x", "hydra/sweeper=optuna", "sweep=seeds", "resume=x"),
                *("sweep_resume=true", "name=x"),
            ],
            "defaults",
        ),
    ],
)
def test_a_name_is_what_tells_the_run_from_others(arguments, name):
    assert name_of(arguments) == name


def test_only_the_keys_count_that_a_sweep_varies():
    assert name_of(["seed=1", "workers=5", "model=tiny"], ["workers"]) == "workers=5"


@given(st.lists(st.text(max_size=60), max_size=6))
def test_every_name_is_one_line_that_the_option_name_takes(make_config, arguments):
    name = name_of(arguments)
    assert name.isprintable()
    assert 0 < len(name) <= MAX_NAME


def composed(directory, *task, **values):
    """The configuration of a job, with what names are made from."""
    hydra = {
        "mode": "MULTIRUN",
        "runtime": {"cwd": str(directory)},
        "sweep": {"dir": "sweep"},
        "overrides": {"task": list(task)},
    }
    return OmegaConf.create({"hydra": hydra, **values})


@given(job=st.integers(0, 999), name=st.text(min_size=1))
def test_a_directory_is_safe_for_every_file_system(tmp_path_factory, job, name):
    directory = job_directory(job, composed(tmp_path_factory.getbasetemp(), name=name))
    assert re.fullmatch(r"[0-9]+(_[A-Za-z0-9._,=+-]*)?", directory)
    assert directory.partition("_")[0] == str(job)


def test_paths_and_lists_make_no_folder_within_the_folder(tmp_path):
    job = composed(tmp_path, "data.paths=[/data/a.csv,/data/b.csv]", "split=files")
    assert job_directory(7, job) == "7_data.paths=-data-a.csv,-data-b.csv,split=files"


@pytest.mark.parametrize("taken", ["1", "1_seed=3", "1_of an earlier version"])
def test_a_sweep_that_goes_on_keeps_the_directories_of_its_jobs(tmp_path, taken):
    for name in ("10_seed=1", taken, "0_seed=1"):
        (tmp_path / "sweep" / name).mkdir(parents=True)
    job = composed(tmp_path, "seed=1", sweep_resume=True)
    assert job_directory(1, job) == taken
    assert job_directory(2, job) == "2_seed=1"
    assert job_directory(1, composed(tmp_path, "seed=1")) == "1_seed=1"


@pytest.mark.parametrize("name", ["''", "' '", "x" * (MAX_NAME + 1), '"a\tb"'])
def test_a_name_that_no_table_can_show_is_refused(make_config, name):
    with pytest.raises(ConfigError, match=r"^name=.*one line of at most 80 characters"):
        make_config(f"name={name}")


def test_a_name_is_kept_as_it_was_given(make_config):
    assert make_config("name='lr, high'").name == "lr, high"
    assert make_config("name=5").name == "5"
    assert make_config().name is None
