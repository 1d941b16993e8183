"""The model that a run keeps: one aggregate, or several samples side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ddp.config.model import Model
from ddp.model.parameters import Parameters
from ddp.model.samples import Noise, side_by_side
from ddp.ratings.row_blocks import SIDES
from ddp.workers.job import Task
from ddp.workers.posterior import Sample
from ddp.workers.state import RunState


@dataclass(frozen=True, slots=True)
class Kept:
    """A model to save, with its rows in the order of the data.

    `noise`: that of ratings, if it holds samples side by side.
    """

    options: Model
    parameters: Parameters
    noise: Noise | None = None


def kept_model(state: RunState, task: Task) -> Kept | None:
    """The model that a run keeps in this state; None before its first round has ended."""
    options = task.config.model
    if state.posterior is not None and (samples := state.posterior.samples):
        joined = side_by_side([task.parameters(sample.vector) for sample in samples])
        options = replace(options, dim=joined.dim, biases=False)
        return Kept(options, joined, _noise_in(samples))
    if (vector := state.kept(task.config)) is None:
        return None
    return Kept(replace(options, dim=task.aggregate_dim), task.make_aggregate(vector))


def _noise_in(samples: Sequence[Sample]) -> Noise:
    users, items = (
        np.stack([1 / sample.trusts[side] for sample in samples]).mean(axis=0, dtype=np.float32)
        for side in SIDES
    )
    return Noise(tuple(sample.precision for sample in samples), users, items)
