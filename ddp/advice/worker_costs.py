"""The cost of each step of a worker, alone on a core.

The names in the formulas are constants (ddp/advice/constants.py); dim is the model's dimension.

| step | seconds |
|---|---|
| `hand_over` | `float_s` x 3 x ratings |
| `train` | batches x (`batch_s` + `parameter_s` x parameters) + messages x `message_s` |
|         | + ratings x epochs x (`rating_s` + `element_s` x dim) |
|         | + `spilled_element_s` x (ratings x dim - SPILLING) of each large batch |
| `turn` | as `train`, with the ratings and parameters of a block, and a share of `epoch_s` |
| `evaluate` | `evaluation_s` + ratings x (`evaluated_rating_s` + `evaluated_element_s` x dim) |
| `publish`, `receive` | `vector_s` + `float_s` x floats |
| `pass_on` | `float_s` x floats of the rows |
"""

from math import ceil, log

from ddp.advice.constants import FLOAT_BYTES, SPILLING, Constants, Exchange, spilled_bytes
from ddp.advice.kinds import COMPUTE, EVALUATE, EXCHANGE, START
from ddp.advice.simulation import Work
from ddp.advice.sizes import Sizes
from ddp.config.schema import Config
from ddp.config.trainer import AutogradTrainer
from ddp.trainers.epochs_per_call import TOGETHER_S

NATURE_STEP = 1.04  # see `_rounded_share`


