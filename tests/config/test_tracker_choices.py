"""The group `tracker`: several options at once, older commands, and classes of the user's own."""

import dataclasses

import pytest
import yaml
from composed_configs import config_of, names_in
from composing import CONF, by_hydra

from ddp.config.defaults import default_config, default_tracker
from ddp.config.schema import settings
from ddp.config.tracker import TRACKERS, MlflowOptions, TensorBoardOptions
from ddp.errors import ConfigError
from ddp.launch.composed import load_config

FEW = TensorBoardOptions(detail="few")
MINE = "+tracker.mine._target_=my_trackers.Mine"


def test_the_files_of_the_group_are_its_options():
    assert names_in("tracker") == sorted([*TRACKERS, "none"])
    for name, schema in TRACKERS.items():
        values = yaml.safe_load((CONF / "tracker" / f"{name}.yaml").read_text(encoding="utf-8"))
        chosen = load_config(by_hydra(f"tracker=[{name}]")).tracker
        assert chosen == {name: schema(**values)} == {name: default_tracker(name)}


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ((), ["tensorboard"]),
        (("tracker=none",), []),
        (("tracker=[]",), []),
        (("tracker=mlflow",), ["mlflow"]),
        (("tracker=[tensorboard,mlflow]",), ["tensorboard", "mlflow"]),
        (("tracker=[wandb,none]",), ["wandb"]),
        (("tensorboard=false",), []),
        (("tensorboard=true",), ["tensorboard"]),
        (("tracker=[tensorboard,wandb]", "tensorboard=false"), ["wandb"]),
        (("tracker=none", "tensorboard=true"), ["tensorboard"]),
        ((MINE,), ["tensorboard", "mine"]),
        (("tracker=none", MINE), ["mine"]),
        (("tracker=[]", MINE), ["mine"]),
    ],
)
def test_a_run_has_the_trackers_that_its_command_names(overrides, names):
    config = load_config(by_hydra(*overrides))
    assert [*config.tracker] == names
    assert settings(dataclasses.asdict(config))["tracker"] == (",".join(names) or "none")


def test_each_has_its_settings():
    config = load_config(
        by_hydra(
            "tracker=[tensorboard,mlflow]", "tracker.tensorboard.detail=all", "tracker.mlflow.uri=x"
        )
    )
    assert config.tracker == {
        "tensorboard": TensorBoardOptions(detail="all"),
        "mlflow": MlflowOptions(uri="x", experiment="ddp"),
    }
    assert default_config().tracker == config_of().tracker == {"tensorboard": FEW}


def test_a_class_of_the_users_own_keeps_its_arguments():
    own = load_config(by_hydra(MINE, "+tracker.mine.sizes=[1,2]", "+tracker.mine.colour=null"))
    assert own.tracker == {
        "tensorboard": FEW,
        "mine": {"_target_": "my_trackers.Mine", "sizes": [1, 2], "colour": None},
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("tracker.tensorboard.detail=some",), "tracker.tensorboard.detail=some: choose one of"),
        (("tracker.tensorboard.detail=null",), "tracker.tensorboard.detail=null: expected str"),
        (("tracker=wandb", "tracker.wandb.mode=x"), "tracker.wandb.mode=x: choose one of offline"),
        (("+tracker.tensorboard.x=1",), "tracker.tensorboard.x=1: there is no such setting"),
        (("+tracker.mine=a.B",), r"tracker.mine=a.B: .*\+tracker.mine._target_=MODULE.CLASS"),
        (("+tracker.mine._target_=3",), r"tracker.mine=.*_target_=MODULE.CLASS"),
        ((MINE, "+tracker.mine.a.b=1"), "tracker.mine=.*: holds more than"),
        (("tensorboard=maybe",), "tensorboard=maybe: expected bool"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_key(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(by_hydra(*overrides))


def test_a_run_of_an_older_version_had_tensorboard_or_not():
    assert settings({"tensorboard": True})["tracker"] == "tensorboard"
    assert settings({"tensorboard": False})["tracker"] == "none"
    assert settings({})["tracker"] is None


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "tracker.tensorboard.detial=all",
            "tracker.tensorboard.detial: there is no such setting;"
            " did you mean tracker.tensorboard.detail?",
        ),
        (
            "tracker.mlflow.uri=x",
            "tracker.mlflow.uri: the run has no such tracker; tracker=[mlflow] gives it one",
        ),
        ("tracker=null", "a group cannot be null, it needs one of its options: look at tracker="),
        ("tracker=tensorboard,mlflow", "tracker=tensorboard,mlflow: a run has one value of a"),
    ],
)
def test_a_command_that_hydra_refuses_is_told_what_to_write(train, tmp_path, argument, message):
    ended = train(tmp_path, argument)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: {message}")
    assert list(tmp_path.iterdir()) == []
