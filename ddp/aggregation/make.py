"""Chooses how the aggregate is made."""

from ddp.aggregation.combine import (
    Assemble,
    Combine,
    MeanByRow,
    MeanByWorker,
    OuterStep,
    SideBySide,
)
from ddp.aggregation.made_rows import MadeRows
from ddp.config.aggregation import Averaging, RowsAggregation
from ddp.workers.prepare import Prepared
from ddp.workers.state import RunState


def make_combine(prepared: Prepared, state: RunState | None = None) -> Combine:
    """The `Combine` for the aggregation and the split of the config.

    `state`: the one that the run continues from; None: it is new.
    """
    options, state = prepared.config.aggregation, state or RunState()
    if prepared.sweeping is not None:
        return MadeRows(prepared, prepared.sweeping, state.posterior)
    if prepared.strata is not None:
        return Assemble(prepared, prepared.strata)
    if prepared.config.in_ensemble:
        return SideBySide(prepared)
    assert isinstance(options, Averaging)
    mean = (
        MeanByRow(options, prepared)
        if isinstance(options, RowsAggregation)
        else MeanByWorker(options, prepared.num_ratings)
    )
    if options.outer == "none":
        return mean
    return OuterStep(options, mean, len(prepared.vector), state.outer_state)
