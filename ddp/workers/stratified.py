"""The worker's round with split=stratified: turn by turn, each on one block of its ratings.

A worker keeps the rows of its users. The rows of items go from worker to worker: after its turn
with a group of items a worker hands the group on to the one that needs it next. For example:

              turn 0    turn 1    turn 2
    worker 0  group 0   group 1   group 2          worker 0 <--- worker 1
    worker 1  group 1   group 2   group 0             |             ^
    worker 2  group 2   group 0   group 1             +-> worker 2 -+
"""

from collections.abc import Generator

import numpy as np

from ddp.config import seeding
from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.model.rows import held_rows, learned, pack
from ddp.ratings.strata import Strata
from ddp.tracking.messages import EpochDone, WorkerRound
from ddp.trainers.trainer import stepping_trainer
from ddp.workers.exchange import Exchange
from ddp.workers.job import Job
from ddp.workers.turns import WorkerTurns
from ddp.workers.waiting import wait_until_gathered


class StratifiedWorker:
    """Trains on one block of its ratings after another.

    It reads no aggregate: it keeps its rows of users, and gets rows of items from other workers.
    """

    def __init__(self, job: Job, strata: Strata, exchange: Exchange) -> None:
        self.job = job
        self.strata = strata
        self.exchange = exchange
        self.spans = exchange.spans
        assert exchange.rows is not None
        self.parameters = job.parameters(exchange.rows.working_vector(job.vector))
        self.turns = WorkerTurns(job, strata, exchange.rows, self.parameters, self.spans)
        self.trainer = stepping_trainer(job.config.trainer)(
            job.config.trainer,
            self.parameters,
            job.shard.train,
            held_out=(job.shard.valid, job.shard.test),
            blocks=job.shard.blocks,
            scale=job.scale,
        )
        self.trainer.load_state(job.trainer_state, job.first_round * job.config.local_epochs)
        self.published: Vector = np.zeros(job.update_length, np.float32)
        self.trainer_state = EMPTY_VECTOR
        self.next_round = job.first_round

    def round(self, round_index: int) -> Generator[None, None, WorkerRound]:
        """Trains `local_epochs` epochs, then publishes the rows that it holds.

        Yields before it waits for the others.
        """
        num_epochs = self.job.config.local_epochs
        self.next_round = round_index + 1
        order = seeding.stream(self.job.config.seed, "order", self.job.worker, round_index)
        left, done = self.strata.turns(round_index, 0, num_epochs), 0
        while left:
            errors = yield from self.trainer.turns(left, order, self.turns, self.spans)
            for error in errors.train:
                self.job.check_loss(error.total, round_index, done)
                done += 1
            last, left = left[-1], left[len(errors.train) * self.strata.num_workers :]
            if not left:
                self._keep(last, round_index)  # before another worker changes the rows
                self.turns.hand_on(last)
            with self.spans("tell"):
                self.exchange.tell(
                    EpochDone(worker=self.job.worker, round_index=round_index, epoch=done - 1)
                )
        valid, test = errors.held_out
        row = WorkerRound(
            worker=self.job.worker,
            round_index=round_index,
            train_loss=errors.train[-1].mse,
            valid=valid,
            test=test,
            best_epoch=num_epochs - 1,
            aggregate_received=True,
        )
        with self.spans("evaluate"):
            self.job.check_norm(row, self.published)
        # at most a round ahead: updates that are not averaged yet take RAM
        with self.spans("wait"):
            wait_until_gathered(self.job, self.exchange, round_index - 1)
        with self.spans("publish"):
            self.exchange.publish(self.job.update(row, self.published, self.trainer_state))
        if self.job.config.may_end_early:  # the next round is in vain if this one ends the run
            with self.spans("wait"):
                yield
                wait_until_gathered(self.job, self.exchange, round_index)
        return row

    def _keep(self, turn: int, round_index: int) -> None:
        """Copies the rows that the worker holds, for its update."""
        with self.spans("publish"), self.spans("copy"):
            self.trainer_state = (
                self.trainer.state() if self.job.sends_state(round_index) else EMPTY_VECTOR
            )
            pack(
                learned(held_rows(self.strata, self.parameters, self.job.worker, turn)),
                self.published,
            )
            self.spans.count_copied(self.published.nbytes + self.trainer_state.nbytes)
