"""The aggregator's loop, written once: gather, average, hand back; evaluate when nobody waits for it any more."""

import time
from collections.abc import Callable, Iterator, Sequence

from ddp.averaging import weighted_mean, worker_weights
from ddp.backends.base import Backend
from ddp.config import Config
from ddp.errors import AggregationError
from ddp.exchange import Update
from ddp.messages import AggregateRound
from ddp.metrics import SquaredError
from ddp.parameters import Vector
from ddp.timing import Spans

Evaluate = Callable[[Vector], tuple[SquaredError, SquaredError]]


def aggregate(
    config: Config, updates: Sequence[Update], num_ratings: Sequence[int], out: Vector
) -> tuple[Vector, tuple[float, ...]]:
    """The weighted mean of one round's updates, in `out`, and the weights. Raises AggregationError with worker and round."""
    try:
        weights = worker_weights(config.aggregation, num_ratings, [update.loss for update in updates])
        mean = weighted_mean([update.vector for update in updates], weights, out)
    except AggregationError as error:
        raise AggregationError(f"round {updates[0].round_index}: {error}") from error
    return mean, tuple(float(weight) for weight in weights)


def aggregator_loop(
    config: Config, backend: Backend, num_ratings: Sequence[int], evaluate: Evaluate
) -> Iterator[tuple[AggregateRound, Vector]]:
    """The document's `aggregator`: one aggregate per round, with its row. (The next round overwrites the vector.)

    `num_ratings`: training ratings per worker. `evaluate`: a vector's errors on the global validation and test parts.
    What the caller does with a row is timed as "record".
    """
    spans = Spans()
    began = time.perf_counter()
    for round_index in range(config.rounds):
        updates = backend.gather(round_index, config.round_timeout, spans)
        with spans("average"):
            vector, weights = aggregate(config, updates, num_ratings, backend.room(len(updates[0].vector)))
        with spans("broadcast"):
            backend.broadcast(round_index, vector, spans)
        del updates  # they may be views of what workers write next
        elapsed_s = time.perf_counter() - began
        with spans("evaluate"):
            valid, test = evaluate(vector)
        row = AggregateRound(
            round_index=round_index, valid=valid, test=test, weights=weights, elapsed_s=elapsed_s, account=spans.take()
        )
        with spans("record"):
            yield row, vector
    backend.finish(config.round_timeout)
