"""Processes that exchange through one segment of shared memory: a copy each way, and nothing is
   pickled from round to round.

A worker publishes by copying its state into a slot that only it writes, and receives by copying the
aggregate out; the aggregator averages the slots where they lie. There is no lock that a worker
could die with. Who may read or write what is said by bells, a few raw bytes through the worker's
pipe: "published", "the aggregate is out". A slot is written again only when the aggregate of what
was in it is out, and an aggregate when every worker has published since, so past reading it.

With split=stratified all workers train in one vector of the segment, each in the rows that it
holds, and hand those on through gates, counters in the segment (see gates.py).
"""

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from ddp.backends.shm_jobs import Finder, Mover
from ddp.backends.shm_messages import PICKLED, ring, understand
from ddp.backends.worker_processes import Connect, WorkerProcesses
from ddp.config.options import ShmBackend
from ddp.errors import BackendError, ConfigError, Stopped, UserError
from ddp.machine.segment import Layout, NoRoom, Place, Segment, default_directory, remove_orphans
from ddp.model.parameters import EMPTY_VECTOR, Vector
from ddp.timing.spans import Spans
from ddp.tracking.messages import Message, Published, Started
from ddp.workers.exchange import Exchange, Update, make_gates
from ddp.workers.job import Job, Task

# What the vector in a slot is; `num_rounds` (its round + 1) is written last.
RECORD = np.dtype([("rmse", "f8"), ("loss", "f8"), ("num_rounds", "i8")])
NEWS = struct.Struct("=q")  # to a worker: the round whose aggregate is out


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Where a worker writes, and nobody else. `trainer_state`: empty unless the run may go back to a
    round.
    """

    vector: Place
    trainer_state: Place
    record: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where things lie in the segment. `aggregates`: the last two by turns, so that one stays whole
    while the next is written; with `straggler_timeout` one for each worker, who may still be
    reading when the next is there. `num_rounds`: of each, its round + 1. With split=stratified
    `common` is what all workers train in, and `counters` are those of the gates.
    """

    path: Path
    size: int
    slots: dict[int, Slot]
    aggregates: tuple[Place, ...]
    num_rounds: Place
    each_its_own: bool
    common: Place | None
    counters: Place | None

    def aggregate_for(self, worker: int, round_index: int) -> int:
        """Which of the aggregates a worker reads."""
        return list(self.slots).index(worker) if self.each_its_own else round_index % 2


