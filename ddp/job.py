"""What a worker is given: its ratings, the state to start from, and the config."""

from dataclasses import dataclass

import numpy as np

from ddp.config import Config
from ddp.exchange import Update
from ddp.messages import WorkerRound
from ddp.metrics import SquaredError
from ddp.parameters import Parameters, Rows, Vector
from ddp.ratings import Block, Part
from ddp.strata import Strata
from ddp.trainers import evaluate


@dataclass(slots=True, kw_only=True)
class Shard:
    """A worker's own ratings; with split=stratified they lie block by block, one of `blocks` for each group of items."""

    train: Part
    valid: Part
    test: Part
    blocks: tuple[Block, ...] = ()


NOTHING = Part(users=np.empty(0, np.int32), items=np.empty(0, np.int32), ratings=np.empty(0, np.float32))
EMPTY = Shard(train=NOTHING, valid=NOTHING, test=NOTHING)


@dataclass(slots=True, kw_only=True)
class Job:
    """All that a worker is given. `vector`: the state to start from, not to be changed; the scale clips predictions.

    With split=stratified there are `strata`, and the shard has blocks.
    """

    worker: int
    config: Config
    shard: Shard
    num_users: int
    num_items: int
    rating_min: float
    rating_max: float
    vector: Vector
    strata: Strata | None = None

    @property
    def in_ensemble(self) -> bool:
        """Whether each worker keeps its own state, and the aggregate is a wider model that averages their predictions."""
        return self.strata is None and self.config.aggregation.name == "ensemble"

    @property
    def reads_aggregate(self) -> bool:
        """Whether the worker goes on from the aggregate."""
        return self.strata is None and not self.in_ensemble

    @property
    def aggregate_dim(self) -> int:
        """Embedding size of the aggregate."""
        return self.config.model.dim * (self.config.workers if self.in_ensemble else 1)

    def make_aggregate(self, vector: Vector | None = None) -> Parameters:
        """`vector` read as an aggregate; without one at zero."""
        return Parameters(self.num_users, self.num_items, self.aggregate_dim, biases=self.config.model.biases, vector=vector)

    @property
    def update_length(self) -> int:
        """Floats that the worker publishes in a round."""
        return len(self.vector) if self.strata is None else self.strata.room(self.parameters(self.vector), self.worker)

    def parameters(self, vector: Vector) -> Parameters:
        """`vector` read as a state of this run's model."""
        options = self.config.model
        return Parameters(self.num_users, self.num_items, options.dim, biases=options.biases, vector=vector)

    def make_parameters(self) -> Parameters:
        """A copy of the state to start from."""
        return self.parameters(self.vector.copy())

    def update(self, row: WorkerRound, vector: Vector) -> Update:
        """What is published of a round: `vector`, judged on the part that `select_on` names (last: validation)."""
        judged = row.test if self.config.select_on == "test" else row.valid
        return Update(worker=row.worker, round_index=row.round_index, vector=vector, rmse=judged.rmse, loss=judged.mse)

    def evaluate(self, parameters: Rows, part: Part) -> SquaredError:
        """The squared error on a part, predictions clipped to the scale."""
        return evaluate(self.config.trainer, parameters, part, self.rating_min, self.rating_max)
