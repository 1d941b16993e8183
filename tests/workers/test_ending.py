"""The best round, and the setting that ends a run: pure functions of the rounds so far."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ddp.results.stored_state import facts_of, state_of, tensors_of
from ddp.tracking.metrics import SquaredError
from ddp.workers.state import BestRound, RunState, ended_by, is_better

TOTALS = st.lists(
    st.one_of(st.just(math.nan), st.integers(1, 6).map(float)), min_size=1, max_size=12
)


def best_of(totals):
    best = None
    for index, total in enumerate(totals):
        if is_better(SquaredError(total, 2), best):
            best = BestRound(round_index=index, valid=SquaredError(total, 2))
    return best


@given(TOTALS)
def test_the_best_round_is_the_first_of_the_lowest_errors(totals):
    known = [(total, index) for index, total in enumerate(totals) if not math.isnan(total)]
    best = best_of(totals)
    assert (best and best.round_index) == (min(known)[1] if known else None)


@given(TOTALS, st.integers(1, 4))
def test_patience_counts_the_rounds_since_the_best_one(make_config, totals, patience):
    config = make_config("rounds=100")
    config.patience = patience
    ended = None
    for done in range(1, len(totals) + 1):
        best = best_of(totals[:done])
        if ended_by(config, done, best, 0.0):
            ended = done
            break
    # naively: a window of `patience` rounds after the first minimum, none of them lower
    expected, lowest, since = None, math.inf, None
    for done, total in enumerate(totals, 1):
        if total < lowest:
            lowest, since = total, 0
        elif since is not None:
            since += 1
        if since == patience:
            expected = done
            break
    assert ended == expected


def test_the_first_reason_that_holds_is_told(make_config):
    config = make_config("rounds=5", "patience=2", "max_seconds=10")
    best = BestRound(round_index=0, valid=SquaredError(1.0, 1))
    assert ended_by(config, 5, best, 99.0) == "rounds"
    assert ended_by(config, 3, best, 99.0) == "patience"
    assert ended_by(config, 2, best, 10.0) == "max_seconds"
    assert ended_by(config, 2, best, 9.9) is None
    assert ended_by(config, 4, None, 0.0) is None


@given(st.integers(1, 4), st.data())
def test_a_checkpoint_gives_the_best_round_back(make_config, next_round, data):
    config = make_config("keep=best", "select_on=valid")
    assert config.keeps_best
    round_index = data.draw(st.integers(0, next_round - 1))
    last = np.arange(3, dtype=np.float32)
    vector = last if round_index == next_round - 1 else last + 1
    best = BestRound(round_index=round_index, valid=SquaredError(0.5, 3), vector=vector)
    state = RunState(next_round=next_round, vector=last, best=best)
    tensors = tensors_of(state)
    assert ("best" in tensors) == (vector is not last)  # one extra vector at most
    again = state_of(tensors, facts_of(state), config)
    assert (again.best.round_index, again.best.valid) == (round_index, best.valid)
    assert again.kept(config).tobytes() == vector.tobytes()
    assert again.kept_round_index(config) == round_index
    config.keep = "last"
    assert state_of(tensors, facts_of(state), config).best.vector is None