class ShmExchange(Exchange):
    """A worker's end: views of its slot and of the aggregate, and a pipe for bells."""

    own_process = True

    def __init__(
        self, pipe: Connection, segment: Segment, plan: Plan, worker: int, round_timeout_s: float
    ) -> None:
        slot = plan.slots[worker]
        self.pipe = pipe
        self.plan = plan
        self.worker = worker
        self.vector, self.trainer_state = (
            segment.view(slot.vector),
            segment.view(slot.trainer_state),
        )
        self.record = segment.view(slot.record)
        self.aggregates, self.num_rounds = (
            [segment.view(place) for place in plan.aggregates],
            segment.view(plan.num_rounds),
        )
        self._common = None if plan.common is None else segment.view(plan.common)
        self.gates = None if plan.counters is None else make_gates(segment.view(plan.counters))
        self.round_timeout_s = round_timeout_s
        self._published = -1  # the last round that we published ...
        self._heard = -1  # ... and the last whose aggregate we know to be out

    def publish(self, update: Update, spans: Spans) -> None:
        # One that gave up waiting for its aggregate gets ahead: its last state may not have been
        # averaged yet.
        if self._heard < self._published:
            with spans("wait"):
                is_averaged = self._hear(self._published, self.round_timeout_s)
            if not is_averaged:
                waited = f"within round_timeout={self.round_timeout_s:g} s"
                raise TimeoutError(
                    f"what it published in round {self._published} was not averaged {waited}"
                )
        with spans("copy"):
            np.copyto(self.vector, update.vector)
            self.trainer_state[: len(update.trainer_state)] = update.trainer_state
        spans.count_copied(update.vector.nbytes + update.trainer_state.nbytes)
        self.record["rmse"], self.record["loss"] = update.rmse, update.loss
        self.record["num_rounds"] = update.round_index + 1
        self._published = update.round_index
        self.tell(Published(worker=update.worker, round_index=update.round_index))

    def wait(self, round_index: int, timeout_s: float, spans: Spans) -> bool:
        return self._hear(round_index, timeout_s)

    def _hear(self, round_index: int, timeout_s: float) -> bool:
        """Waits for the news that the aggregate of the round is out; False after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        try:
            while self._heard < round_index:
                if not self.pipe.poll(max(0.0, deadline - time.monotonic())):
                    return False
                (self._heard,) = NEWS.unpack(self.pipe.recv_bytes())
        except (EOFError, ConnectionError) as error:
            raise Stopped from error
        return True

    def receive_into(self, out: Vector, round_index: int, spans: Spans) -> int:
        newest = max(round_index, self._heard)
        which = self.plan.aggregate_for(self.worker, newest)
        _check_round("the aggregate", self.num_rounds[which], newest)
        with spans("copy"):
            np.copyto(out, self.aggregates[which])
        spans.count_copied(out.nbytes)
        return newest

    def common(self, vector: Vector) -> Vector:
        assert self._common is not None
        return self._common

    def tell(self, message: Message) -> None:
        try:
            rung = ring(message)
            if rung is None:
                self.pipe.send(message)
            else:
                self.pipe.send_bytes(rung)
        except ConnectionError as error:
            raise Stopped from error


class SharedMemory(WorkerProcesses):
    """The workers' processes, and the segment: created by us, nameless as soon as every worker has
    it.
    """

    def __init__(
        self,
        options: ShmBackend,
        task: Task,
        jobs: Sequence[Job],
        listen: Callable[[Message], None],
    ) -> None:
        super().__init__(options.chosen_start_method, task, jobs, listen, None)
        self.directory = (
            default_directory() if options.directory is None else Path(options.directory)
        )
        self.segment: Segment | None = None
        self._plan: Plan
        self._pickled: dict[int, bytes] = {}  # the jobs
        self._attached: set[int] = set()
        self._last: Vector | None = None  # the last aggregate, with `straggler_timeout`

    def load(self) -> None:
        super().load()
        if self.strata is not None:
            import ddp.machine.compiled.gates  # noqa: F401  # compiled here, whatever trains: workers find it on disk

    def _open(self) -> list[Connect]:
        """Makes the segment and moves the ratings into it, shard by shard, so that they are there
        once.
        """
        layout = Layout()
        places: dict[int, Place] = {}
        movers = [Mover(job, layout, places) for job in self.jobs]
        goes_back = self.config.on_failure == "restart" or self.config.checkpoint_every > 0
        slots = {
            job.worker: Slot(
                vector=layout.place((job.update_length,), np.float32),
                trainer_state=layout.place((job.state_length if goes_back else 0,), np.float32),
                record=layout.place((1,), RECORD),
            )
            for job in self.jobs
        }
        each_its_own = self.config.straggler_timeout is not None
        count = len(self.workers) if each_its_own else 2
        aggregates = tuple(layout.place((self.aggregate_length,), np.float32) for _ in range(count))
        num_rounds = layout.place((count,), np.int64)
        common = counters = None
        if self.strata is not None:
            common = layout.place((len(self.task.vector),), np.float32)
            # (They share cache lines, which workers then write and read by turns.)
            counters = layout.place((self.strata.num_workers + 1,), np.int64)
        remove_orphans(self.directory)  # of runs that were killed
        self.segment = create_segment(layout.size, self.directory)
        self._plan = Plan(
            path=self.segment.path,
            size=layout.size,
            slots=slots,
            aggregates=aggregates,
            num_rounds=num_rounds,
            each_its_own=each_its_own,
            common=common,
            counters=counters,
        )
        if common is not None and counters is not None:
            np.copyto(self.segment.view(common), self.task.vector)
            self._counters = self.segment.view(counters)
            np.copyto(self._counters, self._first_turns())
        for worker, mover in zip(self.workers, movers, strict=True):
            for place, array in mover.moves:
                np.copyto(self.segment.view(place), array)
            mover.moves.clear()
            self._pickled[worker] = mover.pickled
            self.jobs.pop(0)  # the segment has its arrays now
        return [_connect] * len(self.workers)

    def _admit(self, worker: int) -> None:
        with self._pipe_to(worker) as pipe:
            pipe.send((self._plan, self._pickled[worker]))

    def _handle(self, message: Message) -> None:
        if isinstance(message, Started):
            self._attached.add(message.worker)
            self._unlink_when_attached()
        super()._handle(message)  # whoever hears that all have started may rely on it

    def _unlink_when_attached(self) -> None:
        if self._attached.issuperset(self.workers):
            self._live_segment().unlink()  # from here on not even SIGKILL leaves anything

    def drop(self, worker: int) -> None:
        super().drop(worker)
        self._unlink_when_attached()

    def _decode(self, worker: int, content: bytes) -> Message:
        if content.startswith(PICKLED):
            return super()._decode(worker, content)
        return understand(worker, content)

    def _read_updates(self, rounds: Mapping[int, int], spans: Spans) -> list[Update]:
        return [self._read(worker, round_index) for worker, round_index in rounds.items()]

    def _read(self, worker: int, round_index: int) -> Update:
        """By reference: the worker writes there again when the aggregate is out. (Its trainer state is
        needed for longer.)
        """
        segment, slot = self._live_segment(), self._plan.slots[worker]
        record = segment.view(slot.record)
        _check_round(f"the slot of worker {worker}", record["num_rounds"][0], round_index)
        rmse, loss = float(record["rmse"][0]), float(record["loss"][0])
        handed_over = self.has_trainer_state and self.task.sends_state(round_index)
        trainer_state = segment.view(slot.trainer_state).copy() if handed_over else EMPTY_VECTOR
        vector = segment.view(slot.vector)
        return Update(
            worker=worker,
            round_index=round_index,
            vector=vector,
            rmse=rmse,
            loss=loss,
            trainer_state=trainer_state,
        )

    def room(self, round_index: int) -> Vector:
        """The aggregate's place in the segment: the aggregator averages into it."""
        if self._plan.each_its_own:
            return super().room(round_index)
        return self._live_segment().view(self._plan.aggregates[round_index % 2])

    def broadcast(self, round_index: int, vector: Vector, spans: Spans) -> None:
        self._last = vector
        if not self._plan.each_its_own:
            self._write_aggregate(round_index % 2, round_index)
        for worker in self._counted(round_index):
            self._send_news(worker, round_index)

    def _send_news(self, worker: int, round_index: int) -> None:
        if self._plan.each_its_own:
            self._write_aggregate(self._plan.aggregate_for(worker, round_index), round_index)
        with self._pipe_to(worker) as pipe:
            pipe.send_bytes(NEWS.pack(round_index))

    def _write_aggregate(self, which: int, round_index: int) -> None:
        assert self._last is not None, "after a broadcast only"
        segment = self._live_segment()
        aggregate = segment.view(self._plan.aggregates[which])
        if not np.shares_memory(aggregate, self._last):
            np.copyto(aggregate, self._last)
        segment.view(self._plan.num_rounds)[which] = round_index + 1

    def stop(self) -> None:
        try:
            super().stop()
        finally:
            if self.segment is not None:
                self.segment.unlink()
                self.segment = self._counters = self._last = None

    @property
    def shared_bytes(self) -> int:
        return 0 if self.segment is None else self._plan.size

    def _live_segment(self) -> Segment:
        assert self.segment is not None, "between start and stop only"
        return self.segment


