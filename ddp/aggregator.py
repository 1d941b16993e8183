"""The aggregator's loop, written once: gather, combine, hand back; evaluate when nobody waits for it any more."""

import time
from collections.abc import Callable, Iterator

from ddp.backends.base import Backend
from ddp.combine import Combine
from ddp.config import Config
from ddp.errors import AggregationError
from ddp.messages import AggregateRound
from ddp.metrics import SquaredError
from ddp.parameters import Vector
from ddp.timing import Spans

Evaluate = Callable[[Vector], tuple[SquaredError, SquaredError]]


def aggregator_loop(
    config: Config, backend: Backend, combine: Combine, evaluate: Evaluate
) -> Iterator[tuple[AggregateRound, Vector]]:
    """The document's `aggregator`: one aggregate per round, with its row. (The next round overwrites the vector.)

    `evaluate`: a vector's errors on the global validation and test parts.
    What the caller does with a row is timed as "record".
    """
    spans = Spans()
    began = time.perf_counter()
    for round_index in range(config.rounds):
        updates = backend.gather(round_index, config.round_timeout, spans)
        with spans("average"):
            vector = backend.room()
            try:
                weights = combine(updates, vector)
            except AggregationError as error:
                raise AggregationError(f"round {round_index}: {error}") from error
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
