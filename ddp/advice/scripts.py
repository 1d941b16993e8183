"""The scripts of a run: the steps of its workers and its aggregator, in order.

Constants that only the scripts use:

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
from dataclasses import dataclass, replace

from ddp.advice.constants import Constants
from ddp.advice.cost_model import Costs
from ddp.advice.kinds import AVERAGE, EXCHANGE, RECORD, START, WAIT
from ddp.advice.simulation import Delay, Gate, Script, Wait, Work
from ddp.advice.sweep_costs import SweepCosts
from ddp.config.schema import Config

ROUNDS = 4  # to simulate; each further round takes the mean seconds of the later half of these
EPOCHS = 2  # to simulate of a round with owners of rows; each stands for local_epochs / EPOCHS
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


def epochs_of(config: Config) -> int:
    """The simulated epochs of a round: 1 unless workers wait for each other within a round."""
    many = config.stratified and config.workers**2 * EPOCHS * ROUNDS > MOST_TURNS
    if many or not config.has_owners:
        return 1
    return min(config.local_epochs, EPOCHS)


class Scripts:
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
        self.shared = Gate()  # how often a worker has shared the outcome of a phase
        self.random = random.Random(self.config.seed)
        self.poll_s = getattr(self.config.backend, "poll_interval_s", None) or 0.0
        method = getattr(self.config.backend, "chosen_start_method", None)
        self.spawns, self.forks = method == "spawn", method == "forkserver"
        self.epochs = epochs_of(self.config)
        self.turns = self.epochs * self.workers  # of a worker in a round (split=stratified)

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
            if self.config.has_owners:
                yield Wait(self.averaged, round_index, AVERAGE)
            yield costs.publish(worker)
            self.published.add_one()
            if not self.config.has_owners:
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
                        turn = costs.turn(worker, group, self.config.local_epochs)
                        yield self._uneven(turn, worker, self.turns)
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
        if isinstance(costs, SweepCosts):
            yield from self._sweep(costs, worker, round_index)
            yield costs.evaluate(worker)
            return
        if strata is None:
            yield self._uneven(costs.train(worker), worker)
            yield costs.evaluate(worker)
            return
        first = round_index * self.turns
        for turn in range(first, first + self.turns):
            group = strata.group(worker, turn)
            yield Wait(self.groups[group], turn, WAIT)
            if turn > 0:
                yield self._times_per_epoch(costs.pass_on(group))
            work = costs.turn(worker, group, self.config.local_epochs / self.epochs)
            yield self._uneven(work, worker, self.turns)
            if turn == first + self.turns - 1:
                yield costs.evaluate(worker)
            yield self._times_per_epoch(costs.pass_on(group))
            self.groups[group].raise_to(turn + 1)

    def _sweep(
        self, costs: SweepCosts, worker: int, round_index: int
    ) -> Iterator[Work | Delay | Wait]:
        """The epochs of a round, in step with all other workers."""
        phases = costs.phases(worker) * self.epochs
        for done, (work, share, take) in enumerate(phases, round_index * len(phases)):
            yield self._uneven(self._times_per_epoch(work), worker, len(phases))
            yield self._times_per_epoch(share)
            self.shared.add_one()
            yield Wait(self.shared, (done + 1) * self.workers, WAIT)
            yield self._times_per_epoch(take)

    def _times_per_epoch(self, work: Work) -> Work:
        """The work, once for each epoch that the simulated epoch stands for."""
        return replace(work, seconds=work.seconds * self.config.local_epochs / self.epochs)

    def _uneven(self, work: Work, worker: int, parts: int = 1) -> Work:
        """The work, slower or faster by chance, and slower for the straggler, which is worker 0.

        It is one of so many parts of the work of a round.
        """
        deviation = self.exchanges.jitter * parts**0.5
        chance = self.random.lognormvariate(-(deviation**2) / 2, deviation)  # 1 on average
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
