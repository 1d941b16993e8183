"""The settings that a sweep varies, read from the file that Hydra leaves in its directory."""

import pytest
import yaml
from composing import CONF, by_hydra
from hydra import initialize_config_dir
from hydra.types import RunMode

from ddp.launch.planned import SWEEP_MARK
from ddp.launch.varied import varied_settings


class Job:
    """The part of the configuration that Hydra itself sets for a job of a sweep."""

    def __init__(self, directory, mode=RunMode.MULTIRUN):
        self.mode = mode
        self.runtime = type("Runtime", (), {"cwd": str(directory)})
        self.sweep = type("Sweep", (), {"dir": "sweep"})


def varied(directory, *overrides, params=None):
    (directory / "sweep").mkdir()
    hydra = {"overrides": {"task": list(overrides)}, "sweeper": {"params": params}}
    (directory / "sweep" / SWEEP_MARK).write_text(yaml.safe_dump({"hydra": hydra}))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return varied_settings(Job(directory))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["workers=1,2", "backend=thread,process"], ["workers", "backend"]),
        (["seed=range(3)", "workers=2"], ["seed"]),
        (["seed=1,1"], None),
        (["model=tiny,small"], ["model", "model.dim"]),
        (["model=tiny,small", "model.dim=8"], ["model"]),
        (["model=tiny,small", "model.dim=8,9"], ["model", "model.dim"]),
        (["trainer=fused,autograd"], ["trainer", "trainer.lr"]),
        (["split=iid,dirichlet", "split.seed=choice(1,2)"], ["split", "split.seed"]),
        (["trainer.lr=interval(0.01,0.1)"], ["trainer.lr"]),
        (["straggler_timeout=null,5", "hydra.sweep.dir=sweep"], ["straggler_timeout"]),
        (["data=csv,synthetic"], ["data"]),
        (["experiment=seed_thread,seed_process", "seed=1,2"], None),
        (["seed=glob(*)"], None),
        (["seed=1,"], None),
        (["workers=2"], None),
        ([], None),
    ],
)
def test_it_is_known_or_the_run_shows_all(tmp_path, overrides, expected):
    assert varied(tmp_path, *overrides) == expected


@pytest.mark.parametrize("name", ["seeds", "workers", "backends", "aggregations", "local_epochs"])
def test_the_values_of_a_named_sweep_count(tmp_path, name):
    params = dict(by_hydra(f"sweep={name}", hydra=True).hydra.sweeper.params)
    found = varied(tmp_path, f"sweep={name}", params=params)
    assert {*found} == {*params}


def test_the_command_exchanges_values_of_a_named_sweep(tmp_path):
    params = {"backend": "thread,process", "workers": "1,2"}
    assert varied(tmp_path, "workers=3", params=params) == ["backend"]


@pytest.mark.parametrize("content", [None, "", "[", "a: 1", "hydra: 3", "\0"])
def test_a_file_that_is_damaged_or_absent_is_no_reason_to_fail(tmp_path, content):
    if content is not None:
        (tmp_path / "sweep").mkdir()
        (tmp_path / "sweep" / SWEEP_MARK).write_text(content)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert varied_settings(Job(tmp_path)) is None


def test_a_run_alone_has_no_sweep(tmp_path):
    assert varied_settings(Job(tmp_path, RunMode.RUN)) is None
