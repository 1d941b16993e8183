"""A long trace keeps sums, and the order of the last rounds."""

import json
from array import array
from collections import defaultdict

import pytest

from ddp.timing.paths import PATH_NUMBERS
from ddp.tracking.trace import MOST_SLICES, Trace

ROUNDS, LANES = 4, (None, 0)
NUM_SLICES = MOST_SLICES // 4 + 2  # of a lane in a round: too many from the third round on


def content(start):
    """Compute and evaluate in turns, one and two milliseconds long."""
    numbers = array("d")
    for number in range(NUM_SLICES):
        path = ("compute", "evaluate")[number % 2]
        seconds = 0.001 * (1 + number % 2)
        numbers.extend((PATH_NUMBERS[path], start, seconds))
        start += seconds
    return numbers.tobytes()


def test_the_last_two_rounds_of_every_lane_stay_whole_and_all_sums_stay_equal():
    trace = Trace()
    for index in range(ROUNDS):
        for worker in LANES:
            trace.add(worker, index, content(1000.0 * index))
    for worker in LANES:  # what comes after the last round
        last = array("d", (PATH_NUMBERS["stop"], 5000.0, 1.0)).tobytes()
        trace.add(worker, None, last)
    counts, sums = defaultdict(int), defaultdict(float)
    for event in json.loads("".join(trace.as_json("title")))["traceEvents"]:
        if event["ph"] == "X" and "round" in event["args"]:
            key = event["tid"], event["args"]["round"]
            counts[key] += 1
            sums[*key, event["name"]] += event["dur"]
    whole, condensed = NUM_SLICES, 2  # a slice per kind
    for lane in range(len(LANES)):
        assert [counts[lane, number] for number in range(1, ROUNDS + 1)] == [
            condensed,
            condensed,
            whole,
            whole,
        ]
    assert len(sums) == ROUNDS * len(LANES) * 2
    for (_, _, kind), us in sums.items():
        assert us == pytest.approx(NUM_SLICES / 2 * (1000 if kind == "compute" else 2000))
