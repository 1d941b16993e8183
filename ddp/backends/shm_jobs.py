"""How a job gets to a worker of backend=shm.

JobPickler    parent   arrays of the job -> the segment; the rest, and their places -> bytes
JobUnpickler  worker   bytes -> the job, whose arrays are views of the segment
"""

import io
import pickle
from typing import Any

import numpy as np

from ddp.machine.segment import Array, Layout, Place, Segment
from ddp.workers.job import Job


class JobPickler(pickle.Pickler):
    """Pickles a job without its arrays. An array of several jobs has one place.

    | field     | meaning                                                                        |
    |-----------|--------------------------------------------------------------------------------|
    | `pickled` | the bytes                                                                      |
    | `new`     | the arrays that no earlier job had, with the places that the caller copies to  |
    | `places`  | id of an array -> its place, for all jobs so far, which must stay alive        |
    """

    def __init__(self, job: Job, layout: Layout, places: dict[int, Place]) -> None:
        file = io.BytesIO()
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.layout = layout
        self.places = places
        self.new: list[tuple[Place, Array]] = []
        self.dump(job)
        self.pickled = file.getvalue()

    def persistent_id(self, obj: Any) -> Place | None:
        if not isinstance(obj, np.ndarray):
            return None
        if id(obj) not in self.places:
            self.places[id(obj)] = self.layout.place(obj.shape, obj.dtype)
            self.new.append((self.places[id(obj)], obj))
        return self.places[id(obj)]


class JobUnpickler(pickle.Unpickler):
    """Unpickles a job from a `JobPickler`: its arrays are views of the segment."""

    def __init__(self, pickled: bytes, segment: Segment) -> None:
        super().__init__(io.BytesIO(pickled))
        self.segment = segment

    def persistent_load(self, place: Any) -> Array:
        return self.segment.view(place)
