"""Every experiment and every sweep of conf/ composes, and does what it says."""

import dataclasses
import itertools

import pytest
from composed_configs import config_of, names_in
from composing import CONF, by_hydra
from omegaconf import OmegaConf

from ddp.config.backend import ProcessBackend, ThreadBackend
from ddp.config.options import OPTIONS


def test_every_experiment_composes_and_its_first_line_is_its_command(subtests):
    for name in names_in("experiment"):
        with subtests.test(name=name):
            config_of(f"experiment={name}")
            lines = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()
            first = next(line for line in lines if not line.startswith("# @package"))
            assert first.startswith(f"# python train.py experiment={name}: ")


@pytest.mark.parametrize(
    ("name", "backend"), [("seed_thread", ThreadBackend), ("seed_process", ProcessBackend)]
)
def test_the_two_seed_systems(name, backend):
    config = config_of(f"experiment={name}")
    assert type(config.backend) is backend
    assert config.backend.poll_interval_s == 0.2
    assert (config.workers, config.local_epochs) == (5, 10)
    assert (config.split.name, config.aggregation.name) == ("iid", "inverse_loss")
    assert config.select_on == "test"


def test_the_two_seed_systems_differ_in_their_backend_only():
    thread, process = (
        dataclasses.asdict(config_of(f"experiment={name}"))
        for name in ("seed_thread", "seed_process")
    )
    assert thread.pop("backend") == {"name": "thread", "poll_interval_s": 0.2}
    assert process.pop("backend") == {
        "name": "process",
        "poll_interval_s": 0.2,
        "start_method": "spawn",
    }
    assert thread == process


def test_an_experiment_names_an_option_of_every_group_so_that_new_defaults_do_not_change_it(
    subtests,
):
    for name in names_in("experiment"):
        with subtests.test(name=name):
            raw = OmegaConf.load(CONF / "experiment" / f"{name}.yaml")
            assert {
                key.removeprefix("override /") for entry in raw.defaults for key in entry
            } == set(OPTIONS)


def test_the_command_line_wins_over_an_experiment():
    config = config_of(
        "experiment=seed_thread", "workers=2", "model=tiny", "backend.poll_interval_s=null"
    )
    assert (config.workers, config.model.name, config.backend.poll_interval_s) == (2, "tiny", None)


@pytest.mark.parametrize("name", names_in("sweep"))
def test_every_job_of_every_sweep_is_a_valid_config(name):
    hydra = by_hydra(f"sweep={name}", hydra=True).hydra
    assert hydra.mode.name == "MULTIRUN"
    values = {key: str(listed).split(",") for key, listed in hydra.sweeper.params.items()}
    assert any(len(options) > 1 for options in values.values())
    jobs = [
        config_of(
            f"sweep={name}", *(f"{key}={value}" for key, value in zip(values, product, strict=True))
        )
        for product in itertools.product(*values.values())
    ]
    assert len({repr(job) for job in jobs}) == len(jobs)


def test_the_sweep_over_backends_holds_every_backend():
    params = by_hydra("sweep=backends", hydra=True).hydra.sweeper.params
    assert set(params.backend.split(",")) == set(OPTIONS["backend"])


def test_the_sweep_over_aggregations_holds_every_way_to_average_states():
    params = by_hydra("sweep=aggregations", hydra=True).hydra.sweeper.params
    assert {*params.aggregation.split(","), "ensemble", "none"} == set(OPTIONS["aggregation"])
