"""The worker's loop, written once: no thread or process in sight."""

import math
import traceback
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ddp import seeding
from ddp.errors import Diverged, LateRows, Stopped, WorkerError
from ddp.exchange import Exchange
from ddp.job import Job
from ddp.memory import Memory, memory_of, peak_rss_bytes
from ddp.messages import EpochDone, Failed, Finished, Started, WorkerRound
from ddp.parameters import EMPTY_VECTOR, Vector
from ddp.stratified import StratifiedWorker
from ddp.timing import START, Spans
from ddp.trainers import make_trainer


class Worker:
    """Trains on its shard, and remembers the best state of the round. In an ensemble it goes on from its own."""

    def __init__(self, job: Job, exchange: Exchange, spans: Spans) -> None:
        self.job = job
        self.exchange = exchange
        self.spans = spans
        self.next_round = job.first_round  # one after the aggregate that we have: a worker that is late leaves rounds out
        self.live = job.make_parameters()
        self.best = job.make_parameters()
        self.trainer = make_trainer(job.config.trainer, self.live, job.shard.train)
        self.trainer.recall(job.memory, job.first_round * job.config.local_epochs)

    def round(self, round_index: int) -> Generator[None, None, WorkerRound]:
        """Trains, publishes, and takes over the aggregate if it comes in time. Yields before it waits for the others."""
        self.next_round = round_index + 1
        row = self.train_round(round_index)
        with self.spans("evaluate"):
            self.job.check_norm(row, self.best.vector)
        with self.spans("publish"):
            memory = self._memory() if self.job.hands_over(round_index) else EMPTY_VECTOR
            self.exchange.publish(self.job.update(row, self.best.vector, memory), self.spans)
        with self.spans("wait"):
            yield
            received = self.exchange.wait(round_index, self.job.config.agg_timeout, self.spans)
        if received and self.job.reads_aggregate:
            with self.spans("receive"):
                self.next_round = self.exchange.receive_into(self.live.vector, round_index, self.spans) + 1
        return replace(row, aggregate_received=received)

    def _memory(self) -> Vector:
        own = [self.live.vector] if self.job.in_ensemble else []
        return np.concatenate([*own, self.trainer.memory()])

    def train_round(self, round_index: int) -> WorkerRound:
        """`local_epochs` epochs; afterwards `self.best` holds the state with the lowest RMSE on the `select_on` part."""
        config = self.job.config
        order = seeding.stream(config.seed, "order", self.job.worker, round_index)
        best_rmse, best_epoch, train_loss = math.inf, -1, math.nan
        for epoch in range(config.local_epochs):
            with self.spans("compute"):
                train_loss = self.trainer.epoch(order)
                self.job.check_loss(train_loss, round_index, epoch)
            with self.spans("evaluate"):
                rmse = self._selection_rmse()
                is_last = epoch == config.local_epochs - 1
                # The last state also stands in when no epoch had a finite RMSE: the aggregator then refuses it by name.
                if rmse < best_rmse or (is_last and best_epoch < 0):
                    best_rmse, best_epoch = rmse, epoch
                    with self.spans("copy"):
                        np.copyto(self.best.vector, self.live.vector)
            with self.spans("tell"):
                self.exchange.tell(EpochDone(worker=self.job.worker, round_index=round_index, epoch=epoch))
        with self.spans("evaluate"):
            valid = self.job.evaluate(self.best, self.job.shard.valid)
            test = self.job.evaluate(self.best, self.job.shard.test)
        return WorkerRound(
            worker=self.job.worker,
            round_index=round_index,
            train_loss=train_loss,
            valid=valid,
            test=test,
            best_epoch=best_epoch,
            aggregate_received=False,
        )

    def _selection_rmse(self) -> float:
        """The RMSE by which epochs are compared; infinite for `select_on: last`, so that the last one is taken."""
        match self.job.config.select_on:
            case "valid":
                return self.job.evaluate(self.live, self.job.shard.valid).rmse
            case "test":
                return self.job.evaluate(self.live, self.job.shard.test).rmse
            case _:
                return math.inf


def worker_loop(job: Job, exchange: Exchange, spans: Spans) -> Iterator[None]:
    """The document's `worker_proc`. Yields where a worker waits for others, and after a round: `serial` then runs those.

    `spans` began when the parent began to start this worker; it is closed at the end.
    """
    worker, round_index = None, None

    def tell(message: Started | WorkerRound | Finished) -> None:
        with spans("tell"):
            exchange.tell(message)

    try:
        with spans(START), spans("kernel"):
            make = Worker if job.strata is None else partial(StratifiedWorker, strata=job.strata)
            worker = make(job=job, exchange=exchange, spans=spans)
        account = spans.take()
        tell(Started(worker=job.worker, startup_s=account.wall_s, account=account))
        while worker.next_round < job.config.rounds:
            round_index = worker.next_round
            row = yield from worker.round(round_index)
            tell(replace(row, account=spans.take()))
            with spans("wait"):
                yield
        with spans("tell"):
            wanted = exchange.own_process and job.config.account
            memory = memory_of() if wanted else Memory(peak_rss_bytes=peak_rss_bytes(), pss_bytes=None)
        account = spans.take()
        tell(Finished(worker=job.worker, memory=memory, account=account, at_s=spans.at))
    except (Stopped, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a thread that ended by SystemExit without a word would be waited for
        phase = START if worker is None else worker.spans.phase
        if isinstance(error, Diverged):  # no fault of the code: a traceback would only hide what to do
            raise WorkerError(job.worker, round_index, str(error), phase=phase, diverged=True) from error
        reason = f"{type(error).__name__}: {error}"
        waited = isinstance(error, LateRows)
        raise WorkerError(job.worker, round_index, reason, traceback.format_exc(), phase, waited=waited) from error
    finally:
        spans.close()


def run_worker(job: Job, exchange: Exchange, spans: Spans) -> None:
    """Runs the loop to its end in a thread or process of its own; a failure is handed to the aggregator's side."""
    try:
        for _ in worker_loop(job, exchange, spans):
            pass
    except WorkerError as error:
        exchange.tell(Failed(error=error))
