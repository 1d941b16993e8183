"""`make soak`: random jobs, backends and faults; none may hang, leak, or differ from serial.

PYTHONPATH=tests python tests/whole/soak.py --minutes 30 [--seed 0]
"""

import argparse
import faulthandler
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from faults import DEADLY, DEEDS, MOMENTS, RELEASED, STATES, Fault, infect, run_infected
from hydra import compose, initialize_config_dir
from jobs import BACKENDS, IN_PROCESS, SMALL, in_a_child
from leaks import check_leaks, own_folder
from programs import REPOSITORY

from ddp.backends.forkserver import ensure_server
from ddp.errors import WorkerError
from ddp.experiment import run
from ddp.launch.composed import load_config
from ddp.machine.sockets import make_folder
from ddp.results.run_directory import find_checkpoints

HANG_S = 180.0  # a run that takes longer hangs
ROUNDS = 4
AVERAGED = ("split=iid", "split=user", "split=item", "split=dirichlet")
AGGREGATIONS = ("uniform", "samples", "inverse_loss", "softmax_loss", "rows")
POLICIES = ("abort", "drop", "restart")


class Drawn:
    """A job, its backend, and its fault."""

    def __init__(self, dice: random.Random) -> None:
        self.backend = dice.choices(list(BACKENDS), weights=(3, 3, 2, 3, 2, 1, 3, 1))[0]
        self.policy = dice.choice(POLICIES)
        self.moment = dice.choice(MOMENTS)
        kinds = ["none", *DEEDS, *STATES]
        # a hang takes long
        self.kind = dice.choices(kinds, weights=[0.3 if kind == "hang" else 1 for kind in kinds])[0]
        if self.kind in STATES:
            self.moment = "publishing"
        split = dice.choice(["split=stratified", "split=stratified", *AVERAGED, "split=copies"])
        trainer = dice.choice(["fused", "fused", "autograd"])
        aggregation = (
            "none"
            if split == "split=stratified"
            else "ensemble"
            if split == "split=copies"
            else dice.choice(AGGREGATIONS)
        )
        outer = dice.choice(["none", "momentum", "nesterov"]) if split in AVERAGED else "none"
        self.job = (
            *(
                split,
                f"trainer={trainer}",
                f"aggregation={aggregation}",
            ),
            *(() if aggregation == "none" else (f"aggregation.outer={outer}",)),
            *(
                f"workers={dice.randint(2, 4)}",
                f"rounds={ROUNDS}",
                f"local_epochs={dice.randint(1, 3)}",
            ),
            *(
                f"seed={dice.randint(0, 3)}",
                f"select_on={dice.choice(['valid', 'last'])}",
                "checkpoint_every=1",
            ),
        )

    @property
    def ends_the_program(self) -> bool:
        return self.backend in IN_PROCESS and self.kind in DEADLY

    def config(self):
        # the workers must have started within this time
        hang_s = 3600 if self.kind != "hang" else 1 if self.backend in IN_PROCESS else 40
        trainer = () if "trainer=fused" in self.job else ("trainer.batch_size=64",)
        options = (
            *SMALL,
            *self.job,
            *trainer,
            *BACKENDS[self.backend],
            f"on_failure={self.policy}",
        )
        return load_config(
            compose("config", [*options, f"round_timeout={hang_s}", "agg_timeout=3600"])
        )

    def __str__(self) -> str:
        return f"{self.backend}, {self.policy}, {self.kind} at {self.moment}: {' '.join(self.job)}"


def reference(drawn: Drawn, known: dict, directory: Path) -> bytes:
    """The last aggregate of the serial run without a fault."""
    if drawn.job not in known:
        trainer = () if "trainer=fused" in drawn.job else ("trainer.batch_size=64",)
        config = load_config(compose("config", [*SMALL, *drawn.job, *trainer, "backend=serial"]))
        known[drawn.job] = run(config, directory / "reference", []).state.vector.tobytes()
    return known[drawn.job]


def try_once(drawn: Drawn, directory: Path, expected: bytes) -> str:
    """Runs the job. Returns its outcome; raises AssertionError if that is a wrong one."""
    config, fault = (
        drawn.config(),
        Fault(drawn.kind, drawn.moment, directory / "done", last_round=ROUNDS - 1),
    )
    if drawn.ends_the_program:
        code = in_a_child(run_infected, fault, config, directory / "run", timeout_s=HANG_S)
        assert code is not None, "the program hangs"
        assert code != 0
        return resumed(config, directory, expected, "ended the program")
    try:
        with pytest.MonkeyPatch.context() as monkeypatch:
            infect(monkeypatch, fault)
            result = run(config, directory / "run", [])
    except WorkerError as error:
        if error.worker != 1 or drawn.kind == "none":
            raise
        return resumed(config, directory, expected, "abort")
    finally:
        let_go()
    done = [failure.action for failure in result.history.failures]
    if done != ["drop"]:
        assert result.state.vector.tobytes() == expected, "other numbers than the serial run"
    return done[0] if done else "nothing happened"


def resumed(config, directory: Path, expected: bytes, outcome: str) -> str:
    if not find_checkpoints(directory / "run"):
        return f"{outcome}, before a checkpoint"
    result = run(config, directory / "run", [], resume=True)
    assert result.state.vector.tobytes() == expected, "other numbers after going on"
    return f"{outcome}, gone on"


def let_go() -> None:
    """Lets threads that hang end."""
    RELEASED.set()
    for thread in threading.enumerate():
        if thread.name.startswith("worker-"):
            thread.join(HANG_S)
    RELEASED.clear()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0, help="of the dice")
    arguments = parser.parse_args()
    elsewhere = tempfile.gettempdir()  # the files of a run that goes wrong stay there
    with own_folder():
        return soak(arguments, elsewhere)


def soak(arguments: argparse.Namespace, elsewhere: str) -> int:
    dice, outcomes, known = random.Random(arguments.seed), Counter(), {}
    make_folder()
    ensure_server("fused")
    me, until = psutil.Process(), time.monotonic() + 60 * arguments.minutes
    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        while time.monotonic() < until:
            drawn, directory = Drawn(dice), Path(tempfile.mkdtemp(prefix="soak-", dir=elsewhere))
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            try:
                expected = reference(drawn, known, directory)
                with check_leaks(deadline_s=30.0):
                    outcome = try_once(drawn, directory, expected)
            except BaseException:
                number = sum(outcomes.values())
                print(f"run {number}, seed {arguments.seed}: {drawn}", file=sys.stderr)
                print(f"its files: {directory}", file=sys.stderr)
                raise
            finally:
                faulthandler.cancel_dump_traceback_later()
            shutil.rmtree(directory)
            outcomes[outcome] += 1
            if sum(outcomes.values()) % 50 == 1:
                print(
                    f"runs {sum(outcomes.values()):5}   RSS {me.memory_info().rss >> 20:5} MB   "
                    f"descriptors {me.num_fds():3}   threads {me.num_threads():3}",
                    flush=True,
                )
    print(f"{sum(outcomes.values())} runs, none hung, leaked or differed")
    for outcome, count in sorted(outcomes.items()):
        if count:
            print(f"{count:6}  {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
