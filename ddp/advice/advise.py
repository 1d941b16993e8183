"""`python train.py advise=true`: predicts the fastest backend and number of workers, and says why.

It trains nothing, and writes only the file of the machine's constants. The modules of the room, in
the order of their use:

| module | task |
|---|---|
| `measuring/` | measures the constants of this machine once, and keeps them in a file |
| `constants` | lists them |
| `sizes` | deals the ratings, to know the sizes of all shards |
| `worker_costs`, `cost_model` | formulas: the seconds of each step of a run, alone on a core |
| `sweep_costs` | likewise with gibbs and als, whose workers keep in step within an epoch |
| `scripts` | puts the steps of workers and aggregator in order |
| `prediction` | predicts the wall of a run from them |
| `simulation` | plays these steps at the same time on a simulated machine |
| `machine_model` | slows steps down that share cores, the GIL and the bandwidth of RAM |
| `crossover` | finds the values of the config from which another backend is the fastest |
| `wording` | makes a table and sentences of the predictions |
"""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from rich.console import Console

from ddp.advice.constants import BACKENDS, Constants
from ddp.advice.crossover import find_crossovers, in_words
from ddp.advice.measuring.calibration import calibrate
from ddp.advice.measuring.pilot import TRAINERS
from ddp.advice.prediction import Prediction, predict
from ddp.advice.scripts import Surroundings
from ddp.advice.sizes import Sizes, sizes_of
from ddp.advice.wording import advice, make_table, sources, where, width_of
from ddp.config.backend import Backend, PollingBackend
from ddp.config.defaults import default_option
from ddp.config.schema import Config
from ddp.config.simulate import Simulate
from ddp.errors import ConfigError, UserError
from ddp.ratings.arrays import Ratings
from ddp.ratings.load import load_ratings

THE_QUESTION = ("thread", "process")  # the backends of the seed systems
# With split=stratified a simulated epoch has a turn for each pair of workers.
MOST_WORKERS = 16  # with more, a search for crossovers takes minutes
MOST_STRATIFIED = 128  # with more, a single prediction takes long


@dataclass(slots=True, kw_only=True)
class Advisor:
    """Predicts for one set of ratings on one machine."""

    ratings: Ratings
    constants: Constants
    around: Surroundings
    # By number of workers: the other settings that a prediction varies do not change the sizes.
    sizes: dict[int, Sizes] = field(default_factory=dict)

    def predictions(self, config: Config, names: Sequence[str] = BACKENDS) -> list[Prediction]:
        """Predicts the run on each of these backends, and returns the fastest first.

        Raises UserError if the ratings cannot be dealt to the config's number of workers.
        """
        if config.workers not in self.sizes:
            self.sizes[config.workers] = sizes_of(config, self.ratings)
        sizes = self.sizes[config.workers]
        compared = [
            replace(config, backend=backend)
            for backend in backends(config)
            if backend.name in names
        ]
        found = [self._predicted(one, sizes) for one in compared]
        return sorted(found, key=lambda prediction: prediction.wall_s)

    def _predicted(self, config: Config, sizes: Sizes) -> Prediction:
        """The prediction for one backend, of as many rounds as `max_seconds` lets it do."""
        if config.max_seconds is not None:
            one, two = (
                predict(replace(config, rounds=rounds), sizes, self.constants, self.around).wall_s
                for rounds in (1, 2)
            )
            within = math.ceil(config.max_seconds / max(two - one, 1e-9))
            config = replace(config, rounds=min(config.rounds, within))
        return predict(config, sizes, self.constants, self.around)

    def with_other_workers(self, config: Config) -> dict[int, list[Prediction]]:
        """The predictions for those of `other_workers` to whom the ratings can be dealt."""
        found = {}
        for workers in other_workers(config, self.around.cores or self.constants.cores):
            with suppress(UserError):  # too few ratings, users or files
                found[workers] = self.predictions(with_workers(config, workers))
        return found

    def crossovers(self, config: Config, names: Sequence[str]) -> list[str]:
        """One line per setting: its values from which another of these backends is the fastest."""
        if config.stratified and config.workers > MOST_WORKERS:
            return [
                f"not searched with split=stratified and more than {MOST_WORKERS} workers: it would"
                " take minutes"
            ]
        return in_words(
            find_crossovers(config, lambda varied: self.predictions(varied, names)[0].backend)
        )


