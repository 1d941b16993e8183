"""What each step of a run costs on a core of its own: a config, sizes of shards and measured
constants in, seconds out.
"""

from math import ceil, log

from ddp.advice.constants import SPILLING, Constants, Exchange, spilled_bytes
from ddp.advice.simulation import Work
from ddp.advice.sizes import Sizes
from ddp.config.options import AutogradTrainer
from ddp.config.schema import Config
from ddp.trainers.epochs_per_call import TOGETHER_S

START, COMPUTE, EVALUATE, EXCHANGE = "start-up", "compute", "evaluate", "exchange"
WAIT, AVERAGE, RECORD = "wait for others", "aggregator", "record, save"
FLOAT_BYTES = 4
NATURES = 1.04  # how much one nature of training differs from the next


class Costs:
    """The steps of one configuration, as `Work` that a simulated worker or aggregator does."""

    def __init__(
        self, config: Config, sizes: Sizes, constants: Constants, *, copies_count: bool = False
    ) -> None:
        """`copies_count`: whether copies of states go through memory that all share, too:
        `num_bytes` of them is then what they move. (What batches move is a nominal figure, and
        so is the bandwidth that was measured with them.)
        """
        self.config = config
        self.copied_bytes = 2 * FLOAT_BYTES if copies_count else 0  # a float is read and written
        self.sizes = sizes
        self.training = constants.training
        self.exchanges = constants.exchanges
        self.backend = config.backend.name
        self.in_threads = self.backend == "thread"
        self.stratified = config.stratified
        self.width = config.model.dim + config.model.biases  # floats of a user or an item
        self.num_floats = (sizes.num_users + sizes.num_items) * self.width + 1
        self.in_ensemble = config.in_ensemble
        self.times_as_wide = config.workers if self.in_ensemble else 1  # the aggregate is
        shares_memory = self.backend in ("thread", "shm")
        self.passes_rows = self.stratified and self.backend == "process" and config.workers > 1
        self.in_one_loop = self.stratified and shares_memory and config.trainer.compiled

    @property
    def exchange(self) -> Exchange:
        """Of the backend."""
        found: Exchange = getattr(self.exchanges, self.backend)
        return found

    # --- a worker's steps ---

    def hand_over(self, worker: int) -> Work:
        """A worker's ratings, to its process: three numbers each."""
        sizes = self.sizes
        num_ratings = sizes.train[worker] + sizes.valid[worker] + sizes.test[worker]
        floats = 3 * num_ratings if self.backend in ("process", "shm") else 0
        return Work(seconds=floats * self.exchange.float_s, kind=START, divided=False)

    def train(self, worker: int) -> Work:
        """The local epochs of a round, of a worker that has the whole model."""
        return self._trained(
            self.sizes.train[worker],
            self.num_floats,
            self.config.local_epochs,
            self._told_s(worker),
        )

    def _told_s(self, worker: int) -> float:
        """To tell of the epochs of a round."""
        return self._messages(worker) * self.exchange.message_s

    def _messages(self, worker: int) -> int:
        """That tell of them: of short compiled ones together (`EpochsPerCall`)."""
        epochs, in_turns = self.config.local_epochs, self.stratified and not self.in_one_loop
        if in_turns or not self.config.trainer.compiled:
            return epochs
        epoch_s = self.sizes.train[worker] * self._rating_s + self.exchange.epoch_s
        return max(1, min(epochs, ceil(epochs * epoch_s / TOGETHER_S)))

    @property
    def _rating_s(self) -> float:
        """To train on one, in a batch or an epoch of many."""
        return self.training.rating_s + self.training.element_s * self.config.model.dim

    def turn(self, worker: int, group: int, epochs: float) -> Work:
        """A worker's ratings in a group of items, so many times (split=stratified)."""
        sizes, exchange = self.sizes, self.exchange
        num_floats = (sizes.users[worker] + sizes.items[group]) * self.width
        if self.in_one_loop:
            around_s = exchange.epoch_s / len(sizes.items)
        elif self.passes_rows or self.backend == "serial":
            around_s = exchange.epoch_s / 2  # which was measured with two turns in an epoch
        else:
            around_s = exchange.message_s
        return self._trained(sizes.blocks[worker][group], num_floats, epochs, epochs * around_s)

    def _trained(self, num_ratings: int, num_floats: int, epochs: float, around_s: float) -> Work:
        """`around_s`: what else is to be done for so many epochs; of the fused trainer's turns that
        is all but the ratings.
        """
        costs, trainer = self.training, self.config.trainer
        steps, batch_s = epochs, 0.0 if self.stratified else costs.batch_s
        if isinstance(trainer, AutogradTrainer):
            steps, batch_s = epochs * ceil(num_ratings / trainer.batch_size), costs.batch_s
        python_s = steps * batch_s + around_s
        # compiled epochs need no GIL, and a word 10 ms later
        held_s = 0.0 if trainer.compiled else python_s
        seconds = (
            python_s
            + steps * costs.parameter_s * num_floats
            + epochs * num_ratings * self._rating_s
        )
        batches = self._large_batches(num_ratings)
        seconds += epochs * sum(floats - SPILLING for floats in batches) * costs.spilled_element_s
        num_bytes = epochs * sum(map(spilled_bytes, batches))
        if not self.in_threads:
            return Work(seconds=seconds, kind=COMPUTE, num_bytes=num_bytes)
        # to 2 %: then most turns are of the same nature, and simulated together
        if self.stratified:
            steps, held_s = (_like_others(part, seconds) for part in (steps, held_s))
        return Work(
            seconds=seconds,
            kind=COMPUTE,
            steps=steps,
            held_s=min(held_s, seconds),
            num_bytes=num_bytes,
        )

    def _large_batches(self, num_ratings: int) -> list[int]:
        """Ratings x dimensions of those of an epoch's batches that have more than SPILLING."""
        trainer, dim = self.config.trainer, self.config.model.dim
        if not isinstance(trainer, AutogradTrainer):
            return []
        full, rest = divmod(num_ratings, trainer.batch_size)
        return [
            floats
            for floats in (*[trainer.batch_size * dim] * full, rest * dim)
            if floats > SPILLING
        ]

    def evaluate(self, worker: int) -> Work:
        """All evaluations of a worker's round: after each epoch on the part that it selects on,
        then of the best state.
        """
        valid, test = self.sizes.valid[worker], self.sizes.test[worker]
        seconds = self._evaluation_s(valid) + self._evaluation_s(test)
        if not self.stratified:
            selects = {"valid": valid, "test": test}.get(self.config.select_on)
            epochs = self.config.local_epochs if selects is not None else 1
            # the best state is kept
            seconds += epochs * self.num_floats * self.exchanges.thread.float_s
            if selects is not None:
                # there only ratings cost anything
                in_a_loop = self.config.trainer.compiled
                seconds += epochs * (
                    self._evaluation_s(selects) - self.training.evaluation_s * in_a_loop
                )
        return Work(seconds=seconds, kind=EVALUATE)

    def _evaluation_s(self, num_ratings: int, times_as_wide: int = 1) -> float:
        costs = self.training
        per_rating = (
            costs.evaluated_rating_s
            + costs.evaluated_element_s * self.config.model.dim * times_as_wide
        )
        return costs.evaluation_s + num_ratings * per_rating

    def publish(self, worker: int) -> Work:
        """A worker's update, and its trainer state with it."""
        return self._copied(self._update_floats(worker) + self._state_floats(worker))

    def receive(self) -> Work:
        """The aggregate, by a worker; in an ensemble nobody needs it."""
        return (
            self._copied(self.num_floats)
            if not self.in_ensemble
            else Work(seconds=0.0, kind=EXCHANGE)
        )

    def pass_on(self, group: int) -> Work:
        """The floats of a group's items, from a worker to the next: one half of it. Who shares
        memory passes a number only.
        """
        num_floats = self.sizes.items[group] * self.width if self.passes_rows else 0
        return Work(
            seconds=num_floats * self.exchange.float_s,
            kind=EXCHANGE,
            num_bytes=self.copied_bytes * num_floats,
        )

    def _copied(self, num_floats: float) -> Work:
        costs = self.exchange
        num_bytes = self.copied_bytes * num_floats
        return Work(
            seconds=costs.vector_s + num_floats * costs.float_s, kind=EXCHANGE, num_bytes=num_bytes
        )

    def _update_floats(self, worker: int) -> int:
        if not self.stratified:
            return self.num_floats
        return (self.sizes.users[worker] + max(self.sizes.items)) * self.width

    def _state_floats(self, worker: int) -> float:
        """Floats of trainer state that a worker sends with its updates, on average per round."""
        share = 1.0 if self.config.on_failure == "restart" else self._checkpoints()
        return share * self._trainer_state_floats(worker)

    def _trainer_state_floats(self, worker: int) -> int:
        """The moments of Adam; in an ensemble also the worker's own state."""
        sizes, own = [self.num_floats], self.num_floats if self.in_ensemble else 0
        if self.stratified:
            blocks = zip(self.sizes.blocks[worker], self.sizes.items, strict=True)
            sizes = [
                (self.sizes.users[worker] + items) * self.width
                for ratings, items in blocks
                if ratings
            ]
        return own + self.config.trainer.state_length(sizes)

    def _checkpoints(self) -> float:
        """In a round."""
        every = self.config.checkpoint_every
        return 1.0 / every if every else 0.0

    # --- the aggregator's steps ---

    def average(self) -> Work:
        """From the last worker's update to the aggregate."""
        updates = [self._update_floats(worker) for worker in range(self.config.workers)]
        seconds = self.exchanges.average_float_s * sum(updates)
        if self.backend == "process":
            seconds += sum(self.publish(worker).seconds for worker in range(self.config.workers))
        return Work(seconds=seconds, kind=AVERAGE, num_bytes=self.copied_bytes // 2 * sum(updates))

    def hear(self) -> Work:
        """What all workers say in a round: of each epoch, of rows that they have handed on, and in
        the end.
        """
        turns = len(self.sizes.items) if self.stratified and self.backend == "process" else 0
        messages = sum(
            self._messages(worker) + self.config.local_epochs * turns + 1
            for worker in range(self.config.workers)
        )
        return Work(seconds=messages * self.exchanges.heard_s, kind=AVERAGE)

    def broadcast(self) -> Work:
        """The aggregate to the workers."""
        costs = self.exchange
        seconds = costs.message_s * self.config.workers
        seconds += (
            self._copied(self.num_floats).seconds
            if self.backend == "process" and self.config.reads_aggregate
            else 0.0
        )
        return Work(seconds=seconds, kind=AVERAGE)

    def judge(self) -> Work:
        """The aggregate's errors."""
        parts = (self.sizes.whole_valid, self.sizes.whole_test)
        return Work(
            seconds=sum(self._evaluation_s(part, self.times_as_wide) for part in parts), kind=RECORD
        )

    def record_s(self) -> float:
        """Trackers and checkpoint, mostly waiting for the disk."""
        costs = self.exchanges
        remembered = sum(
            self._trainer_state_floats(worker) for worker in range(self.config.workers)
        )
        floats = self.num_floats * self.times_as_wide + remembered
        return costs.log_s + self._checkpoints() * (
            costs.checkpoint_s + costs.checkpoint_float_s * floats
        )

    def save_s(self) -> float:
        """The model, after the last round."""
        return (
            self.exchanges.save_s
            + self.exchanges.save_float_s * self.num_floats * self.times_as_wide
        )


def _like_others(part: float, whole: float) -> float:
    """Rounded to one of few shares of the whole."""
    return whole * NATURES ** round(log(part / whole, NATURES)) if part > 0 else 0.0
