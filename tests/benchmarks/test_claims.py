"""The judgements of benchmarks.claims, where every claim holds and where none does."""

import pytest
from small_runs import DATA, median

from benchmarks.claims import calls, judged, runs
from benchmarks.claims.found import CALLS


def twice(**figures):
    """Two repeats of each figure."""
    return {name: [value, value * 1.01] for name, value in figures.items()}


def single_calls(cost):
    """Figures of calls that cost so many times the claim, or a part of it for processes."""
    single = {}
    for floats in calls.WRITE_FLOATS:
        single[calls.call_name("manager", floats)] = 20 / cost
    for what, sizes in (("copy", calls.COPY_FLOATS), ("reference", (calls.JOB_FLOATS,))):
        single |= {
            calls.call_name(what, floats, others): 1e-3 * cost
            for floats in sizes
            for others in calls.OTHERS
        }
    for backend, value in (("thread", 0.04 * cost), ("process", 2000 / cost)):
        single |= {
            calls.call_name(f"{backend} round", floats): value
            for floats in calls.ROUND_FLOATS[backend]
        }
        single[calls.call_name(f"{backend} round, polling", calls.JOB_FLOATS)] = value
    return single


def world(*, cost, thread_pace, process_pace, process_command_s, worker_mb):
    """Figures of two repeats.

    `cost`: a multiple of the claim; `thread_pace`, `process_pace`: number of workers -> times as
    fast as serial.
    """
    found = {CALLS: twice(**single_calls(cost))}
    for by, command_s, mb in (("thread", 10.0, 0.5), ("process", process_command_s, worker_mb)):
        figures = {
            runs.PUBLISH: 1.0,
            runs.EXCHANGE: 2.0,
            runs.GIL_WAIT: 0.25,
            runs.COMMAND: command_s,
        }
        found[f"seed_{by}"] = twice(**figures, **{runs.MEMORY: 10 + calls.WORKERS * mb})
    for workers in runs.WORKERS:
        for by, pace, begin, mb in (
            ("serial", 1.0, 1.0, 0.0),
            ("thread", thread_pace(workers), 1.0, 0.5),
            ("process", process_pace(workers), 7.0, worker_mb),
        ):
            found[runs.run_name(by, workers)] = twice(
                **{runs.BEGIN: begin, runs.ROUND: 1 / pace, runs.MEMORY: 10 + workers * mb}
            )
    for batch in runs.BATCHES:
        for by, pace in (("serial", 1.0), ("thread", thread_pace(runs.BATCH_WORKERS))):
            found[runs.batch_name(by, batch)] = twice(**{runs.TRAINING: 1 / pace})
    return found


@pytest.fixture
def all_hold():
    """A world in which every claim holds."""
    return world(
        cost=1, thread_pace=lambda _: 1.0, process_pace=float, process_command_s=5.0, worker_mb=2.0
    )


@pytest.fixture
def another():
    """A world in which no claim holds."""
    return world(
        cost=1000,
        thread_pace=float,
        process_pace=lambda _: 0.5,
        process_command_s=20.0,
        worker_mb=0.5,
    )


def cells(found):
    return {
        says: dict(zip(("so", "measured", "holds", "turns"), rest, strict=True))
        for says, *rest in judged.judged(found)
    }


def test_every_claim_holds_where_it_is_so(all_hold):
    table = cells(all_hold)
    assert len(table) == 8
    for row in table.values():
        assert "not" not in row["holds"]
    assert [row["so"] for row in table.values()] == ["yes"] * 8
    rows = list(table.values())
    assert rows[0]["holds"] == "a reference (threads: 1, 2 and 5) and a copy (threads: 1, 2 and 5)"
    assert rows[1]["holds"] == "states of 0.008, 0.08, 0.35, 4, 16 and 64 MB"
    assert rows[4]["holds"] == "batch 128, 512, 1024, 2048, 4096 and 8192"
    assert rows[5]["holds"] == "2 and 4 workers"
    assert rows[5]["turns"] == "> 4 workers"
    # Seven seconds to begin instead of one; a round of two takes half a second instead of one.
    assert (
        rows[6]["turns"]
        == "rounds, against threads (serial): 1 worker no gain (no gain), 2 workers 12 (12), 4"
        " workers 8.0 (8.0)"
    )
    assert rows[7]["holds"] == "1, 2, 4 and 5 workers, for copies: 1.4 MB of what a worker adds"


