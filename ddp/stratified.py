"""The worker's round with split=stratified: turn by turn on the rows that it holds, which then go to whoever needs them next."""

from collections.abc import Generator

import numpy as np

from ddp import seeding
from ddp.exchange import Exchange
from ddp.job import Job
from ddp.messages import EpochDone, WorkerRound
from ddp.metrics import SquaredError
from ddp.parameters import Rows, Vector
from ddp.strata import Strata, item_rows, learned, pack
from ddp.timing import Spans
from ddp.trainers import for_blocks, make_trainer


class StratifiedWorker:
    """Trains on one block of its ratings after another. It reads no aggregate: it has its rows, and gets the others'.

    Its own errors are those on its blocks of validation and test ratings, each at the end of its turn in the last epoch.
    """

    def __init__(self, job: Job, strata: Strata, exchange: Exchange) -> None:
        self.job = job
        self.strata = strata
        self.exchange = exchange
        self.spans = Spans()
        parameters = job.parameters(exchange.common(job.vector))
        users = strata.users(job.worker)
        self.rows: list[Rows] = [parameters.block(users, strata.items(group)) for group in range(strata.num_workers)]
        options = for_blocks(job.config.trainer, strata.num_workers)
        self.trainers = [
            make_trainer(options, rows, block.train) if len(block.train) else None
            for rows, block in zip(self.rows, job.blocks, strict=True)
        ]
        self.published: Vector = np.zeros(job.update_length, np.float32)

    def round(self, round_index: int) -> Generator[None, None, WorkerRound]:
        """`local_epochs` epochs; then publishes the rows that it holds. Yields before it waits for the others."""
        config, strata = self.job.config, self.strata
        order = seeding.stream(config.seed, "order", self.job.worker, round_index)
        turns = round_index * config.local_epochs * strata.num_workers
        for epoch in range(config.local_epochs):
            is_last = epoch == config.local_epochs - 1
            train = valid = test = SquaredError(0.0, 0)
            for turn in range(turns, turns + strata.num_workers):
                group = strata.group(self.job.worker, turn)
                rows, block, trainer = self.rows[group], self.job.blocks[group], self.trainers[group]
                with self.spans("wait"):
                    yield
                    self._take(turn, group, round_index)
                if trainer is not None:
                    with self.spans("compute"):
                        train += SquaredError(trainer.epoch(order) * len(block.train), len(block.train))
                if is_last:
                    with self.spans("evaluate"):
                        valid += self.job.evaluate(rows, block.valid)
                        test += self.job.evaluate(rows, block.test)
                if is_last and turn == turns + strata.num_workers - 1:
                    pack(learned(rows), self.published)  # before somebody else has them
                self._hand_on(turn, group)
            turns += strata.num_workers
            self.exchange.tell(EpochDone(worker=self.job.worker, round_index=round_index, epoch=epoch))
        row = WorkerRound(
            worker=self.job.worker,
            round_index=round_index,
            train_loss=train.mse,
            valid=valid,
            test=test,
            best_epoch=config.local_epochs - 1,
            aggregate_received=True,
        )
        with self.spans("wait"):
            self._wait_for_the_aggregate(round_index - 1)
        with self.spans("publish"):
            self.exchange.publish(self.job.update(row, self.published), self.spans)
        return row

    def _wait_for_the_aggregate(self, round_index: int) -> None:
        """Only so that nobody is more than a round ahead: what is published and not averaged yet takes memory."""
        timeout_s = self.job.config.round_timeout
        if round_index >= 0 and not self.exchange.wait(round_index, timeout_s, self.spans):
            raise TimeoutError(f"what it published in round {round_index} was not taken within round_timeout={timeout_s:g} s")

    def _take(self, turn: int, group: int, round_index: int) -> None:
        """Waits for the rows of a group until whoever held them before has handed them on."""
        if turn == 0:
            return
        before = self.strata.holder(group, turn - 1)
        if before != self.job.worker:
            timeout_s = self.job.config.round_timeout
            if not self.exchange.take(turn, item_rows(self.rows[group]), timeout_s, self.spans):
                raise TimeoutError(f"no items came from worker {before} within round_timeout={timeout_s:g} s")

    def _hand_on(self, turn: int, group: int) -> None:
        """Passes the rows of a group to whoever holds them next."""
        if turn + 1 == self.job.config.rounds * self.job.config.local_epochs * self.strata.num_workers:
            return
        after = self.strata.holder(group, turn + 1)
        if after != self.job.worker:
            with self.spans("publish"):
                self.exchange.hand_on(after, turn + 1, item_rows(self.rows[group]), self.spans)
