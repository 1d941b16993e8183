"""Jobs in processes of a launcher: their results, refusals and values reach the sweep."""

import subprocess
import sys

import pytest
from commands import SMALL, job_of, read_csv, read_json
from jobs import BACKENDS
from programs import REPOSITORY, TIMEOUT_S, TRAIN, own_environment

pytestmark = pytest.mark.slow


def sweep_for_real(directory, *arguments):
    """Launchers start the interpreter anew, so nothing is forked here."""
    return subprocess.run(
        [sys.executable, TRAIN, "-m", *SMALL, *arguments, "display=none", "hydra.sweep.dir=sweep"],
        cwd=directory, env=own_environment(f"{REPOSITORY}:{directory}"), capture_output=True,
        text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("launcher", "backend"),
    [
        *(("joblib", backend) for backend in BACKENDS if "polling" not in backend),
        *(("submitit_local", backend) for backend in ("thread", "process", "shm spawned")),
    ],
)
def test_every_backend_runs_and_a_refused_job_says_why(tmp_path, train, launcher, backend):
    ended = sweep_for_real(
        tmp_path, f"hydra/launcher={launcher}", *BACKENDS[backend], "workers=2", "seed=0,1,-1"
    )
    assert ended.returncode == 2, ended
    assert ended.stderr.splitlines()[-1] == "error: 1 of 3 jobs did not succeed"
    table = read_csv(tmp_path / "sweep" / "sweep.csv")
    assert [row["status"] for row in table] == ["ok", "ok", "no result"]
    assert table[2]["error"] == "ConfigError: seed=-1: must be a whole number of at least 0"
    for seed in (0, 1):
        alone = train(
            tmp_path, *SMALL, "backend=serial", "workers=2", f"seed={seed}", "display=none",
            f"hydra.run.dir=alone{seed}",
        )  # fmt: skip
        assert alone.returncode == 0
        job, same = (tmp_path / name for name in (f"sweep/{seed}", f"alone{seed}"))
        assert read_json(job)["rmse"]["test"] == read_json(same)["rmse"]["test"]


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_run_that_fails_gives_exit_code_1_also_without_a_summary(tmp_path, launcher):
    ended = sweep_for_real(
        tmp_path, f"hydra/launcher={launcher}", "trainer.lr=1e30,0.02", "~hydra.callbacks.summary"
    )
    assert ended.returncode == 1
    assert not (tmp_path / "sweep" / "sweep.csv").exists()


def test_optuna_gets_the_values_of_jobs_in_other_processes(tmp_path):
    ended = sweep_for_real(
        tmp_path, "hydra/launcher=joblib", "hydra/sweeper=optuna", "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.n_trials=4", "trainer.lr=interval(0.01,0.03)",
    )  # fmt: skip
    assert ended.returncode == 0, ended
    best = min(
        (read_json(job_of(tmp_path / "sweep", job))["rmse"]["valid"], job) for job in range(4)
    )
    assert f"(job {best[1]}, validation RMSE {best[0]:.4f})" in ended.stdout


KILLER = """
import os, signal
from hydra.experimental.callback import Callback

class Killer(Callback):
    def on_job_start(self, config, **kwargs):
        if config.hydra.job.num == 0:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_that_somebody_kills_ends_its_trial_and_not_the_sweep_of_optuna(tmp_path):
    (tmp_path / "killing.py").write_text(KILLER)
    ended = sweep_for_real(
        tmp_path, "hydra/launcher=joblib", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2",
        "trainer.lr=interval(0.01,0.03)", "+hydra.callbacks.killer._target_=killing.Killer",
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: the launcher has lost job 0: TerminatedWorkerError: ")
    table = read_csv(tmp_path / "sweep" / "sweep.csv")
    assert [row["status"] for row in table] == ["no result", "ok"]
    assert table[0]["error"].startswith("TerminatedWorkerError: ")
    assert f"(job 1, validation RMSE {float(table[1]['valid_rmse']):.4f})" in ended.stdout
