"""`ddp.run`: a run that Python code asks for, as often as it likes."""

from multiprocessing import current_process
from pathlib import Path

import numpy
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton

import ddp
from ddp.config.defaults import CONF
from ddp.errors import ConfigError, UserError

JOB = ("data=synthetic", "data.num_users=60", "data.num_items=40", "data.num_ratings=1200")
SMALL = {
    **{"model": "tiny", "workers": 2, "rounds": 2, "local_epochs": 1, "backend": "serial"},
    **{"tensorboard": False, "reference": "false"},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*overrides, **settings):
    return ddp.run(*JOB, *overrides, **{**SMALL, "display": "none", **settings})


def test_a_cell_can_be_run_twice_and_its_directory_is_that_of_a_command(here):
    first, second = run("trainer.lr=0.1"), run("trainer.lr=0.1")
    assert first.output_dir != second.output_dir
    assert first.test_rmse == second.test_rmse
    assert first.config.trainer.lr == 0.1
    for result in (first, second):
        place = result.output_dir.relative_to(here)
        assert place.parts[0] == "outputs"
        assert len(place.parts) == 3
        assert (result.output_dir / "model.safetensors").exists()
        overrides = yaml.safe_load((result.output_dir / ".hydra" / "overrides.yaml").read_text())
        assert {"trainer.lr=0.1", "backend=serial", "workers=2"} <= set(overrides)
        assert result.config.name.startswith("data=synthetic")


def test_it_has_the_bits_of_the_command(here, train):
    (here / "command").mkdir()
    named = [f"{key}={str(value).lower()}" for key, value in SMALL.items()]
    done = train(here / "command", *JOB, *named, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    names = ("model.safetensors", "catalogue.npz")
    for name in names:
        own = (run().output_dir / name).read_bytes()
        assert own == (here / "command" / "run" / name).read_bytes()


def test_hydra_knows_afterwards_what_it_knew_before():
    run()
    assert not GlobalHydra.instance().is_initialized()
    assert not HydraConfig.initialized()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        theirs = compose("config", ["seed=7"], return_hydra_config=True)
        HydraConfig.instance().set_config(theirs)
        before = {kind: Singleton._instances[kind] for kind in (GlobalHydra, HydraConfig)}
        assert run().config.seed == 0
        with pytest.raises(UserError):
            run("seed=-1")
        assert before == {kind: Singleton._instances[kind] for kind in before}
        assert HydraConfig.get().overrides.task == ["seed=7"]


def test_a_result_prints_as_ten_lines(here):
    result = run(name="a name")
    lines = str(result).splitlines()
    assert str(result) == repr(result)
    assert len(lines) == 10
    assert lines[0].split(maxsplit=1) == ["run:", "a name, ok"]
    assert f"test {result.test_rmse:.4f}" in str(result)
    assert str(result.output_dir) in lines[-1]


def test_the_rounds_are_a_table(here):
    frame = run(rounds=3).rounds
    aggregated = frame[frame.who == "aggregated"]
    assert len(frame) == 3 * (2 + 1)
    assert len(aggregated) == 3
    assert aggregated.test_rmse.iloc[-1] > 0
    assert aggregated["round"].is_monotonic_increasing


def test_settings_are_python_values(here):
    ratings = here / "my ratings, all.csv"
    ratings.write_text("user,item,rating\n" + "".join(f"{n},{n % 7},{n % 5}\n" for n in range(90)))
    result = ddp.run(
        f"data.path='{ratings}'", data="csv", max_norm=None, split="user", aggregation="rows",
        name="1, 2", display="none", **SMALL | {"rounds": numpy.int64(1)},
    )  # fmt: skip
    assert (result.config.rounds, result.config.max_norm, result.config.name) == (1, None, "1, 2")
    assert result.config.data.path == str(ratings)
    again = ddp.run(resume=Path(result.output_dir), rounds=2)
    assert again.resumed
    assert again.output_dir == result.output_dir
    assert len(again.history.aggregate_rounds) == 2


def test_bars_and_events_are_as_configured(here, capsys):
    quiet = run(tensorboard=True)
    assert capsys.readouterr() == ("", "")
    assert list(quiet.output_dir.glob("events.out.tfevents.*"))
    run(display="lines")
    shown = capsys.readouterr().out
    assert "round 2/2  aggregated RMSE" in shown
    assert "split:      stratified; aggregation=none" in shown


@pytest.mark.parametrize(
    ("overrides", "settings", "message"),
    [
        ((), {"backend": "threads"}, "did you mean backend=thread?"),
        ((), {"lr": 0.1}, "did you mean trainer.lr?"),
        ((), {"workers": 0}, "workers=0: must be a whole number of at least 1"),
        ((), {"trainer": {"lr": 0.1}}, "write each setting as a text"),
        ((), {"split": "user"}, "python train.py split=user aggregation=rows"),
        (("seed=1,2",), {}, "seed=1,2"),
        (("sweep=seeds",), {}, "ddp.run makes one run"),
        ((), {"advise": True}, "write python train.py advise=true"),
    ],
)
def test_a_mistake_is_a_user_error_and_leaves_nothing(here, overrides, settings, message):
    with pytest.raises(UserError) as refusal:
        run(*overrides, **settings)
    assert message in str(refusal.value)
    assert list(here.iterdir()) == []


def test_a_directory_with_a_run_is_refused(here):
    run("hydra.run.dir=mine")
    with pytest.raises(ConfigError, match="holds a run already"):
        run("hydra.run.dir=mine")


def test_a_script_without_the_guard_is_told_so_in_its_worker(monkeypatch):
    monkeypatch.setattr(current_process(), "_inheriting", True, raising=False)
    with pytest.raises(UserError, match=r'below `if __name__ == "__main__":`'):
        run()
