"""A refused command prints one message that says what to write, and leaves nothing."""

import pytest
from commands import only_message
from programs import TRAIN, own_environment

FILES = {
    "experiment/x.yaml": "workers: 2\n",
    "experiment/y.yaml": "defaults:\n  - override /backend: serial\n",
    "experiment/deep/z.yaml": "model:\n  dim: 3\n",
    "sweep/s.yaml": "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 0,1\n",
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=x"], "experiment=x: experiment/x.yaml must begin with the line: # @package"),
        (["experiment=y"], "experiment=y: experiment/y.yaml must begin with the line: # @package"),
        (["experiment=deep/z", "-m"], "experiment/deep/z.yaml must begin with the line"),
        (["sweep=s"], "sweep=s: sweep/s.yaml must begin with the line: # @package _global_"),
        (["workers=two", "hydra.run.dir=${hydra:job.name}"], "workers=two: expected int"),
        (["backend=null", "model=tiny", "max_norm=null"], "options: look at backend=null"),
        (["=3"], "a setting is written KEY=VALUE"),
        (["rounds=1e3"], "rounds=1000.0: expected int; write rounds=1000"),
        (["backend.name=process"], "backend.name=process: write backend=process"),
        (["--cfg", "job", "--package", "zz"], "package 'zz' not found in config"),
        (["backend=threads"], "did you mean backend=thread?"),
        (["lr=0.1"], "did you mean trainer.lr?"),
        (["-m", "hydra.sweeper=optuna"], "write hydra/sweeper=optuna"),
    ],
    ids=str,
)
def test_a_refusal_is_one_message_and_leaves_nothing(light_programs, tmp_path, arguments, message):
    for name, text in FILES.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text(text)
    ended = light_programs.run(
        TRAIN, *arguments, "--config-dir", "mine",
        cwd=tmp_path, environment=own_environment(tmp_path), without=["torch"],
    )  # fmt: skip
    assert message in only_message(ended)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
