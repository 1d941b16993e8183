"""The trackers that get an event: all of them get each, and the history keeps rows."""

import dataclasses

from event_files import worker_round

from ddp.errors import WorkerError
from ddp.machine.memory import Memory
from ddp.timing.account import Account
from ddp.tracking import messages
from ddp.tracking.history import History
from ddp.tracking.messages import (
    AggregateRound,
    Asking,
    Ended,
    EpochDone,
    Event,
    Failed,
    Failure,
    Finished,
    HandedOn,
    Measured,
    MemoryUsed,
    Message,
    OutsideRounds,
    Preparing,
    Published,
    RatingsRead,
    Reference,
    Rewound,
    RunEnds,
    Started,
    TrainingBegan,
)
from ddp.tracking.metrics import SquaredError
from ddp.tracking.tracker import Everyone, Tracker

AGGREGATE = AggregateRound(
    round_index=0,
    valid=SquaredError(1.0, 4),
    test=SquaredError(4.0, 4),
    weights=(0.5, 0.5),
    elapsed_s=1.0,
    lr=0.1,
)
HEARD = [
    Started(worker=1, startup_s=0.5), EpochDone(worker=1, round_index=0, epoch=2),
    worker_round(1, 0),
    Finished(worker=1, memory=Memory(peak_rss_bytes=1000, pss_bytes=100)),
]  # fmt: skip
NOT_FOR_TRACKERS = [
    Asking(worker=0),
    Published(worker=0, round_index=0),
    HandedOn(worker=0, group=1, turn=2),
    Failed(worker=0, error=WorkerError(0, 1, "made up")),
]


EVENTS = [
    *HEARD,
    *NOT_FOR_TRACKERS,
    AGGREGATE,
    Failure.of(WorkerError(0, 1, "made up"), "drop"),
    Rewound(next_round=1, last=AGGREGATE),
    Ended(worker=1, began_s=0.5, ended_s=1.5),
    Preparing("reading", 1, 2, "bytes"),
    RatingsRead(lines=[("data", "a fact")]),
    TrainingBegan(torch_threads=1),
    OutsideRounds(account=Account()),
    MemoryUsed(processes={}, shared_bytes=0),
    Reference(valid=1.0, test=1.1),
    Measured(values={"mae": 0.5}),
    RunEnds(status="failed", error="made up"),
]


class Notebook(Tracker):
    def __init__(self, name: str, log: list) -> None:
        self.name, self.log = name, log

    def open(self):
        self.log.append((self.name, "open"))

    def on(self, event):
        self.log.append((self.name, event))

    def close(self):
        self.log.append((self.name, "close"))


def test_every_kind_of_event_is_listed_here():
    """Otherwise the next test would leave out a new kind."""
    kinds = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind not in (Event, Message)
    }
    assert {type(event) for event in EVENTS} == kinds


def test_every_event_reaches_every_tracker():
    log = []
    everyone = Everyone([Notebook("first", log), Tracker(), Notebook("second", log)])
    everyone.open()
    for event in EVENTS:
        everyone.on(event)
    everyone.close()
    names = ("first", "second")
    assert log[:2] == [(name, "open") for name in names]
    assert log[2:-2] == [(name, event) for event in EVENTS for name in names]
    assert log[-2:] == [(name, "close") for name in names]


def test_a_plain_tracker_and_an_empty_everyone_do_nothing():
    for tracker in (Tracker(), Everyone([])):
        before = dict(vars(tracker))
        assert tracker.open() is None
        for event in EVENTS:
            assert tracker.on(event) is None
        assert tracker.close() is None
        assert vars(tracker) == before


def test_the_history_keeps_every_row():
    history = History()
    for message in [*HEARD, worker_round(0, 0), worker_round(1, 1), *NOT_FOR_TRACKERS]:
        history.on(message)
    history.on(AGGREGATE)
    history.on(Ended(worker=1, began_s=0.5, ended_s=1.5))
    history.close()
    assert history.startup_s == {1: 0.5}
    assert history.finished_with[1].memory.peak_rss_bytes == 1000
    assert history.lives == {1: (0.5, 1.5)}
    assert [(row.worker, row.round_index) for row in history.worker_rounds] == [
        (1, 0),
        (0, 0),
        (1, 1),
    ]
    assert [row.round_index for row in history.worker(1)] == [0, 1]
    assert history.worker(2) == []
    assert history.aggregate_rounds == [AGGREGATE]


def test_a_round_that_begins_again_leaves_no_row_in_the_history():
    history = History()
    for number in range(3):
        for worker in (0, 1):
            history.on(worker_round(worker, number))
        history.on(dataclasses.replace(AGGREGATE, round_index=number))
    history.on(Rewound(next_round=1, last=history.aggregate_rounds[0]))
    assert [(row.worker, row.round_index) for row in history.worker_rounds] == [(0, 0), (1, 0)]
    assert [row.round_index for row in history.aggregate_rounds] == [0]


def test_the_history_keeps_no_slices():
    """Slices of a long run would take more memory than all the rest."""
    history = History()
    told = Account(seconds={"compute": 1.0}, slices=b"12345678" * 3)
    history.on(worker_round(0, 0, account=told))
    history.on(dataclasses.replace(AGGREGATE, account=told))
    for row in (*history.worker_rounds, *history.aggregate_rounds):
        assert row.account == Account(seconds={"compute": 1.0})
    assert told.slices  # other trackers get them
