"""The pace of a run: ratings per second of all workers, and the time that remains."""

import pytest

from ddp.tracking.messages import AggregateRound
from ddp.tracking.metrics import SquaredError
from ddp.tracking.pace import Pace, clock, in_short


def row(round_index, elapsed_s):
    error = SquaredError(4.0, 4)
    return AggregateRound(
        round_index=round_index, valid=error, test=error, weights=(1.0,), elapsed_s=elapsed_s
    )


@pytest.fixture
def pace(make_config):
    def pace(*overrides):
        made = Pace(make_config("workers=2", "rounds=10", "local_epochs=5", *overrides))
        made.begin({0: 1000, 1: 3000})
        made.started(100.0)
        made.started(101.0)  # the later one
        return made

    return pace


def test_ratings_per_second_are_those_of_all_workers_over_the_training(pace):
    known = pace()
    assert (known.per_second, known.remaining_s(100.0, [0, 1])) == (None, None)
    known.epochs(0, 5, 102.0)
    known.epochs(1, 5, 104.0)
    assert known.per_second == (5 * 1000 + 5 * 3000) / 4
    known.aggregated(row(0, 5.0), 105.0)
    assert known.per_second == (5 * 1000 + 5 * 3000) / 5  # the exchange is a part of training


def test_the_remaining_time_is_that_of_the_rounds_that_are_left(pace):
    known = pace()
    known.epochs(0, 5, 102.0)
    known.epochs(1, 5, 102.0)
    known.aggregated(row(0, 2.0), 102.0)
    assert known.remaining_s(102.0, [0, 1]) == pytest.approx(9 * 2)
    assert known.remaining_s(103.0, [0, 1]) == pytest.approx(17)  # it runs on between two rounds
    known.epochs(0, 10, 103.0)
    assert known.remaining_s(103.0, [0]) == pytest.approx(8 * 5 * 3 / 15)  # worker 1 was dropped
    assert known.remaining_s(500.0, [0, 1]) == 0
    assert known.remaining_s(102.0, []) is None


def test_max_seconds_ends_a_run_with_a_round(pace):
    known = pace("max_seconds=5")
    known.epochs(0, 5, 102.0)
    known.epochs(1, 5, 102.0)
    known.aggregated(row(0, 2.0), 102.0)
    assert known.remaining_s(102.0, [0, 1]) == pytest.approx(2 * 2)  # rounds 2 and 3
    late = pace("max_seconds=500")
    late.epochs(0, 5, 102.0)
    late.epochs(1, 5, 102.0)
    assert late.remaining_s(102.0, [0, 1]) == pytest.approx(9 * 2)


def test_a_resumed_run_counts_what_this_process_has_trained(pace):
    known = pace()
    known.rewind(8, row(7, 80.0))
    assert (known.round, known.training_s, known.per_second) == (8, 80.0, None)
    known.started(200.0)
    known.epochs(0, 45, 204.0)
    known.epochs(1, 45, 204.0)
    assert known.per_second == 20_000 / 4
    assert known.remaining_s(204.0, [0, 1]) == pytest.approx(4)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.4, "0"), (999, "999"), (1000, "1.0k"), (99_949, "99.9k"), (99_950, "100k"),
     (999_600, "1.0M"), (12_345_678, "12.3M"), (3.2e9, "3.2G")],
)  # fmt: skip
def test_a_number_in_short(number, text):
    assert in_short(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")]
)
def test_a_clock(seconds, text):
    assert clock(seconds) == text
