"""Predicts the wall of a run: writes its workers and its aggregator as scripts, and simulates them.

The wall lasts from the dealt ratings to the saved model, in result.json
`imports + start + train + stop + save`. Ratings, metrics and the reference cost the same on every
backend, so they do not count. Constants that only the scripts use:

| constant | step of a script |
|---|---|
| `imports_s` | the aggregator imports, if it trains in its process (serial, thread) |
| `server_s` | the aggregator waits for the forkserver, which starts while it reads the ratings |
| `manager_s` | the aggregator starts the manager (process) |
| `fork_s`, `spawn_s` | a worker starts |
| `forked_s`, `spawned_s` | a worker's first round takes longer |
| `exit_s` | a spawned worker ends |
| `jitter` | the training of a round is slower or faster by chance (`_uneven`) |
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ddp.advice.constants import Constants
from ddp.advice.cost_model import Costs
from ddp.advice.kinds import AVERAGE, EXCHANGE, RECORD, START, WAIT
from ddp.advice.machine_model import Machine
from ddp.advice.simulation import Delay, Gate, Script, Wait, Work, simulate
from ddp.advice.sizes import Sizes
from ddp.config.schema import Config

ROUNDS = 4  # to simulate; each further round takes the mean seconds of the later half of these
EPOCHS = 2  # to simulate of a round with split=stratified; each stands for local_epochs / EPOCHS
MOST_TURNS = 5_000  # of all workers together; above, two rounds of one epoch are simulated


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The facts about a run that its config and the constants do not contain.

    | field | meaning |
    |---|---|
    | `cores` | of another machine; None: those of this one |
    | `bandwidth` | of RAM of another machine, bytes per second; None: that of this one |
    | `straggler` | how many times as long the slowest worker takes |
    | `data_s` | seconds of reading the ratings, while the forkserver starts |
    """

    cores: int | None = None
    bandwidth: float | None = None
    straggler: float = 1.0
    data_s: float = 0.0


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


def _epochs(config: Config) -> int:
    """The simulated epochs of a round: 1 unless workers wait for each other within a round."""
    if not config.stratified or config.workers**2 * EPOCHS * ROUNDS > MOST_TURNS:
        return 1
    return min(config.local_epochs, EPOCHS)


def _simulated(
    config: Config, sizes: Sizes, constants: Constants, around: Surroundings, rounds: int
) -> dict[str, float]:
    run = _Run(
        Costs(config, sizes, constants, copies_count=around.bandwidth is not None),
        constants,
        around,
        rounds,
    )
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


