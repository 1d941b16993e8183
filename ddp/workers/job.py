"""A worker's job: the facts that all workers share, and its own ratings and optimizer state."""

import math
from dataclasses import dataclass, field

import numpy as np

from ddp.config.aggregation import Averaging
from ddp.config.schema import Config
from ddp.errors import Diverged
from ddp.model.parameters import EMPTY_VECTOR, Parameters, Rows, Vector
from ddp.model.rows import learned, made_rows, update_length
from ddp.model.sweeping import Sweeping
from ddp.ratings.arrays import Block, Part
from ddp.ratings.strata import Strata
from ddp.timing.meter import Meter
from ddp.timing.metered_spans import MeteredSpans
from ddp.timing.spans import Spans
from ddp.tracking.messages import WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.trainers.trainer import Scale, trainer_for
from ddp.workers.exchange import Update

NOTHING = Part(
    users=np.empty(0, np.int32), items=np.empty(0, np.int32), ratings=np.empty(0, np.float32)
)


@dataclass(slots=True, kw_only=True)
class Shard:
    """A worker's own ratings.

    With split=stratified they lie block by block, and `blocks` has one for each group of items.
    With split=both the users and the items of `by_item` are those of the model's rows that the
    worker makes: `train` has the ratings of its users, and `by_item` those of its items.
    """

    train: Part
    valid: Part
    test: Part
    blocks: tuple[Block, ...] = ()
    by_item: Part = field(default_factory=lambda: NOTHING)


@dataclass(slots=True, kw_only=True)
class Task:
    """The facts that all workers of a run and its aggregator share.

    | field                      | meaning                                                        |
    |----------------------------|----------------------------------------------------------------|
    | `num_users`, `num_items`   | rows of the model                                              |
    | `rating_min`, `rating_max` | the scale that predictions are clipped to                      |
    | `vector`                   | the state that training starts from; nobody may change it      |
    | `strata`                   | the groups and the schedule of split=stratified, else None     |
    | `sweeping`                 | the blocks of split=both, else None                            |
    | `first_round`              | the first round; above 0 if the run continues from a state     |
    """

    config: Config
    num_users: int
    num_items: int
    rating_min: float
    rating_max: float
    vector: Vector
    strata: Strata | None = None
    sweeping: Sweeping | None = None
    first_round: int = 0

    @property
    def scale(self) -> Scale:
        """The least and the greatest rating."""
        return self.rating_min, self.rating_max

    @property
    def aggregate_dim(self) -> int:
        """Embedding size of the aggregate."""
        return self.config.model.dim * (self.config.workers if self.config.in_ensemble else 1)

    @property
    def has_trainer_state(self) -> bool:
        """True if a worker has a state besides the aggregate: an optimizer's, or its own model."""
        return self.config.in_ensemble or self.config.trainer.state_length([1]) > 0

    def make_aggregate(self, vector: Vector | None = None) -> Parameters:
        """`vector` read as an aggregate; None: an aggregate of zeros."""
        return Parameters(
            self.num_users,
            self.num_items,
            self.aggregate_dim,
            biases=self.config.model.biases,
            vector=vector,
        )

    def sends_state(self, round_index: int) -> bool:
        """True if workers send their trainer states with their updates of this round.

        The run may then go back to the end of the round.
        """
        every = self.config.checkpoint_every
        goes_back = self.config.on_failure == "restart"
        saves = every > 0 and (round_index + 1) % every == 0
        return self.has_trainer_state and (goes_back or saves)

    def parameters(self, vector: Vector) -> Parameters:
        """`vector` read as a state of this run's model."""
        options = self.config.model
        return Parameters(
            self.num_users, self.num_items, options.dim, biases=options.biases, vector=vector
        )

    def make_parameters(self) -> Parameters:
        """A copy of the state to start from."""
        return self.parameters(self.vector.copy())

    def evaluate(self, parameters: Rows, part: Part) -> SquaredError:
        """The squared error on a part, predictions clipped to the scale."""
        return trainer_for(self.config.trainer).evaluate(parameters, part, self.scale)