def _connect(pipe: Connection) -> tuple[Job, Exchange]:
    """In the worker: its job, whose arrays lie in the segment, and its end of the exchange.

    The arrays can be written to, though nobody does: torch warns of one that cannot, and numba
    compiles another kernel for it.
    """
    plan, pickled = pipe.recv()
    segment = Segment.attach(plan.path, plan.size)
    job = Finder(pickled, segment).load()
    return job, ShmExchange(pipe, segment, plan, job.worker, job.config.round_timeout)


def create_segment(size: int, directory: Path) -> Segment:
    """A new segment. Raises UserError or ConfigError, which say what to do, where there is none."""
    try:
        return Segment.create(size, directory)
    except NoRoom as error:
        raise UserError(
            f"{directory}: this run needs {size / 2**20:,.0f} MiB of shared memory there, and"
            f" {error.free / 2**20:,.0f} MiB are free; set backend.directory=DIR to a folder with"
            " more room, give a container more (docker run --shm-size=...), or remove what killed"
            " runs have left (python -m ddp.clean)"
        ) from error
    except OSError as error:
        reason = f"cannot hold a file ({error.strerror})"
        raise ConfigError("backend.directory", directory, reason) from error


def _check_round(what: str, num_rounds: int, round_index: int) -> None:
    if num_rounds != round_index + 1:
        raise BackendError(f"round {round_index}: {what} holds round {num_rounds - 1}")
