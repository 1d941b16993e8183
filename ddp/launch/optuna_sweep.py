"""The sweep of `hydra/sweeper=optuna`: Optuna chooses the values of a trial, a job tries them.

    study --values--> trial --overrides--> launcher --> job
      ^                                                  |
      +------------- its score, or its failure ----------+

A job has the number of its trial. (Optuna calls this interface ask-and-tell.)
"""

import math
from collections.abc import Sequence
from pathlib import Path

import optuna
import yaml
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.samplers import BaseSampler, GridSampler
from optuna.trial import Trial, TrialState

from ddp.counting import counted
from ddp.errors import ConfigError
from ddp.launch.exits import FAILED, report_error
from ddp.launch.planned import composed_job, parsed_overrides
from ddp.launch.search_space import grid_of, search_space, typed
from ddp.launch.sweep_end import SWEEP
from ddp.machine.files import atomic_file
from ddp.results.run_file import read_run_file

BEST_FILE = "optimization_results.yaml"


class OptunaSweep:
    """The trials of one command, in a study that may hold trials of earlier ones."""

    def __init__(self, config: DictConfig) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.config, self.options = config, config.hydra.sweeper
        self.part = "test" if config.get("select_on") == "test" else "validation"
        self.space, self.fixed = search_space(parsed_overrides(config))
        _check(self.options)
        self.study = _open_study(self.options, self.space)
        self.study.sampler, self.trials_left = self._make_sampler()

    def run(self, launcher: Launcher) -> None:
        """Runs the trials. However it ends, it tells and writes the best one."""
        try:
            while self.trials_left > 0:
                size = min(self.options.n_jobs, self.trials_left)
                trials = [self.study.ask(self.space) for _ in range(size)]
                self.trials_left -= size
                values = self._try_out(trials, launcher)
                if values.count(None) > self.options.max_failure_rate * size:
                    rate = self.options.max_failure_rate
                    print(f"the sweep ends here: hydra.sweeper.max_failure_rate={rate}")
                    break
        finally:
            self._tell_best()

    def _make_sampler(self) -> tuple[BaseSampler, int]:
        """The sampler, and the number of trials to run: a grid may have fewer points.

        In a study that goes on, the draws begin with a seed of their own. The same seed would draw
        the values of the first trials again.
        """
        options = dict(self.options.sampler)
        if options.get("seed") is not None:
            # Optuna's seeds have 32 bits
            options["seed"] = (options["seed"] + len(self.study.trials)) % 2**32
        if not str(options["_target_"]).endswith(".GridSampler"):
            return instantiate(options), self.options.n_trials
        grid = GridSampler(grid_of(self.space), seed=options.get("seed"))
        tried = sum(trial.state.is_finished() for trial in self.study.trials)
        points = math.prod(map(len, grid_of(self.space).values()))
        if tried >= points:
            name = self.study.study_name
            raise ConfigError("hydra/sweeper/sampler", "grid", f"study {name} has tried all points")
        return grid, min(self.options.n_trials, points - tried)

    def _try_out(self, trials: Sequence[Trial], launcher: Launcher) -> list[float | None]:
        """The score of each trial, None if its job failed. Optuna learns both."""
        jobs = [_overrides(trial, self.fixed) for trial in trials]
        values: list[float | None] = [None] * len(trials)
        try:
            done = launcher.launch(jobs, initial_job_idx=trials[0].number)
            values = [_value(job) for job in done]
        except Exception as error:  # for example, somebody has killed the process of a job
            values = [
                self._lost(trial, job, error) for trial, job in zip(trials, jobs, strict=True)
            ]
        finally:  # after Ctrl-C as well: a study must not wait for these trials
            for trial, value in zip(trials, values, strict=True):
                self._tell(trial, value)
        return values

    def _lost(self, trial: Trial, overrides: list[str], error: Exception) -> float | None:
        """The score of a job that has ended well although its launcher raised `error`, or None."""
        hydra = composed_job(self.config, trial.number, overrides).hydra
        run = read_run_file(Path(hydra.runtime.output_dir))
        if run.status == "ok":
            return _finite(run.outcome["test_rmse" if self.part == "test" else "valid_rmse"])
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        SWEEP.note(hydra, code=FAILED, reason=reason)
        report_error(f"the launcher has lost job {trial.number}: {reason}", FAILED)
        return None

    def _tell(self, trial: Trial, value: float | None) -> None:
        state = TrialState.FAIL if value is None else None
        try:
            self.study.tell(trial, value, state)
        except RuntimeError as error:
            # a GridSampler asks a loop of Optuna's own to stop after the last point
            if "Study.stop" not in str(error):
                raise

    def _tell_best(self) -> None:
        trials = self.study.trials
        good = sum(trial.state == TrialState.COMPLETE for trial in trials)
        if not good:
            print(f"no trial of {len(trials)} succeeded")
            return
        best = self.study.best_trial
        values = " ".join(typed(key, value) for key, value in best.params.items())
        score = f"{self.part} RMSE {best.value:.4f}"
        print(f"best of {counted(good, 'trial')}: {values} (job {best.number}, {score})")
        results = {"name": "optuna", "best_params": best.params, "best_value": best.value}
        with atomic_file(Path(self.config.hydra.sweep.dir) / BEST_FILE) as file:
            file.write(yaml.safe_dump(results).encode())