@dataclass(slots=True, kw_only=True)
class Job(Task):
    """All that one worker needs: the facts that it shares with the others, and its own ratings.

    With aggregation=ensemble `vector` is the worker's own state. `trainer_state` is the state from
    which its trainer continues; it is empty for a new worker.
    """

    worker: int
    shard: Shard
    trainer_state: Vector = field(default_factory=lambda: EMPTY_VECTOR)

    @property
    def selects_on(self) -> Part:
        """The ratings by which the states of a round are compared; none for `select_on: last`."""
        return {"valid": self.shard.valid, "test": self.shard.test}.get(
            self.config.select_on, NOTHING
        )

    @property
    def update_length(self) -> int:
        """Floats that the worker publishes in a round."""
        parameters = self.parameters(self.vector)
        if self.sweeping is not None:
            own = learned(made_rows(self.sweeping.blocks, parameters, self.worker))
            # the precision of the noise in each epoch, and the sums of predictions
            rest = self.config.local_epochs + len(self.shard.valid) + len(self.shard.test)
            rest += self.sweeping.num_told(self.worker, parameters.dim)
            return sum(array.size for array in own) + rest
        if self.strata is not None:
            return update_length(self.strata, parameters, self.worker)
        return len(self.vector)

    def make_spans(
        self, began: float, *, shares_gil: bool = False, shares_thread: bool = False
    ) -> Spans:
        """The stopwatch of the worker, for the thread that calls this (`MeteredSpans`, `Meter`)."""
        if not self.config.account:
            return Spans(began=began)
        meter = Meter(shares_gil=shares_gil, shares_thread=shares_thread)
        return MeteredSpans(meter, began=began)

    @property
    def state_length(self) -> int:
        """Floats of `Update.trainer_state`: the trainer's, and in an ensemble the model's."""
        blocks = [self.parameters(self.vector)] if self.strata is None else self._block_rows()
        own = len(self.vector) if self.config.in_ensemble else 0
        return own + self.config.trainer.state_length(
            [sum(array.size for array in learned(rows)) for rows in blocks]
        )

    def _block_rows(self) -> list[Rows]:
        parameters = self.parameters(self.vector)
        blocks = [block for block in self.shard.blocks if block.train.stop > block.train.start]
        return [parameters.block(block.users, block.items) for block in blocks]

    def update(
        self, row: WorkerRound, vector: Vector, trainer_state: Vector = EMPTY_VECTOR
    ) -> Update:
        """The update of a round: `vector`, judged on the part that `select_on` names.

        With `select_on: last` that is the validation part.
        """
        judged = row.test if self.config.select_on == "test" else row.valid
        return Update(
            worker=row.worker,
            round_index=row.round_index,
            vector=vector,
            rmse=judged.rmse,
            loss=judged.mse,
            trainer_state=trainer_state,
        )

    def check_loss(self, loss: float, round_index: int, epoch: int) -> None:
        """Raises Diverged unless the training loss of the epoch is finite."""
        if not math.isfinite(loss):
            raise self._diverged(f"its training loss is {loss:g}", round_index, epoch)

    def check_norm(self, row: WorkerRound, vector: Vector) -> None:
        """Raises Diverged for a state that is longer than `max_norm`."""
        if self.config.max_norm is None:
            return
        # np.dot would wake up BLAS and its threads
        norm = math.sqrt(np.einsum("i,i->", vector, vector))
        if not norm <= self.config.max_norm:
            limit = f"max_norm={self.config.max_norm:g} (which can be set)"
            what = f"its state has norm {norm:.4g}, above {limit}"
            raise self._diverged(what, row.round_index, row.best_epoch)

    def _diverged(self, what: str, round_index: int, epoch: int) -> Diverged:
        rate = self.config.trainer.learning_rate(round_index * self.config.local_epochs + epoch)
        options = self.config.aggregation
        stepping = isinstance(options, Averaging) and options.outer != "none"
        outer = " or aggregation.outer_lr" if stepping else ""
        return Diverged(
            f"diverged in epoch {epoch + 1} at learning rate {rate:.3g}: {what}; try a smaller"
            f" trainer.lr{outer}"
        )
