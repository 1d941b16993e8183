"""Trackers that a config names: classes of the user's own, and trackers that fail."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from event_files import row_of

from ddp.errors import ConfigError
from ddp.experiment import run
from ddp.tracking.make import check_trackers, make_trackers
from ddp.tracking.messages import AggregateRound, RunEnds, WorkerRound
from ddp.tracking.tracker import RunFacts

SOURCE = """
from ddp.tracking.tracker import Tracker

class Mine(Tracker):
    def __init__(self, run, colour="red"):
        self.run, self.colour, self.log = run, colour, []

    def open(self):
        self.log.append("open")

    def on(self, event):
        self.log.append(event)

    def close(self):
        self.log.append("close")

class Breaking(Mine):
    def __init__(self, run, at):
        super().__init__(run)
        self.at = at

    def open(self):
        self.fail("open")

    def on(self, event):
        self.log.append(event)
        self.fail("on")

    def close(self):
        self.log.append("close")
        self.fail("close")

    def fail(self, at):
        if at == self.at:
            raise RuntimeError("made up")

class NoTracker:
    pass

number = 3
"""


@pytest.fixture(scope="module", autouse=True)
def module(tmp_path_factory):
    """The modules of a user: `own_trackers`, and `own_broken`, which cannot be imported."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "own_trackers.py").write_text(SOURCE)
    (folder / "own_broken.py").write_text("1 / 0\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(folder)
        yield folder
    sys.modules.pop("own_trackers", None)


def made(config, directory, **own):
    facts = RunFacts(directory=directory, settings=row_of(config), command="python train.py")
    return make_trackers({"mine": own}, facts)


def test_a_class_of_the_users_own_gets_the_run_its_arguments_and_every_event(make_config, tmp_path):
    config = make_config("backend=thread")
    (tracker,) = made(config, tmp_path, _target_="own_trackers.Mine", colour="blue")
    result = run(config, tmp_path, [tracker])
    own = tracker.tracker
    assert own.colour == "blue"
    assert (own.run.directory, own.run.command) == (tmp_path, "python train.py")
    assert own.run.settings["workers"] == config.workers
    assert (own.log[0], own.log[-1]) == ("open", "close")
    assert own.log[-2] == RunEnds(status="ok", kept=result.kept)
    rounds = [event.round_index for event in own.log if isinstance(event, AggregateRound)]
    assert rounds == list(range(config.rounds))
    rows = [event for event in own.log if isinstance(event, WorkerRound)]
    assert len(rows) == config.rounds * config.workers
    assert result.warnings == ()


@pytest.mark.parametrize("at", ["open", "on", "close"])
def test_a_tracker_that_fails_is_a_warning_and_the_run_goes_on(make_config, tmp_path, capsys, at):
    config = make_config("backend=serial")
    (tracker,) = made(config, tmp_path, _target_="own_trackers.Breaking", at=at)
    run(config, tmp_path, [tracker])
    own = tracker.tracker
    assert len([event for event in own.log if event != "close"]) == (
        0 if at == "open" else 1 if at == "on" else len(own.log) - 1
    )
    assert own.log[-1] == "close"
    reason = "tracker=mine: RuntimeError: made up; the run goes on without it"
    assert capsys.readouterr().err == f"warning: {reason}\n"
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["warnings"]) == ("ok", [reason])


def test_the_aggregates_of_a_run_without_its_tracker_are_the_same(make_config, tmp_path):
    config = make_config("backend=serial")
    (tracker,) = made(config, tmp_path / "a", _target_="own_trackers.Breaking", at="on")
    own, other = run(config, tmp_path / "a", [tracker]), run(config, tmp_path / "b", [])
    assert own.state.vector.tobytes() == other.state.vector.tobytes()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module.Mine", "cannot be imported: ModuleNotFoundError: .*PYTHONPATH"),
        ("own_broken.Mine", "cannot be imported: ZeroDivisionError: division by zero"),
        ("own_trackers.Other", "the module own_trackers has no Other"),
        ("own_trackers.NoTracker", "is no subclass of ddp.tracking.tracker.Tracker"),
        ("own_trackers.number", "is no subclass of"),
        ("Mine", "expected the import path of a class, as in"),
        ("own_trackers..Mine", "expected the import path of a class"),
        ("own_trackers/Mine.py", "expected the import path of a class"),
    ],
)
def test_a_class_that_is_none_is_refused_by_its_key(make_config, tmp_path, target, message):
    with pytest.raises(ConfigError, match=rf"^tracker\.mine\._target_={target}: {message}"):
        check_trackers({"mine": {"_target_": target}})


def test_arguments_that_a_class_does_not_take_are_refused(make_config, tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be made with \(the run, size=3\): TypeError"):
        made(make_config(), tmp_path, _target_="own_trackers.Mine", size=3)


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed")
def test_a_package_that_is_missing_is_refused_with_the_command_that_installs_it(train, tmp_path):
    ended = train(tmp_path, "tracker=[tensorboard,wandb]")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: tracker=wandb: wandb is not installed; install it: pip")
    assert not (tmp_path / "outputs").exists()


def test_nothing_of_a_tracker_is_imported_unless_it_is_chosen():
    source = (
        "import sys; from pathlib import Path; from ddp.tracking.make import make_trackers;"
        "from ddp.tracking.tracker import RunFacts;"
        "assert make_trackers({}, RunFacts(directory=Path(), settings={})) == [];"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    assert "ddp" in shown.stdout.split()
    heavy = {"tensorboard", "mlflow", "wandb", "google", "PIL", "torch"}
    assert heavy.isdisjoint(shown.stdout.split())


def test_a_run_that_is_resumed_keeps_its_trackers(train, tmp_path):
    (tmp_path / "own_trackers.py").write_text(SOURCE)  # PYTHONPATH of the program
    small = ("data=synthetic", "model=tiny", "workers=2", "local_epochs=1", "reference=false")
    own = ("+tracker.mine._target_=own_trackers.Mine", "+tracker.mine.colour=dark blue")
    few = ("data.num_users=40", "data.num_items=30", "data.num_ratings=600", "rounds=1")
    ended = train(
        tmp_path, *small, *few, *own, "tracker.tensorboard.detail=all", "hydra.run.dir=run"
    )
    assert ended.returncode == 0, ended.stderr
    again = train(tmp_path, "resume=run", "rounds=2")
    assert again.returncode == 0, again.stderr
    config = json.loads((tmp_path / "run" / "result.json").read_text())["config"]
    assert config["rounds"] == 2
    assert config["tracker"] == {
        "tensorboard": {"detail": "all"},
        "mine": {"_target_": "own_trackers.Mine", "colour": "dark blue"},
    }
