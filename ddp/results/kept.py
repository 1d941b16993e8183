"""The model that a run keeps: one aggregate, or several samples side by side."""

from dataclasses import dataclass, replace

from ddp.config.model import Model
from ddp.model.parameters import Parameters
from ddp.model.samples import side_by_side
from ddp.workers.job import Task
from ddp.workers.state import RunState


@dataclass(frozen=True, slots=True)
class Kept:
    """A model to save, with its rows in the order of the data.

    `precisions`: the precision of the noise in each of its samples; empty if it is no mean of
    samples.
    """

    options: Model
    parameters: Parameters
    precisions: tuple[float, ...] = ()


def kept_model(state: RunState, task: Task) -> Kept | None:
    """The model that a run keeps in this state; None before its first round has ended."""
    options = task.config.model
    if state.posterior is not None and (samples := state.posterior.samples):
        joined = side_by_side([task.parameters(sample.vector) for sample in samples])
        options = replace(options, dim=joined.dim, biases=False)
        return Kept(options, joined, tuple(sample.precision for sample in samples))
    if (vector := state.kept(task.config)) is None:
        return None
    return Kept(replace(options, dim=task.aggregate_dim), task.make_aggregate(vector))