def advise(config: Config, simulate: Simulate, console: Console) -> None:
    """Prints the advice. Raises UserError for a config that no run can have."""
    _check_known(config)
    if config.stratified and config.workers > MOST_STRATIFIED:
        raise ConfigError(
            "workers",
            config.workers,
            f"with split=stratified advise=true goes up to {MOST_STRATIFIED}: their turns are many",
        )
    began = time.perf_counter()
    ratings = load_ratings(config.data, config.data_seed, config.split.test_file)
    data_s = time.perf_counter() - began
    constants = calibrate(config.trainer, tell=lambda text: console.print(text, soft_wrap=True))
    around = Surroundings(
        cores=simulate.cores,
        bandwidth=None if simulate.bandwidth is None else simulate.bandwidth * 1e9,
        straggler=simulate.straggler,
        data_s=data_s,
    )
    advisor = Advisor(ratings=ratings, constants=constants, around=around)
    asked = advisor.predictions(config)
    everywhere = {config.workers: asked} | advisor.with_other_workers(config)
    table = make_table(everywhere, f"predicted wall, s: {where(simulate, constants)}")
    console.print(table, width=width_of(table, console), crop=False)
    for line in advice(config, asked, everywhere):
        console.print(line, soft_wrap=True)
    if simulate.crossovers:
        _print_crossovers(advisor, config, console)
    for line in sources(config, simulate, constants):
        console.print(line, style="dim", soft_wrap=True)


def _print_crossovers(advisor: Advisor, config: Config, console: Console) -> None:
    for names, title in (
        (BACKENDS, "the fastest"),
        (THE_QUESTION, f"the faster of {' and '.join(THE_QUESTION)}"),
    ):
        console.print(f"\n{title} with workers={config.workers}, all else as asked")
        for line in advisor.crossovers(config, names):
            console.print(f"  {line}", soft_wrap=True)


def _check_known(config: Config) -> None:
    """Raises ConfigError for a backend or a trainer that the cost model does not know."""
    trainers = {options.name: None for options in TRAINERS.values()}
    for group, name, known in (
        ("backend", config.backend.name, BACKENDS),
        ("trainer", config.trainer.name, tuple(trainers)),
    ):
        if name not in known:
            reason = f"advise=true knows the costs of {', '.join(known)} only (ddp/advice/)"
            raise ConfigError(group, name, reason)


def backends(config: Config) -> list[Backend]:
    """One backend of each kind: the config's own, and the others as conf/ has them.

    If the config's own polls, the others that can poll do so at the same interval.
    """
    own = config.backend
    found: list[Backend] = []
    for name in BACKENDS:
        backend: Backend = own if name == own.name else default_option("backend", name)
        if isinstance(backend, PollingBackend) and isinstance(own, PollingBackend):
            backend = replace(backend, poll_interval_s=own.poll_interval_s)
        found.append(backend)
    return found


def other_workers(config: Config, cores: int) -> list[int]:
    """Numbers of workers to compare with: powers of two and `cores`, without the config's own.

    The largest is `cores` or, if that is larger, the config's own.
    """
    most = max(config.workers, cores)
    powers = [1 << n for n in range(most.bit_length()) if 1 << n <= most]
    return [workers for workers in sorted({*powers, cores, most}) if workers != config.workers]


def with_workers(config: Config, workers: int) -> Config:
    """The same job with another number of workers."""
    return replace(config, workers=workers, min_workers=min(config.min_workers, workers))
