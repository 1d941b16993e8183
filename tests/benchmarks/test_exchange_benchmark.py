"""The benchmark of the exchange: its figures, from given accounts and from real loops."""

import pytest
from small_runs import median

from benchmarks.exchange import baselines, rounds
from ddp.timing.account import Account
from ddp.tracking.messages import AggregateRound, WorkerRound
from ddp.tracking.metrics import SquaredError


def worker_round(worker, round_index, publish_s, wait_s, hold_s):
    seconds = {
        "compute": 9.0,
        "publish": publish_s,
        "publish/lock_hold": hold_s,
        "wait": wait_s,
        "receive": 0.25,
        "other": 9.0,
    }
    account = Account(seconds=seconds, num_bytes={"publish": 1000 * (worker + 1)})
    row = {
        "train_loss": 0.0,
        "valid": SquaredError(),
        "test": SquaredError(),
        "best_epoch": 0,
        "aggregate_received": True,
    }
    return WorkerRound(worker=worker, round_index=round_index, account=account, **row)


def test_a_round_of_exchange_is_publishing_waiting_and_receiving():
    workers, aggregates = [], []
    for number, factor in enumerate((100.0, 100.0, 1.0, 2.0, 6.0)):  # the first two rounds warm up
        workers += [
            worker_round(0, number, 1.0 * factor, 2.0, 0.5),
            worker_round(1, number, 3.0 * factor, 1.0, 0.125 * factor),
        ]
        account = Account(
            seconds={"average": 4.0 * factor, "broadcast/lock_hold": 0.25, "evaluate": 9.0}
        )
        none = {
            "valid": SquaredError(),
            "test": SquaredError(),
            "weights": (0.5, 0.5),
            "elapsed_s": 0.0,
        }
        aggregates.append(AggregateRound(round_index=number, account=account, **none))
    figures = rounds.figures(workers, aggregates)
    assert figures == {
        # means over workers, of the middle round
        "publish, ms": pytest.approx(((1 + 3) / 2 * 2 + (0.5 + 0.25) / 2) * 1e3),
        "wait, ms": 1500.0,
        "receive, ms": 250.0,
        "round, ms": pytest.approx((4 + 0.375 + 1.5 + 0.25) * 1e3),
        "last to publish, ms": 4750.0,
        "gather, ms": 0.0,
        "average, ms": 8000.0,
        "broadcast, ms": 250.0,
        "lock held, ms": 500.0,
        "lock held at most, ms": 750.0,
        "pickled, kB": 1.5,
    }


def test_exchange_measures_the_real_loops():
    figures = rounds.exchange("thread", size=2000, workers=2, rounds=3)
    assert all(figures[f"{part}, ms"] > 0 for part in ("publish", "wait", "receive", "round"))
    assert figures["lock held, ms"] > 0
    assert figures["pickled, kB"] == 0


@pytest.mark.parametrize(
    ("workers", "cores", "copies"), [(1, 2, 2 + 1), (2, 2, 2 + 1.5), (5, 2, 6 + 3), (5, 8, 2 + 3)]
)
def test_copies_needed_go_as_many_at_a_time_as_there_are_cores(workers, cores, copies, monkeypatch):
    monkeypatch.setattr(baselines, "num_cores", lambda: cores)
    assert baselines.copies_needed(workers) == copies


@pytest.mark.slow
def test_exchange(benchmark):
    arguments = (
        "--sizes",
        "2000",
        "--workers",
        "2",
        "--rounds",
        "3",
        "--backends",
        "thread",
        "process",
    )
    rows, _ = benchmark("exchange", "--repeats", "2", *arguments)
    by = {row["by"]: row for row in rows}
    assert [*by] == ["copy", "gloo", "thread", "process"]
    for ratio, baseline in (("times the copies needed", by["copy"]), ("times gloo", by["gloo"])):
        both = zip(
            by["thread"]["figures"]["round, ms"]["values"],
            baseline["figures"]["round, ms"]["values"],
            strict=True,
        )
        assert by["thread"]["figures"][ratio]["values"] == pytest.approx(
            [own / base for own, base in both]
        )
    # published and received, four bytes each
    assert median(by["process"], "pickled, kB") > 2 * 4 * 1.9
