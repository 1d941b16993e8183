"""The state of a run as a checkpoint holds it: named tensors, and facts as JSON.

| tensor              | meaning                                                                   |
|---------------------|---------------------------------------------------------------------------|
| `aggregate`         | the last aggregate                                                        |
| `best`              | the aggregate of the best round, if the run keeps it and it is not the    |
|                     | last one                                                                  |
| `memory/0`, ...     | the trainer state of each worker (an old name)                            |
| `outer/0`, ...      | the state of the outer optimizer                                          |
| `predictions`       | the sums of predictions of a run whose aggregate is a mean of samples     |
| `weights/0`, `/1`   | the state of its chain (`Chain`)                                          |
| `trusts/0`, `/1`    |                                                                           |
| `sums`              |                                                                           |
| `sample/0`, ...     | its samples, by the index of their round                                  |
| `user_trusts/0`,    | the trusts of users and of items in these samples, likewise               |
| `item_trusts/0` ... |                                                                           |
"""

import math
from typing import Any

import numpy as np

from ddp.config.schema import Config
from ddp.model.parameters import Vector, parameter_shapes
from ddp.ratings.arrays import Ratings
from ddp.ratings.row_blocks import SIDES
from ddp.tracking.metrics import SquaredError
from ddp.workers.posterior import Chain, Posterior, Sample
from ddp.workers.state import BestRound, RunState

TRUSTS = ("user_trusts", "item_trusts")
Tensors = dict[str, np.ndarray[Any, np.dtype[Any]]]


def tensors_of(state: RunState) -> Tensors:
    """The vectors of a state, by name."""
    assert state.vector is not None
    tensors: Tensors = {"aggregate": state.vector}
    best = state.best
    if best is not None and best.vector is not None and not _is_last(best, state.next_round):
        tensors["best"] = best.vector
    tensors |= {f"memory/{worker}": vector for worker, vector in state.trainer_states.items()}
    tensors |= {f"outer/{index}": vector for index, vector in enumerate(state.outer_state)}
    if (posterior := state.posterior) is not None:
        tensors["predictions"] = posterior.predictions
        for side in SIDES:
            tensors[f"weights/{side}"] = posterior.chain.weights[side]
            tensors[f"trusts/{side}"] = posterior.chain.trusts[side]
        tensors["sums"] = posterior.chain.sums
        for each in posterior.samples:
            tensors[f"sample/{each.round_index}"] = each.vector
            for kind, trusts in zip(TRUSTS, each.trusts, strict=True):
                tensors[f"{kind}/{each.round_index}"] = trusts
    return tensors


def facts_of(state: RunState) -> dict[str, Any]:
    """All other facts of a state, as JSON holds them."""
    best, posterior = state.best, state.posterior
    return {
        "next_round": state.next_round,
        "dropped": state.dropped,
        "restarts": state.restarts,
        "elapsed_s": state.elapsed_s,
        "best": None if best is None else [best.round_index, best.valid.total, best.valid.count],
        "posterior": None if posterior is None else _facts_of_samples(posterior),
    }


def _facts_of_samples(posterior: Posterior) -> dict[str, Any]:
    return {
        "precision": posterior.precision,
        "precisions": posterior.precisions,
        "strengths": posterior.chain.strengths,
        "spreads": posterior.chain.spreads,
        "stride": posterior.stride,
        "samples": {each.round_index: each.precision for each in posterior.samples},
    }


def state_of(tensors: Tensors, facts: dict[str, Any], config: Config) -> RunState:
    """The state that `tensors_of` and `facts_of` have split.

    Raises KeyError, TypeError or ValueError if they are those of no state.
    """

    def vectors(kind: str) -> dict[int, Vector]:
        return {
            int(name.partition("/")[2]): tensors[name]
            for name in tensors
            if name.startswith(f"{kind}/")
        }

    outer = vectors("outer")
    return RunState(
        next_round=facts["next_round"],
        vector=tensors["aggregate"],
        best=_best(tensors, facts, config),
        trainer_states=vectors("memory"),
        outer_state=tuple(outer[index] for index in sorted(outer)),
        posterior=_posterior(tensors, facts),
        dropped=tuple(facts["dropped"]),
        restarts=facts["restarts"],
        elapsed_s=facts["elapsed_s"],
    )


