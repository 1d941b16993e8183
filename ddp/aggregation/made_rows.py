"""The aggregate of split=both: each row from the worker that makes it, and the samples so far."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ddp.aggregation.combine import Combine
from ddp.config.trainer import GibbsTrainer
from ddp.errors import AggregationError
from ddp.model.parameters import Vector
from ddp.model.rows import learned, made_rows, unpack
from ddp.model.sweeping import NUM_FACTS, Sweeping
from ddp.workers.exchange import Update
from ddp.workers.posterior import Posterior, no_samples
from ddp.workers.prepare import Prepared


class MadeRows(Combine):
    """Puts the rows of all workers together.

    If the trainer samples, it also adds up the workers' sums of predictions, and notes the
    precisions of the noise. `posterior`: the samples that the run continues from; None: it is new.
    """

    def __init__(self, prepared: Prepared, sweeping: Sweeping, posterior: Posterior | None) -> None:
        self.task = prepared
        self.sweeping, self.blocks = sweeping, sweeping.blocks
        self.places = {worker: prepared.held_out_of(worker) for worker in prepared.workers}
        self.posterior = posterior
        if posterior is None and prepared.config.trainer.samples:
            held_out = len(prepared.valid) + len(prepared.test)
            self.posterior = no_samples(held_out, sweeping, prepared.config.model.dim)

    def __call__(self, updates: Sequence[Update], before: Vector, out: Vector) -> tuple[float, ...]:
        state = self.task.parameters(out)
        np.copyto(out, before)  # for the global mean
        rest = {}
        for update in updates:
            made = learned(made_rows(self.blocks, state, update.worker))
            unpack(update.vector, made)
            if not all(np.isfinite(array).all() for array in made):
                raise AggregationError.not_finite(update.worker)
            rest[update.worker] = update.vector[sum(array.size for array in made) :]
        if self.posterior is not None:
            self.posterior = self._after(self.posterior, updates[0].round_index, rest)
        return tuple([1.0 / len(updates)] * len(updates))

    def _after(self, before: Posterior, round_index: int, rest: dict[int, Vector]) -> Posterior:
        """The samples after a round. `rest`: the precisions and predictions of each worker."""
        options, num_epochs = self.task.config.trainer, self.task.config.local_epochs
        assert isinstance(options, GibbsTrainer)
        # all workers have drawn the same precisions
        precisions = next(iter(rest.values()))[:num_epochs].tolist()
        counted = min(num_epochs, max(0, (round_index + 1) * num_epochs - options.burn_in))
        predictions, chain = before.predictions.copy(), before.chain.copy()
        for worker, floats in rest.items():
            places = self.places[worker]
            stop = num_epochs + len(places)
            predictions[places] += floats[num_epochs:stop]
            chain.take_over(floats[stop:], self.sweeping, worker)
        facts = next(iter(rest.values()))[-2 * NUM_FACTS :].view(np.float64).tolist()
        return replace(
            before,
            chain=replace(chain.with_facts(facts), precision=precisions[-1]),
            precisions=(*before.precisions, *precisions[num_epochs - counted :]),
            predictions=predictions,
        )
