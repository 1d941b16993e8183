"""Predicts the wall of a run: writes its workers and its aggregator as scripts, and simulates them.

The wall lasts from the dealt ratings to the saved model, in result.json
`imports + start + train + stop + save`. Ratings, metrics and the reference cost the same on every
backend, so they do not count.
"""

from dataclasses import dataclass, field

from ddp.advice.constants import Constants
from ddp.advice.cost_model import Costs
from ddp.advice.kinds import RECORD
from ddp.advice.machine_model import Machine
from ddp.advice.scripts import MOST_TURNS, ROUNDS, Scripts, Surroundings
from ddp.advice.simulation import simulate
from ddp.advice.sizes import Sizes
from ddp.advice.sweep_costs import SweepCosts
from ddp.config.schema import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The predicted wall. `seconds`: of the mean worker, by kind; they add up to `wall_s`."""

    backend: str
    workers: int
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def wall_s(self) -> float:
        return sum(self.seconds.values())


def predict(
    config: Config, sizes: Sizes, constants: Constants, around: Surroundings | None = None
) -> Prediction:
    """Predicts the wall of a run with this config."""
    around = around or Surroundings()
    few = config.stratified and config.workers**2 * ROUNDS > MOST_TURNS
    most = 2 if few else ROUNDS
    seconds = _simulated(config, sizes, constants, around, min(config.rounds, most))
    if config.rounds > most:
        half = _simulated(config, sizes, constants, around, most // 2)
        more = (config.rounds - most) / (most - most // 2)
        seconds = {
            kind: s + more * max(s - half.get(kind, 0.0), 0.0) for kind, s in seconds.items()
        }
    return Prediction(backend=config.backend.name, workers=config.workers, seconds=seconds)


def _simulated(
    config: Config, sizes: Sizes, constants: Constants, around: Surroundings, rounds: int
) -> dict[str, float]:
    costs_of = SweepCosts if config.trainer.sweeps else Costs
    costs = costs_of(config, sizes, constants, copies_count=around.bandwidth is not None)
    run = Scripts(costs, constants, around, rounds)
    machine = Machine(
        cores=around.cores or constants.cores,
        bandwidth=around.bandwidth or constants.training.bandwidth or float("inf"),
        handoff_s=constants.training.handoff_s,
        handoff_growth=constants.training.handoff_growth,
    )
    if config.backend.name == "serial":
        return dict(simulate(machine, [run.alone()])[0].seconds)
    scripts = [run.worker(worker) for worker in range(config.workers)]
    main, _, *workers = simulate(machine, [run.aggregator(), run.listener(), *scripts])
    seconds = {kind: 0.0 for worker in workers for kind in worker.seconds}
    for worker in workers:
        for kind, s in worker.seconds.items():
            seconds[kind] += s / len(workers)
        seconds[RECORD] = seconds.get(RECORD, 0.0) + (main.end - worker.end) / len(workers)
    return seconds
