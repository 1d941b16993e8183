"""The content of the segment of backend=shm, as both ends see it.

jobs            each array once: ratings, the state to start from
slots           one for each worker, which alone writes it: vector, trainer state, record
aggregates      the last two in turn; with straggler_timeout one for each worker
common, turns   where rows have owners: the vector that all train in, and the counters of the turns
room            split=both: the other arrays that all share (ddp/workers/room.py)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddp.backends.row_passing import SharedRows
from ddp.backends.row_sharing import CommonRows
from ddp.counting import round_of
from ddp.errors import BackendError, ConfigError, UserError
from ddp.machine.segment import Array, Layout, NoRoom, Place, Segment
from ddp.model.parameters import Vector
from ddp.model.room import filled_room, room_in, room_sizes
from ddp.ratings.arrays import IndexArray
from ddp.workers.job import Job, Task

# Belongs to the vector in a slot. `num_rounds` is its round, from 1, and is written last.
RECORD = np.dtype([("rmse", "f8"), ("loss", "f8"), ("num_rounds", "i8")])


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPlan:
    """The places that a worker writes to.

    `trainer_state` is empty unless the run may go back to a round.
    """

    vector: Place
    trainer_state: Place
    record: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The places of everything except the jobs. `num_rounds`: each aggregate's round + 1."""

    slots: dict[int, SlotPlan]
    aggregates: tuple[Place, ...]
    num_rounds: Place
    each_its_own: bool  # an aggregate for each worker: a late one may still read an old one
    common: Place | None
    turns: Place | None
    room: tuple[Place, Place] | None

    @classmethod
    def of(cls, task: Task, jobs: Sequence[Job], layout: Layout) -> "Plan":
        """Takes places for a run of these jobs from `layout`."""
        config = task.config
        goes_back = config.on_failure == "restart" or config.checkpoint_every > 0
        slots = {
            job.worker: SlotPlan(
                vector=layout.place((job.update_length,), np.float32),
                trainer_state=layout.place((job.state_length if goes_back else 0,), np.float32),
                record=layout.place((1,), RECORD),
            )
            for job in jobs
        }
        each_its_own = config.straggler_timeout is not None
        count = len(jobs) if each_its_own else 2
        length = len(task.make_aggregate().vector)
        common = turns = room = None
        if config.has_owners:
            common = layout.place((len(task.vector),), np.float32)
            # Several counters share a cache line, which workers then write and read by turns.
            turns = layout.place((len(jobs) + 1,), np.int64)
        if task.sweeping is not None:
            floats, doubles = room_sizes(task.sweeping, config.model.dim)
            room = layout.place((floats,), np.float32), layout.place((doubles,), np.float64)
        return cls(
            slots=slots,
            aggregates=tuple(layout.place((length,), np.float32) for _ in range(count)),
            num_rounds=layout.place((count,), np.int64),
            each_its_own=each_its_own,
            common=common,
            turns=turns,
            room=room,
        )


@dataclass(frozen=True, slots=True)
class Slot:
    """Views of a slot: float32 vectors, and one RECORD."""

    vector: Vector
    trainer_state: Vector
    record: Array


class Shared:
    """An open segment, its plan, and views of everything that the plan names."""

    def __init__(self, segment: Segment, plan: Plan) -> None:
        self.segment = segment
        self.plan = plan
        self.slots = {
            worker: Slot(
                segment.view(slot.vector),
                segment.view(slot.trainer_state),
                segment.view(slot.record),
            )
            for worker, slot in plan.slots.items()
        }
        self.aggregates: list[Vector] = [segment.view(place) for place in plan.aggregates]
        self._num_rounds: IndexArray = segment.view(plan.num_rounds)

    def rows(self) -> SharedRows | None:
        """How workers pass rows on; None unless split=stratified."""
        plan = self.plan
        if plan.common is None or plan.turns is None or plan.room is not None:
            return None
        return SharedRows(self.segment.view(plan.common), self.segment.view(plan.turns))

    def sharing(self, task: Task) -> CommonRows | None:
        """How rows get to all workers; None unless split=both."""
        plan = self.plan
        if plan.common is None or plan.turns is None or plan.room is None:
            return None
        assert task.sweeping is not None
        floats, doubles = map(self.segment.view, plan.room)
        room = room_in(task.sweeping, task.config.model.dim, floats, doubles)
        return CommonRows(self.segment.view(plan.common), room, self.segment.view(plan.turns))

    def fill(self, task: Task, turns: IndexArray) -> IndexArray | None:
        """Writes all that workers share before they begin. Gives the place of the counters."""
        plan = self.plan
        if plan.common is None or plan.turns is None:
            return None
        np.copyto(self.segment.view(plan.common), task.vector)
        if plan.room is not None and task.sweeping is not None:
            filled_room(task.sweeping, task.config.model.dim, *map(self.segment.view, plan.room))
        counters: IndexArray = self.segment.view(plan.turns)
        np.copyto(counters, turns)
        return counters

    def close(self) -> None:
        """Removes the segment's name and drops this end's views, which frees the memory."""
        self.segment.unlink()
        vars(self).clear()

    # --- a slot ---

    def write_slot(self, worker: int, round_index: int, rmse: float, loss: float) -> None:
        """Marks the content of the worker's slot as its update of the round."""
        record = self.slots[worker].record
        record["rmse"], record["loss"] = rmse, loss
        record["num_rounds"] = round_of(round_index)

    def read_slot(self, worker: int, round_index: int) -> tuple[float, float]:
        """RMSE and loss of the worker's update. Raises BackendError if it is of another round."""
        record = self.slots[worker].record
        _check_round(f"the slot of worker {worker}", record["num_rounds"][0], round_index)
        return float(record["rmse"][0]), float(record["loss"][0])

    # --- the aggregate ---

    def which(self, worker: int, round_index: int) -> int:
        """The number of the aggregate that the worker reads in a round."""
        return list(self.slots).index(worker) if self.plan.each_its_own else round_index % 2

    def write_aggregate(self, which: int, round_index: int, vector: Vector) -> None:
        """Copies an aggregate into the segment, unless it lies there already, and marks it."""
        if not np.shares_memory(self.aggregates[which], vector):
            np.copyto(self.aggregates[which], vector)
        self._num_rounds[which] = round_of(round_index)

    def aggregate(self, which: int, round_index: int) -> Vector:
        """An aggregate, where it lies. Raises BackendError if it is of another round."""
        _check_round("the aggregate", self._num_rounds[which], round_index)
        return self.aggregates[which]


def create_segment(size: int, directory: Path) -> Segment:
    """A new segment. Raises UserError or ConfigError if the directory cannot hold it."""
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
    if num_rounds != round_of(round_index):
        raise BackendError(f"round {round_of(round_index)}: {what} holds round {num_rounds}")
