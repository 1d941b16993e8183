"""The command line that Hydra gets: flags first, and one message for what it cannot mean."""

from itertools import chain, permutations

import pytest
from hydra._internal.utils import get_args_parser

from ddp.errors import UserError
from ddp.launch.arguments import hydra_arguments

SETTINGS = ["workers=2", "rounds=3"]


def parsed(*arguments):
    """The values that Hydra's parser reads in them, without the flags that are off."""
    values = vars(get_args_parser().parse_args(hydra_arguments(list(arguments))))
    return {name: value for name, value in values.items() if value not in (None, False)}


@pytest.mark.parametrize(
    ("flags", "read"),
    [
        ([["-m"]], {"multirun": True}),
        ([["--multirun"], ["--config-dir", "x"]], {"multirun": True, "config_dir": "x"}),
        ([["--config-dir=a=b"], ["--cfg=hydra"]], {"config_dir": "a=b", "cfg": "hydra"}),
        ([["-c", "job"], ["--resolve"], ["-p", "data"]],
         {"cfg": "job", "resolve": True, "package": "data"}),
        ([["-cn", "other"], ["-cp", "/x y"]], {"config_name": "other", "config_path": "/x y"}),
        ([["--info=defaults"], ["-cd", "x"]], {"info": "defaults", "config_dir": "x"}),
        ([["-i", "config"]], {"info": "config"}),
        ([["--run"]], {"run": True}),
        ([["-sc"]], {"shell_completion": True}),
    ],
    ids=str,
)  # fmt: skip
def test_flags_stand_anywhere(flags, read):
    for order in permutations([*flags, *([setting] for setting in SETTINGS)]):
        expected = [part for (part, *_) in order if part in SETTINGS]
        assert parsed(*chain(*order)) == {"overrides": expected} | read


def test_a_flag_with_an_optional_value_may_stand_last():
    assert parsed("workers=2", "--info") == {"overrides": ["workers=2"], "info": "all"}


def test_a_flag_expands_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert parsed("workers=2", "--config-dir=~/conf")["config_dir"] == "/home/me/conf"


REFUSED = [
    (["-m", "--cfg", "job"], "--cfg job shows the configuration of one run: leave out -m"),
    (["--cfg=all", "workers=1,2", "-m"], "--cfg all shows .*: leave out -m"),
    (["--info", "-m"], "--multirun and --info are different commands: write one of them"),
    (["-c", "job", "--hydra-help"], "--cfg and --hydra-help are different commands"),
    (["--hydra-help", "workers=2"], "--hydra-help shows no settings: leave out workers=2$"),
    (["a=1", "--hydra-help", "b=2"], "leave out a=1 b=2$"),
    (["workers=2", "--resolve"], "--resolve belongs to --cfg: write --cfg job --resolve"),
    (["--package", "data"], "--package belongs to --cfg: write --cfg job --package data$"),
    (["hydra.sweeper=optuna"], "write hydra/sweeper=optuna$"),
    (["-m", "hydra.launcher=joblib"], "write hydra/launcher=joblib$"),
    (["++hydra.job_logging=none"], "write hydra/job_logging=none$"),
    (["--workers=3"], "unrecognized arguments: --workers=3; settings have no dashes"),
    (["rounds=1", "--workers", "3"], "--workers( 3)?; settings have no dashes"),
    (["workers=3", "--cfg"], "expected one argument"),
    (["--cfg", "jobs"], "invalid choice: 'jobs'"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=str)
def test_a_command_line_that_means_nothing_says_what_to_write(arguments, message, capsys):
    with pytest.raises(UserError, match=message):
        hydra_arguments(arguments)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "override",
    ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper={a:1}", "hydra.run.dir=x"],
)
def test_other_settings_of_hydra_pass(override):
    assert hydra_arguments([override]) == [override]