def _check(options: DictConfig) -> None:
    """Raises ConfigError for an option out of range."""
    for key in ("n_trials", "n_jobs"):
        if options[key] < 1:
            raise ConfigError(f"hydra.sweeper.{key}", options[key], "must be at least 1")
    if not 0 <= options.max_failure_rate <= 1:
        value = options.max_failure_rate
        raise ConfigError("hydra.sweeper.max_failure_rate", value, "must be from 0 to 1")
    if options.direction not in ("minimize", "maximize"):
        raise ConfigError(
            "hydra.sweeper.direction", options.direction, "choose one of minimize, maximize"
        )
    seed = options.sampler.get("seed")
    if not (seed is None or isinstance(seed, int)):
        raise ConfigError("hydra.sweeper.sampler.seed", seed, "must be a whole number or null")


def _open_study(options: DictConfig, space: dict[str, BaseDistribution]) -> optuna.Study:
    """A new study, or the one of this name in the storage.

    Raises ConfigError if the study cannot take these trials.
    """
    try:
        study = optuna.create_study(
            storage=options.storage,
            study_name=options.study_name,
            direction=options.direction,
            load_if_exists=True,
        )
    except Exception as error:  # each kind of storage has its own
        reason = str(error).splitlines()[0]
        raise ConfigError(
            "hydra.sweeper.storage", options.storage, f"Optuna cannot use it: {reason}"
        ) from None
    if study.direction.name.lower() != options.direction:
        was = study.direction.name.lower()
        raise ConfigError(
            "hydra.sweeper.direction", options.direction, f"study {study.study_name} has {was}"
        )
    try:
        for trial in study.trials:
            for key in trial.distributions.keys() & space.keys():
                check_distribution_compatibility(trial.distributions[key], space[key])
    except ValueError as error:
        raise ConfigError(
            "hydra.sweeper.study_name",
            study.study_name,
            f"its trials chose {key} from other values ({error}); choose another name",
        ) from None
    if options.storage is not None:
        trials = counted(len(study.trials), "trial")
        print(f"study {study.study_name} in {options.storage}: {trials} so far")
    return study


def _overrides(trial: Trial, fixed: Sequence[str]) -> list[str]:
    return [*(typed(key, value) for key, value in trial.params.items()), *fixed]


def _value(job: JobReturn) -> float | None:
    """The score that a job has returned; None if there is none."""
    return _finite(float(job.return_value)) if job.status == JobStatus.COMPLETED else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