class WorkerCosts:
    """The steps of the workers of one configuration, as `Work` for the simulation.

    `copies_count`: copies of states count as traffic through RAM, with the bytes that they really
    move. Set it only for a bandwidth that the user gives: the measured one is in the estimated
    bytes of batches (`spilled_bytes`).
    """

    def __init__(
        self, config: Config, sizes: Sizes, constants: Constants, *, copies_count: bool = False
    ) -> None:
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
        # The aggregate of an ensemble has so many times as many factors as a worker.
        self.widening = config.workers if self.in_ensemble else 1
        shares_memory = self.backend in ("thread", "shm")
        self.passes_rows = self.stratified and self.backend == "process" and config.workers > 1
        self.in_one_loop = self.stratified and shares_memory and config.trainer.compiled

    @property
    def exchange(self) -> Exchange:
        """The constants of the backend."""
        found: Exchange = getattr(self.exchanges, self.backend)
        return found

    def hand_over(self, worker: int) -> Work:
        """Sending a worker its ratings, three numbers each; free within one process."""
        sizes = self.sizes
        num_ratings = sizes.train[worker] + sizes.valid[worker] + sizes.test[worker]
        floats = 3 * num_ratings if self.backend in ("process", "shm") else 0
        return Work(seconds=floats * self.exchange.float_s, kind=START, divided=False)

    def train(self, worker: int) -> Work:
        """Training for the local epochs of a round (any split but stratified)."""
        return self._training_work(
            self.sizes.train[worker],
            self.num_floats,
            self.config.local_epochs,
            self._report_s(worker),
        )

    def _report_s(self, worker: int) -> float:
        """Seconds of the messages about the epochs of a round."""
        return self._num_messages(worker) * self.exchange.message_s

    def _num_messages(self, worker: int) -> int:
        """The messages about the epochs of a round.

        Short compiled epochs share a message, because one call does several of them
        (`EpochsPerCall`).
        """
        epochs, in_turns = self.config.local_epochs, self.stratified and not self.in_one_loop
        if in_turns or not self.config.trainer.compiled:
            return epochs
        epoch_s = self.sizes.train[worker] * self._rating_s + self.exchange.epoch_s
        return max(1, min(epochs, ceil(epochs * epoch_s / TOGETHER_S)))

    @property
    def _rating_s(self) -> float:
        """Seconds of training on one of many ratings."""
        return self.training.rating_s + self.training.element_s * self.config.model.dim

    def turn(self, worker: int, group: int, epochs: float) -> Work:
        """Training `epochs` times on the ratings of a worker in one group (split=stratified)."""
        sizes, exchange = self.sizes, self.exchange
        num_floats = (sizes.users[worker] + sizes.items[group]) * self.width
        if self.in_one_loop:
            around_s = exchange.epoch_s / len(sizes.items)
        elif self.passes_rows or self.backend == "serial":
            around_s = exchange.epoch_s / 2  # measured with two turns per epoch
        else:
            around_s = exchange.message_s
        return self._training_work(
            sizes.blocks[worker][group], num_floats, epochs, epochs * around_s
        )

    def _training_work(
        self, num_ratings: int, num_floats: int, epochs: float, around_s: float
    ) -> Work:
        """Training on `num_ratings` for `epochs` epochs, with `num_floats` learned parameters.

        `around_s`: seconds of the other work in these epochs. In a turn of the fused trainer that
        is all work except that per rating.
        """
        costs, trainer = self.training, self.config.trainer
        batches, batch_s = epochs, 0.0 if self.stratified else costs.batch_s
        if isinstance(trainer, AutogradTrainer):
            batches, batch_s = epochs * ceil(num_ratings / trainer.batch_size), costs.batch_s
        python_s = batches * batch_s + around_s
        # A compiled call returns to Python every 10 ms, which does not count.
        held_s = costs.gil_share * python_s
        seconds = (
            python_s
            + batches * costs.parameter_s * num_floats
            + epochs * num_ratings * self._rating_s
        )
        large = self._large_batches(num_ratings)
        seconds += epochs * sum(floats - SPILLING for floats in large) * costs.spilled_element_s
        num_bytes = epochs * sum(map(spilled_bytes, large))
        if not self.in_threads:
            return Work(seconds=seconds, kind=COMPUTE, num_bytes=num_bytes)
        # Rounding gives most turns the same nature, so the simulation makes one crowd of them.
        if self.stratified:
            batches, held_s = (_rounded_share(part, seconds) for part in (batches, held_s))
        return Work(
            seconds=seconds,
            kind=COMPUTE,
            batches=batches,
            held_s=min(held_s, seconds),
            num_bytes=num_bytes,
        )

    def _large_batches(self, num_ratings: int) -> list[int]:
        """Ratings x dimensions of each large batch of an epoch."""
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
        """All evaluations of a worker's round.

        After each epoch it evaluates on the part that `select_on` names, and after the last one it
        evaluates the best state on the validation and test parts.
        """
        valid, test = self.sizes.valid[worker], self.sizes.test[worker]
        seconds = self._evaluation_s(valid) + self._evaluation_s(test)
        if not self.stratified:
            selects = {"valid": valid, "test": test}.get(self.config.select_on)
            epochs = self.config.local_epochs if selects is not None else 1
            # as if each epoch were the best so far, whose state is copied
            seconds += epochs * self.num_floats * self.exchanges.thread.float_s
            if selects is not None:
                # a compiled call evaluates without the fixed cost
                in_a_loop = self.config.trainer.compiled
                seconds += epochs * (
                    self._evaluation_s(selects) - self.training.evaluation_s * in_a_loop
                )
        return Work(seconds=seconds, kind=EVALUATE)

    def _evaluation_s(self, num_ratings: int, widening: int = 1) -> float:
        """Seconds of one evaluation. `widening`: the model has so many times the dimensions."""
        costs = self.training
        per_rating = (
            costs.evaluated_rating_s + costs.evaluated_element_s * self.config.model.dim * widening
        )
        return costs.evaluation_s + num_ratings * per_rating

    def publish(self, worker: int) -> Work:
        """Publishing a worker's update and trainer state."""
        return self._copy(self._update_floats(worker) + self._state_floats(worker))

    def receive(self) -> Work:
        """Receiving the aggregate; free in an ensemble, whose workers do not read it."""
        return (
            self._copy(self.num_floats)
            if not self.in_ensemble
            else Work(seconds=0.0, kind=EXCHANGE)
        )

    def pass_on(self, group: int) -> Work:
        """Sending the rows of a group of items, or receiving them.

        It is free where workers share memory: they pass on only a number.
        """
        num_floats = self.sizes.items[group] * self.width if self.passes_rows else 0
        return Work(
            seconds=num_floats * self.exchange.float_s,
            kind=EXCHANGE,
            num_bytes=self.copied_bytes * num_floats,
        )

    def _copy(self, num_floats: float) -> Work:
        """Publishing or receiving a vector of so many floats."""
        costs = self.exchange
        num_bytes = self.copied_bytes * num_floats
        return Work(
            seconds=costs.vector_s + num_floats * costs.float_s, kind=EXCHANGE, num_bytes=num_bytes
        )

    def _update_floats(self, worker: int) -> int:
        """Floats of a worker's update."""
        if not self.stratified:
            return self.num_floats
        return (self.sizes.users[worker] + max(self.sizes.items)) * self.width

    def _state_floats(self, worker: int) -> float:
        """Floats of trainer state that a worker publishes, on average per round."""
        share = 1.0 if self.config.on_failure == "restart" else self._checkpoints_per_round()
        return share * self._trainer_state_floats(worker)

    def _trainer_state_floats(self, worker: int) -> int:
        """Floats of a worker's trainer state: the moments of Adam.

        In an ensemble they include the parameters of the worker.
        """
        sizes, own = [self.num_floats], self.num_floats if self.in_ensemble else 0
        if self.stratified:
            blocks = zip(self.sizes.blocks[worker], self.sizes.items, strict=True)
            sizes = [
                (self.sizes.users[worker] + items) * self.width
                for ratings, items in blocks
                if ratings
            ]
        return own + self.config.trainer.state_length(sizes)

    def _checkpoints_per_round(self) -> float:
        """Checkpoints per round, on average."""
        every = self.config.checkpoint_every
        return 1.0 / every if every else 0.0


def _rounded_share(part: float, whole: float) -> float:
    """The amount `part`, rounded to a share of `whole` that is a power of NATURE_STEP."""
    return whole * NATURE_STEP ** round(log(part / whole, NATURE_STEP)) if part > 0 else 0.0