def _posterior(tensors: Tensors, facts: dict[str, Any]) -> Posterior | None:
    """The samples so far; a checkpoint of an earlier version has none."""
    if (known := facts.get("posterior")) is None:
        return None
    samples = [
        Sample(
            int(index),
            float(precision),
            tensors[f"sample/{index}"],
            (tensors[f"user_trusts/{index}"], tensors[f"item_trusts/{index}"]),
        )
        for index, precision in known["samples"].items()
    ]
    chain = Chain(
        precision=float(known["precision"]),
        trusts=(tensors["trusts/0"], tensors["trusts/1"]),
        weights=(tensors["weights/0"], tensors["weights/1"]),
        sums=tensors["sums"],
        strengths=_two(known["strengths"]),
        spreads=_two(known["spreads"]),
    )
    return Posterior(
        chain=chain,
        precisions=tuple(map(float, known["precisions"])),
        predictions=tensors["predictions"],
        samples=tuple(samples),
        stride=int(known["stride"]),
    )


def _two(numbers: Any) -> tuple[float, float]:
    users, items = map(float, numbers)
    return users, items


def _best(tensors: Tensors, facts: dict[str, Any], config: Config) -> BestRound | None:
    """The best round; format 1 has none."""
    if (known := facts.get("best")) is None:
        return None
    round_index, total, count = known
    best = BestRound(round_index=round_index, valid=SquaredError(total, count))
    if not config.keeps_best:
        return best
    name = "aggregate" if _is_last(best, facts["next_round"]) else "best"
    return BestRound(round_index=round_index, valid=best.valid, vector=tensors[name])


def _is_last(best: BestRound, next_round: int) -> bool:
    return best.round_index == next_round - 1


def check_state(state: RunState, config: Config, ratings: Ratings) -> None:
    """Raises ValueError for a state that no run of this config can be in."""
    numbers = (state.next_round, state.restarts, *state.dropped)
    if (
        not all(type(number) is int for number in numbers)
        or state.next_round < 1
        or state.restarts < 0
    ):
        raise ValueError("its numbers are not those of a run")
    if len({*state.dropped}) != len(state.dropped) or not {*state.dropped} < {
        *range(config.workers)
    }:
        raise ValueError("other workers were dropped than there are")
    _check_best(state)
    vectors = [state.vector, *state.trainer_states.values(), *state.outer_state]
    aggregates = [state.vector]
    if (posterior := state.posterior) is not None:
        aggregates += [sample.vector for sample in posterior.samples]
        of_samples = [posterior.chain.trusts, *(sample.trusts for sample in posterior.samples)]
        for users, items in of_samples:
            if users.shape != (ratings.num_users,) or items.shape != (ratings.num_items,):
                raise ValueError("its trusts are of other users or items")
            vectors += [users, items]
        if posterior.predictions.dtype != np.float64 or posterior.predictions.ndim != 1:
            raise ValueError("its predictions are none")
    if (posterior is not None) != config.trainer.samples:
        raise ValueError("its samples are missing, or its trainer has none")
    if state.best is not None and config.keeps_best:
        aggregates.append(state.best.vector)
    if any(
        vector is None or vector.dtype != np.float32 or vector.ndim != 1
        for vector in (*vectors, *aggregates)
    ):
        raise ValueError("its vectors are none")
    dim = config.model.dim * (config.workers if config.in_ensemble else 1)
    shapes = parameter_shapes(ratings.num_users, ratings.num_items, dim, config.model.biases)
    length = sum(math.prod(shape) for shape in shapes.values())
    if any(vector is None or len(vector) != length for vector in aggregates):
        raise ValueError("the aggregate is of another model")
    if not math.isfinite(state.elapsed_s):
        raise ValueError("its time is none")


def _check_best(state: RunState) -> None:
    best = state.best
    if best is not None and not (
        type(best.round_index) is type(best.valid.count) is int
        and 0 <= best.round_index < state.next_round
        and best.valid.count > 0
        and math.isfinite(best.valid.total)
    ):
        raise ValueError("its best round is none of its rounds")
