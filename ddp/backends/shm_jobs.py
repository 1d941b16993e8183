"""How a job comes to a worker that shares memory: its arrays lie in the segment, and only what is
left of it is pickled.
"""

import io
import pickle
from typing import Any

import numpy as np

from ddp.machine.segment import Array, Layout, Place, Segment
from ddp.workers.job import Job


class Mover(pickle.Pickler):
    """Pickles a job without its arrays. Each gets a place instead, one in however many jobs it is.

    `moves`: the arrays that this job is the first to have, with their places.
    """

    def __init__(self, job: Job, layout: Layout, places: dict[int, Place]) -> None:
        file = io.BytesIO()
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.layout = layout
        self.places = places  # by id: the jobs keep the arrays alive meanwhile
        self.moves: list[tuple[Place, Array]] = []
        self.dump(job)
        self.pickled = file.getvalue()

    def persistent_id(self, obj: Any) -> Place | None:
        if not isinstance(obj, np.ndarray):
            return None
        if id(obj) not in self.places:
            self.places[id(obj)] = self.layout.place(obj.shape, obj.dtype)
            self.moves.append((self.places[id(obj)], obj))
        return self.places[id(obj)]


class Finder(pickle.Unpickler):
    """Unpickles a job that a `Mover` has pickled: its arrays are views of the segment."""

    def __init__(self, pickled: bytes, segment: Segment) -> None:
        super().__init__(io.BytesIO(pickled))
        self.segment = segment

    def persistent_load(self, place: Any) -> Array:
        return self.segment.view(place)