def test_no_claim_holds_where_nothing_is_so(another):
    table = cells(another)
    for says, row in table.items():
        assert row["holds"].startswith("does not hold"), says
        assert row["so"] == "no"
    rows = list(table.values())
    assert rows[0]["holds"] == "does not hold: a reference 1005 x as much, a copy 1005 x as much"
    assert rows[1]["holds"] == "does not hold: 0.35 MB (the seed job) 1/498 of that"
    assert rows[1]["turns"] == "10 ms: > 64 MB; 50 ms: > 64 MB"
    far = "0.35 MB (the seed job) 1005 x as much, polling 1005 x as much"
    assert rows[2]["holds"] == f"does not hold: {far}"
    assert rows[2]["turns"] == "< 0.008 MB"
    assert rows[4]["holds"] == "does not hold; faster with 128, 512, 1024, 2048, 4096 and 8192"
    assert rows[4]["turns"] == "batch < 128"
    assert rows[5]["turns"] == "< 1 workers"
    assert rows[6]["holds"] == "does not hold: processes are slower (0.50 x)"
    assert (
        rows[6]["turns"]
        == "rounds, against threads (serial): 1 worker never (never), 2 workers never (never), 4"
        " workers never (never)"
    )
    assert rows[7]["holds"] == "does not hold"
    assert rows[7]["turns"] == "twice as much: > 5 workers"


def test_what_a_worker_needs_beside_its_copies_is_told(all_hold):
    for workers in runs.WORKERS:
        all_hold[runs.run_name("process", workers)][runs.MEMORY] = [10 + workers * 200.0] * 2
    all_hold["seed_process"][runs.MEMORY] = [10 + 5 * 200.0] * 2
    row = cells(all_hold)["processes need more memory, for their copies"]
    assert row["holds"] == "1, 2, 4 and 5 workers; not for copies: 1.4 MB of what a worker adds"
    assert row["so"] == "in part"
    assert row["turns"] == "twice as much: < 1 workers"
    assert row["measured"].endswith("process 1010 MB, 200 a worker")


def test_a_claim_that_holds_for_some_sizes_says_how_far_off_it_is(all_hold):
    writes = all_hold[CALLS]
    for floats, value in zip(calls.WRITE_FLOATS, (0.2, 0.4, 1.0, 12.0, 58.0, 300.0), strict=True):
        writes[calls.call_name("manager", floats)] = [value, value]
    row = cells(all_hold)["processes: a write takes 10 - 50 ms"]
    assert row["holds"] == "states of 4 and 16 MB; not 0.35 MB (the seed job) 1/10 of that"
    assert row["turns"] == "10 ms: 3.3 MB; 50 ms: 14 MB"


def test_processes_are_parallel_up_to_as_many_as_there_are_cores(all_hold):
    for workers, speed_up in ((2, 1.8), (4, 1.8)):
        all_hold[runs.run_name("process", workers)][runs.ROUND] = [
            1 / speed_up,
            1.01 / speed_up,
        ]
    row = cells(all_hold)["processes train in parallel, in 1/N of the time"]
    assert row["measured"] == "2 processes 1.8 x serial, 4 processes 1.8 x serial"
    assert row["holds"] == "2 workers"
    assert row["turns"] == "2.4 workers"  # 1.8 is three quarters of 2.4


def test_start_up_is_not_paid_back_by_chance(all_hold):
    # 2.0 and 0.99 times as fast as serial
    all_hold[runs.run_name("process", 2)][runs.ROUND] = [0.5, 1.02]
    turns = cells(all_hold)["in total processes are fast, threads slow"]["turns"]
    assert "2 workers no gain (no gain)" in turns


def test_threads_that_gain_from_large_batches_say_from_which(all_hold):
    for batch, speed_up in zip(runs.BATCHES, (0.5, 0.8, 1.0, 1.05, 1.2, 1.5), strict=True):
        all_hold[runs.batch_name("thread", batch)][runs.TRAINING] = [
            1 / speed_up,
            1.01 / speed_up,
        ]
    all_hold[runs.batch_name("thread", 1024)][runs.TRAINING] = [1 / 0.95, 1.01 / 0.95]
    row = cells(all_hold)["threads train sequentially, without a speed-up"]
    assert row["holds"] == "batch 1024 and 2048; slower with 128 and 512; faster with 4096 and 8192"
    assert row["turns"] == "batch 2607"  # between 2048 (1.05) and 4096 (1.2) it passes 1.1


def test_memory_that_is_not_told_leaves_a_gap(all_hold):
    del all_hold["seed_process"][runs.MEMORY]
    assert set(cells(all_hold)["processes need more memory, for their copies"].values()) == {"-"}


@pytest.mark.slow
@pytest.mark.watchdog(600)
def test_claims(benchmark):
    small = ("data=synthetic", *DATA, "local_epochs=1")
    rows, printed = benchmark("claims", "--repeats", "1", "--markdown", "--", *small)
    by = {row["what"]: row for row in rows}
    assert median(by["single calls"], "manager of 64 MB, ms") > median(
        by["single calls"], "manager of 0.008 MB, ms"
    )
    for row in (by["thread, 2 workers"], by["process, 2 workers"]):
        whole = median(row, "to begin and to end, s") + 6 * median(row, "a round, s")
        assert whole == pytest.approx(median(row, "whole command, s"))
    assert median(by["process, 4 workers"], "memory of all processes, MB") > 100
    lines = [
        line
        for line in printed.splitlines()
        if line.startswith(("| threads", "| processes", "| in total"))
    ]
    assert len(lines) == 8
    assert all(line.count("|") == 6 for line in lines)  # five columns
