"""A worker's rounds with split=both: it makes the rows of its users, and then those of its items.

After each half of an epoch the rows and the sums of its blocks go to all others. If something is
known about the rows of a side, its weights are drawn first, in two steps:

    worker 0   [weights of users | share, take |] its users | share, take | [weights ...
    worker 1   [weights of users | share, take |] its users | share, take | [weights ...
"""

from collections.abc import Generator

import numpy as np

from ddp.config.trainer import AlsTrainer, GibbsTrainer
from ddp.errors import LateRows
from ddp.model.parameters import Vector
from ddp.model.rows import learned, made_rows, pack
from ddp.model.sweeping import STEPS, Sweeping
from ddp.ratings.arrays import Doubles
from ddp.ratings.row_blocks import SIDES
from ddp.tracking.messages import EpochDone, WorkerRound
from ddp.workers.exchange import Exchange
from ddp.workers.job import Job
from ddp.workers.waiting import wait_until_gathered


class WorkerPhases:
    """The phases of one worker. Each half of an epoch has three, and ends with the last of them.

    | step | needs to be shared after it, of a side                                  |
    |------|-------------------------------------------------------------------------|
    | 0    | residuals of rows and turned weights of features, if something is known |
    | 1    | drawn columns of both, likewise                                         |
    | 2    | rows, their trusts, the sums of their blocks, weights of features       |
    """

    def __init__(self, job: Job, sweeping: Sweeping, exchange: Exchange) -> None:
        assert exchange.sharing is not None
        self.sharing, self.spans = exchange.sharing, exchange.spans
        self.sweeping, self.blocks, self.worker = sweeping, sweeping.blocks, job.worker
        self.gates = self.sharing.gates
        self.place = self.blocks.place(job.worker)
        self.timeout_s = job.config.round_timeout
        self.parameters = job.parameters(self.sharing.working_vector(job.vector))
        self.room = self.sharing.working_room()

    def share(self, phase: int) -> None:
        """Gives the others the arrays that this worker has made in the phase."""
        with self.spans("publish"):
            self.sharing.share(phase, self._made(phase, self.worker))

    def take(self, phase: int) -> None:
        """Waits for those of all others. Raises LateRows after `timeout_s` seconds."""
        for place, worker in enumerate(self.blocks.workers):
            if worker != self.worker:
                arrays = self._made(phase, worker)
                if not self.sharing.take(phase, worker, arrays, self.timeout_s):
                    raise self.late(place)

    def late(self, place: int) -> LateRows:
        """The error for rows that did not come in time from the worker at this place."""
        return LateRows(
            f"no rows came from worker {self.blocks.workers[place]} within"
            f" round_timeout={self.timeout_s:g} s"
        )

    def _made(self, phase: int, worker: int) -> list[Vector | Doubles]:
        """The arrays that a worker makes in a phase."""
        half, step = divmod(phase - 1, STEPS)
        sweep, side = divmod(half, len(SIDES))
        rows, known = self.blocks.rows(side, worker), self.room.sides[side]
        features = self.sweeping.features(side, worker)
        if known is not None and step == 0:
            return [known.residuals[rows], known.turned[features]]
        if known is not None and step == 1:
            columns = self.sweeping.columns(self.parameters.dim, worker)
            return [
                known.residuals[:, columns],
                known.turned[:, columns],
                known.squares[columns],
            ]
        kind, views = ("user", "item")[side], self.parameters.views
        first, stop = self.blocks.blocks(side, worker)
        made: list[Vector | Doubles] = [
            views[f"{kind}_factors"][rows],
            views[f"{kind}_bias"][rows],
            self.room.trusts[side][rows],
            self.room.sums[side, (sweep + 1) % 2, first:stop],
        ]
        return made if known is None else [*made, known.lines[features]]


class SweepingWorker:
    """Makes its rows anew in each epoch. It reads no aggregate: it has all rows."""

    def __init__(self, job: Job, sweeping: Sweeping, exchange: Exchange) -> None:
        from ddp.trainers.sweeper import Sweeper  # loads numba, which not every worker needs

        options = job.config.trainer
        assert isinstance(options, GibbsTrainer | AlsTrainer)
        self.job, self.exchange, self.spans = job, exchange, exchange.spans
        self.sweeping = sweeping
        self.phases = WorkerPhases(job, sweeping, exchange)
        self.parameters = self.phases.parameters
        self.own = learned(made_rows(sweeping.blocks, self.parameters, job.worker))
        self.sweeper = Sweeper(
            options,
            self.parameters,
            job.parameters(job.vector),
            job.shard.train,
            job.shard.by_item,
            worker=job.worker,
            held_out=(job.shard.valid, job.shard.test),
            room=self.phases.room,
            sweeping=sweeping,
            scale=job.scale,
            seed=job.config.seed,
        )
        self.num_floats = sum(array.size for array in self.own)
        self.published: Vector = np.zeros(job.update_length, np.float32)
        self.next_round = job.first_round

    def round(self, round_index: int) -> Generator[None, None, WorkerRound]:
        """Does `local_epochs` epochs, then publishes the rows that it makes.

        Yields before it waits for the others.
        """
        num_epochs = self.job.config.local_epochs
        self.next_round = round_index + 1
        self.sweeper.forget()
        first, done, losses = round_index * num_epochs, 0, [0.0]
        precisions: list[float] = []
        while done < num_epochs:
            left = range(first + done, first + num_epochs)
            losses = yield from self.sweeper.sweeps(left, self.phases, self.spans)
            precisions += self.sweeper.precisions
            done += len(losses)
            self.job.check_loss(losses[-1], round_index, done - 1)
            with self.spans("tell"):
                self.exchange.tell(
                    EpochDone(worker=self.job.worker, round_index=round_index, epoch=done - 1)
                )
        with self.spans("publish"), self.spans("copy"):
            noise = np.array(precisions, np.float32)
            told = self._told((round_index + 1) * num_epochs)
            pack([*self.own, noise, *self.sweeper.predictions, *told], self.published)
            self.spans.count_copied(self.published.nbytes)
        with self.spans("evaluate"):
            row = WorkerRound(
                worker=self.job.worker,
                round_index=round_index,
                train_loss=losses[-1],
                valid=self.job.evaluate(self.parameters, self.job.shard.valid),
                test=self.job.evaluate(self.parameters, self.job.shard.test),
                best_epoch=num_epochs - 1,
                aggregate_received=True,
            )
            self.job.check_norm(row, self.published[: self.num_floats])
        # at most a round ahead: updates that are not gathered yet take RAM
        with self.spans("wait"):
            wait_until_gathered(self.job, self.exchange, round_index - 1)
        with self.spans("publish"):
            self.exchange.publish(self.job.update(row, self.published))
        if self.job.config.may_end_early:  # the next round is in vain if this one ends the run
            with self.spans("wait"):
                yield
                wait_until_gathered(self.job, self.exchange, round_index)
        return row

    def _told(self, num_sweeps: int) -> list[Vector]:
        """The rest of the state after so many epochs, of this worker's rows, features and blocks.

        The numbers of float64 come as two floats each.
        """
        told: list[Vector] = []
        room, sweeping, worker = self.phases.room, self.sweeping, self.job.worker
        for side in SIDES:
            first, stop = sweeping.blocks.blocks(side, worker)
            told.append(room.trusts[side][sweeping.blocks.rows(side, worker)])
            if (known := room.sides[side]) is not None:
                told.append(known.lines[sweeping.features(side, worker)])
            told.append(room.sums[side, num_sweeps % 2, first:stop].ravel().view(np.float32))
        return [*told, np.array(self.sweeper.told).view(np.float32)]