class _Run:
    """The scripts of one run, and the gates between them."""

    def __init__(
        self, costs: Costs, constants: Constants, around: Surroundings, rounds: int
    ) -> None:
        self.costs, self.config, self.sizes = costs, costs.config, costs.sizes
        self.training, self.exchanges = constants.training, constants.exchanges
        self.around = around
        self.rounds = rounds
        self.workers = self.config.workers
        self.started, self.training_now, self.published, self.averaged, self.ended = (
            Gate() for _ in range(5)
        )
        self.groups = [Gate() for _ in self.sizes.items]  # per group: its turn that may begin
        self.random = random.Random(self.config.seed)
        self.poll_s = getattr(self.config.backend, "poll_interval_s", None) or 0.0
        method = getattr(self.config.backend, "chosen_start_method", None)
        self.spawns, self.forks = method == "spawn", method == "forkserver"
        self.epochs = _epochs(self.config)

    # --- scripts ---

    def worker(self, worker: int) -> Script:
        """The steps of a worker that runs beside the others."""
        costs, training = self.costs, self.training
        yield Wait(self.started, 1, START)
        yield Work(
            seconds=training.spawn_s * self.spawns + training.fork_s * self.forks,
            kind=START,
            divided=False,
        )
        yield costs.hand_over(worker)
        yield Work(
            seconds=training.spawned_s * self.spawns + training.forked_s * self.forks,
            kind=START,
            divided=False,
        )
        for round_index in range(self.rounds):
            self.training_now.raise_to(round_index + 1)
            yield from self._train(worker, round_index)
            if costs.stratified:
                yield Wait(self.averaged, round_index, AVERAGE)
            yield costs.publish(worker)
            self.published.add_one()
            if not costs.stratified:
                yield Wait(self.published, (round_index + 1) * self.workers, WAIT)
                yield Wait(self.averaged, round_index + 1, AVERAGE)
                yield from self._polled()
                yield costs.receive()
        yield Work(seconds=training.exit_s * self.spawns, kind=START, divided=False)
        self.ended.add_one()

    def aggregator(self) -> Script:
        """The steps of the aggregator."""
        costs = self.costs
        if self.costs.in_threads:
            yield Work(seconds=self.training.imports_s, kind=START, divided=False)
        if self.forks:
            yield Delay(max(self.training.server_s - self.around.data_s, 0.0), START)
        if self.costs.backend == "process":
            yield Work(seconds=self.training.manager_s, kind=START, divided=False)
        self.started.add_one()
        for round_index in range(self.rounds):
            yield Wait(self.published, (round_index + 1) * self.workers, WAIT)
            yield from self._polled()
            yield costs.average()
            yield costs.broadcast()
            self.averaged.add_one()
            yield costs.evaluate_aggregate()
            yield Delay(costs.record_s(), RECORD)
        yield Wait(self.ended, self.workers, WAIT)
        yield Delay(costs.save_s(), RECORD)

    def listener(self) -> Script:
        """The main process reads messages while workers train, on a core that they may need."""
        for round_index in range(self.rounds):
            yield Wait(self.training_now, round_index + 1, WAIT)
            yield self.costs.read_messages()

    def alone(self) -> Script:
        """The work of all workers and the aggregator, one after another (backend=serial)."""
        costs = self.costs
        yield Work(seconds=self.training.imports_s, kind=START, divided=False)
        for _ in range(self.rounds):
            for worker in range(self.workers):
                if costs.stratified:
                    for group in range(self.workers):
                        yield self._uneven(
                            costs.turn(worker, group, self.config.local_epochs), worker
                        )
                else:
                    yield self._uneven(costs.train(worker), worker)
                yield costs.evaluate(worker)
                yield costs.publish(worker)
                if not costs.stratified:
                    yield costs.receive()
            yield costs.average()
            yield costs.evaluate_aggregate()
            yield Delay(costs.record_s(), RECORD)
        yield Delay(costs.save_s(), RECORD)

    # --- parts of scripts ---

    def _train(self, worker: int, round_index: int) -> Iterator[Work | Delay | Wait]:
        costs, strata = self.costs, self.sizes.strata
        if strata is None:
            yield self._uneven(costs.train(worker), worker)
            yield costs.evaluate(worker)
            return
        first = round_index * self.epochs * self.workers
        for turn in range(first, first + self.epochs * self.workers):
            group = strata.group(worker, turn)
            yield Wait(self.groups[group], turn, WAIT)
            if turn > 0:
                yield self._times_per_epoch(costs.pass_on(group))
            yield self._uneven(
                costs.turn(worker, group, self.config.local_epochs / self.epochs), worker
            )
            if turn == first + self.epochs * self.workers - 1:
                yield costs.evaluate(worker)
            yield self._times_per_epoch(costs.pass_on(group))
            self.groups[group].raise_to(turn + 1)

    def _times_per_epoch(self, passed: Work) -> Work:
        """The pass of rows, once for each epoch that the simulated epoch stands for."""
        return replace(passed, seconds=passed.seconds * self.config.local_epochs / self.epochs)

    def _uneven(self, work: Work, worker: int) -> Work:
        """The work, slower or faster by chance, and slower for the straggler, which is worker 0."""
        turns = self.epochs * self.workers if self.costs.stratified else 1
        chance = self.random.lognormvariate(0.0, self.exchanges.jitter * turns**0.5)
        factor = chance * (self.around.straggler if worker == 0 else 1.0)
        return replace(
            work,
            seconds=work.seconds * factor,
            held_s=work.held_s * factor,
            batches=work.batches * chance,
        )

    def _polled(self) -> Iterator[Delay]:
        """The delay until the next look into the shared dict, if the backend polls."""
        if self.poll_s:
            yield Delay(self.random.uniform(0.0, self.poll_s), EXCHANGE)
