"""The command that repeats a run gives its settings again, through a shell and Hydra."""

import dataclasses
import json
import shlex

import pytest
from composing import composed
from hypothesis import given, settings
from hypothesis import strategies as st

from ddp.config.command import argument, command_of
from ddp.config.options import OPTIONS
from ddp.launch.composed import load_config

PATHS = (
    "a b.csv",
    "/data/ü.csv",
    "it's.csv",
    "x=1,y.csv",
    "$HOME/a",
    "null",
    "~/x",
    "a!b",
    "5",
    "a\\",
)
settings_of = st.fixed_dictionaries(
    {
        "split": st.sampled_from(["iid", "user", "dirichlet"]),
        "aggregation": st.sampled_from(["samples", "uniform"]),
    },
    optional={
        **{group: st.sampled_from([*OPTIONS[group]]) for group in ("backend", "model")},
        "trainer": st.sampled_from(["autograd", "fused"]),
        "data": st.sampled_from(["ml100k", "synthetic", "csv"]),
        "workers": st.integers(1, 9),
        "straggler_timeout": st.sampled_from([None, 0.25, 1e-5]),
        "reference": st.sampled_from(["auto", "true", "false"]),
        "account": st.booleans(),
        "trainer.lr": st.floats(1e-300, 1e300),
        "data.separator": st.sampled_from(["tab", "|", "auto"]),
    },
)


def config_of(overrides):
    return load_config(composed(*overrides))


def as_json(config):
    return json.loads(json.dumps(dataclasses.asdict(config)))


@settings(max_examples=30)
@given(values=settings_of, path=st.sampled_from(PATHS))
def test_it_gives_every_setting_again(values, path):
    chosen = dict(values)
    if chosen.get("data") == "csv":
        chosen["data.path"] = path
    else:
        chosen.pop("data.separator", None)
    given = [shlex.split(argument(key, value))[0] for key, value in chosen.items()]
    config = config_of(given)
    program, script, *again = shlex.split(command_of(as_json(config)))
    assert (program, script) == ("python", "train.py")
    assert config_of(again) == config


@pytest.mark.parametrize(
    "given",
    [
        "trainer=gibbs",
        "trainer=als trainer.reg=0.5",
        "model=tiny trainer=gibbs model.init_std=0.01 rounds=5",
    ],
)
def test_a_trainer_that_brings_settings_is_told_with_what_differs_from_them(given):
    assert command_of(as_json(config_of(given.split()))) == f"python train.py {given}"


def test_it_is_as_short_as_a_person_writes_it(make_config):
    config = config_of(["backend=process", "workers=3", "trainer.lr=0.5", "seed=4", "name=mine"])
    given = "backend=process trainer.lr=0.5 workers=3"
    assert command_of(as_json(config), without=("name",)) == f"python train.py {given} seed=4"
    assert command_of(as_json(config), without=("name",), seeds=[1, 2]) == (
        f"python train.py -m seed=1,2 {given}"
    )
    assert command_of(as_json(config_of([]))) == "python train.py"


@pytest.mark.parametrize("config", [{}, {"backend": None}, {"backend": {"name": "gone"}}])
def test_a_config_of_another_program_is_an_error_that_its_caller_expects(config):
    with pytest.raises((LookupError, TypeError, AttributeError)):
        command_of(config)
