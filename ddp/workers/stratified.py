"""The worker's round with split=stratified: turn by turn on the rows that it holds, which then go
to whoever needs them next.
"""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ddp.config import seeding
from ddp.errors import LateRows, Stopped
from ddp.model.parameters import EMPTY_VECTOR, Rows, Vector
from ddp.model.rows import held_rows, item_rows, learned, pack
from ddp.ratings.strata import Strata
from ddp.timing.spans import Spans
from ddp.tracking.messages import EpochDone, WorkerRound
from ddp.tracking.metrics import SquaredError
from ddp.trainers.loop_times import spent_parts
from ddp.trainers.trainer import make_block_trainer, make_turns
from ddp.workers.exchange import Exchange
from ddp.workers.job import Job

if TYPE_CHECKING:
    from ddp.trainers.epochs import InTurns


@dataclass(slots=True)
class Errors:
    """Of a worker, in the last epoch of a round: each block's at the end of its turn."""

    train: SquaredError
    valid: SquaredError
    test: SquaredError


class StratifiedWorker:
    """Trains on one block of its ratings after another. It reads no aggregate: it has its rows, and
    gets the others'.
    """

    def __init__(self, job: Job, strata: Strata, exchange: Exchange, spans: Spans) -> None:
        self.job = job
        self.strata = strata
        self.exchange = exchange
        self.spans = spans
        self.parameters = job.parameters(exchange.common(job.vector))
        self.blocks = job.shard.blocks
        self.trainer = make_block_trainer(
            job.config.trainer, self.parameters, job.shard.train, self.blocks
        )
        self.loop = make_turns(
            job.config.trainer,
            self.trainer,
            exchange.gates,
            job.shard.valid,
            job.shard.test,
            (job.rating_min, job.rating_max),
        )
        self.trainer.load_state(job.trainer_state, job.first_round * job.config.local_epochs)
        self.published: Vector = np.zeros(job.update_length, np.float32)
        self.trainer_state = EMPTY_VECTOR
        self.next_round = job.first_round
        self.first_turn = strata.first_turn(job.first_round)

    def round(self, round_index: int) -> Generator[None, None, WorkerRound]:
        """`local_epochs` epochs; then publishes the rows that it holds. Yields before it waits for
        the others.
        """
        config = self.job.config
        self.next_round = round_index + 1
        order = seeding.stream(config.seed, "order", self.job.worker, round_index)
        done = 0
        while done < config.local_epochs:
            number = 1 if self.loop is None else self.loop.pace.epochs(config.local_epochs - done)
            turns = self.strata.turns(round_index, done, number)
            done += number
            ends_round = done == config.local_epochs
            if self.loop is not None:
                errors = self._turns_in_a_loop(self.loop, turns, order, ends_round=ends_round)
            else:
                errors = yield from self._turn_by_turn(turns, order, ends_round=ends_round)
            if ends_round:
                self._keep(turns[-1], round_index)  # before somebody else has them
                self._hand_on(turns[-1])
            with self.spans("tell"):
                self.exchange.tell(
                    EpochDone(worker=self.job.worker, round_index=round_index, epoch=done - 1)
                )
        row = WorkerRound(
            worker=self.job.worker,
            round_index=round_index,
            train_loss=errors.train.mse,
            valid=errors.valid,
            test=errors.test,
            best_epoch=config.local_epochs - 1,
            aggregate_received=True,
        )
        with self.spans("evaluate"):
            self.job.check_norm(row, self.published)
        with self.spans("wait"):
            self._wait_for_the_aggregate(round_index - 1)
        with self.spans("publish"):
            self.exchange.publish(
                self.job.update(row, self.published, self.trainer_state), self.spans
            )
        return row

    def _turn_by_turn(
        self, turns: range, order: np.random.Generator, *, ends_round: bool
    ) -> Generator[None, None, Errors]:
        """An epoch on any backend; the last turn of a round is not handed on yet."""
        errors = Errors(*[SquaredError(0.0, 0)] * 3)
        shard = self.job.shard
        for turn in turns:
            block = self.blocks[self._group(turn)]
            waited_s = self.spans.so_far("wait")
            with self.spans("wait"):
                yield
                self._take(turn)
            self._blame(turn, self.spans.so_far("wait") - waited_s)
            with self.spans("compute"):
                total = self.trainer.turn(self._group(turn), order)
                errors.train += SquaredError(total, block.train.stop - block.train.start)
                if turn == turns[-1]:
                    self._check_loss(errors.train.total, turn)
            if ends_round:
                with self.spans("evaluate"):
                    errors.valid += self.job.evaluate(
                        self.parameters, shard.valid.between(block.valid)
                    )
                    errors.test += self.job.evaluate(
                        self.parameters, shard.test.between(block.test)
                    )
            if not (ends_round and turn == turns[-1]):
                self._hand_on(turn)
        return errors

    def _turns_in_a_loop(
        self, loop: "InTurns", turns: range, order: np.random.Generator, *, ends_round: bool
    ) -> Errors:
        """The same of one or several epochs, where workers share memory, and a compiled loop waits,
        trains and hands on.
        """
        shard, number = self.job.shard, len(turns) // self.strata.num_workers
        with self.spans("compute"):
            groups = [self._group(turn) for turn in turns]
            done = loop.epochs(
                turns[0],
                groups,
                number,
                order,
                self.job.config.round_timeout,
                ends_round=ends_round,
            )
            self.spans.divide(partial(spent_parts, done.spent_ns, self.spans.tells_off_core))
            for turn, total in zip(turns[:: self.strata.num_workers], done.train, strict=True):
                self._check_loss(total, turn)
            for turn, waited_ns in zip(turns, done.waited_ns.tolist(), strict=True):
                self._blame(turn, waited_ns / 1e9)
            errors = Errors(
                SquaredError(done.train[-1], len(shard.train)),
                SquaredError(done.valid, len(shard.valid)),
                SquaredError(done.test, len(shard.test)),
            )
        if done.stopped:
            raise Stopped
        if done.late_for is not None:
            with self.spans("wait"):
                raise self._late(done.late_for)
        return errors

    def _check_loss(self, total: float, turn: int) -> None:
        """Raises Diverged if the squared errors of the epoch of this turn are no number."""
        self.job.check_loss(total, *self.strata.epoch_of(turn))

    def _keep(self, turn: int, round_index: int) -> None:
        """Copies what is to be published: the rows that the worker holds."""
        with self.spans("publish"), self.spans("copy"):
            self.trainer_state = (
                self.trainer.state() if self.job.sends_state(round_index) else EMPTY_VECTOR
            )
            pack(
                learned(held_rows(self.strata, self.parameters, self.job.worker, turn)),
                self.published,
            )
            self.spans.count_copied(self.published.nbytes + self.trainer_state.nbytes)

    def _blame(self, turn: int, seconds: float) -> None:
        """The wait for the rows of a turn was for whoever had them before."""
        if turn > self.first_turn and seconds > 0:
            self.spans.waited_for(self.strata.holder(self._group(turn), turn - 1), seconds)

    def _wait_for_the_aggregate(self, round_index: int) -> None:
        """Only so that nobody is more than a round ahead: what is published and not averaged yet
        takes memory.
        """
        timeout_s = self.job.config.round_timeout
        if round_index >= self.job.first_round and not self.exchange.wait(
            round_index, timeout_s, self.spans
        ):
            raise TimeoutError(
                f"what it published in round {round_index} was not taken within"
                f" round_timeout={timeout_s:g} s"
            )

    def _group(self, turn: int) -> int:
        return self.strata.group(self.job.worker, turn)

    def _items(self, turn: int) -> list[Vector]:
        """The rows of items that the worker holds in a turn."""
        block = self.blocks[self._group(turn)]
        rows: Rows = self.parameters.block(block.users, block.items)
        return item_rows(rows)

    def _take(self, turn: int) -> None:
        """Waits for the rows of a turn until whoever held them before has handed them on."""
        if turn == self.first_turn:
            return
        group = self._group(turn)
        before = self.strata.holder(group, turn - 1)
        if not self.exchange.take(
            group, turn, before, self._items(turn), self.job.config.round_timeout, self.spans
        ):
            raise self._late(turn)

    def _late(self, turn: int) -> LateRows:
        before = self.strata.holder(self._group(turn), turn - 1)
        return LateRows(
            f"no items came from worker {before} within"
            f" round_timeout={self.job.config.round_timeout:g} s"
        )

    def _hand_on(self, turn: int) -> None:
        """Passes the rows of a turn to whoever holds them next."""
        if turn + 1 == self.strata.first_turn(self.job.config.rounds):
            return  # the run is over
        group = self._group(turn)
        with self.spans("publish"):
            self.exchange.hand_on(
                group, turn + 1, self.strata.holder(group, turn + 1), self._items(turn), self.spans
            )
