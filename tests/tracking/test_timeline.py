"""The picture of the last rounds: its ticks, and the rounds that it shows."""

from array import array

import pytest
from event_files import aggregate, read_events, worker_round

from ddp.timing.account import Account
from ddp.timing.paths import PATH_NUMBERS
from ddp.tracking import timeline
from ddp.tracking.messages import Rewound
from ddp.tracking.tensorboard import TensorBoard
from ddp.tracking.timeline import ticks
from ddp.tracking.tracker import RunFacts


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (37.0, [0, 10, 20, 30]),
        (50.0, [0, 10, 20, 30, 40, 50]),
        (51.0, [0, 20, 40]),
        (1.7, [0, 0.5, 1.0, 1.5]),
        (4999.0, [0, 1000, 2000, 3000, 4000]),
        (0.0, [0]),
    ],
)
def test_ticks_are_round_numbers(length, expected):
    assert ticks(length) == pytest.approx(expected)


@pytest.mark.parametrize(
    "length", [10**power * digit for power in range(-3, 6) for digit in (1, 3, 9)]
)
def test_there_are_neither_many_ticks_nor_none(length):
    found = ticks(length)
    assert 3 <= len(found) <= timeline.MOST_TICKS + 1
    assert found[-1] <= length * (1 + 1e-9)


def account(start):
    numbers = [PATH_NUMBERS["compute"], start, 1.0]
    return Account(seconds={"compute": 1.0}, slices=array("d", numbers).tobytes())


def test_the_picture_shows_the_last_three_rounds_counted_from_1(tmp_path, monkeypatch):
    drawn = []
    draw = timeline.timeline
    monkeypatch.setattr(timeline, "timeline", lambda *given: drawn.append(given) or draw(*given))
    board = TensorBoard(RunFacts(directory=tmp_path, settings={"workers": 1}))
    for number in (0, 1, 2, 3, 4):
        board.on(worker_round(0, number, account=account(10.0 * number)))
        board.on(aggregate(number, account=account(10.0 * number)))
    board.on(Rewound(next_round=4, last=aggregate(3)))  # the last one began again
    board.on(worker_round(0, 4, account=account(60.0)))
    board.on(aggregate(4, account=account(60.0)))
    board.close()
    ((starts, lanes, end),) = drawn
    assert starts == {"round 3": 20.0, "round 4": 30.0, "round 5": 60.0}
    assert [start for _, start, _ in lanes["worker_0"]] == [20.0, 30.0, 60.0]
    assert end == 61.0
    assert len(read_events(tmp_path).Images("timeline/last_rounds")) == 1
