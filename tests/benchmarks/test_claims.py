"""The judgements of benchmarks.claims: the rules by themselves, and two worlds in which every claim
holds, or none does.
"""

import math

import pytest

from benchmarks.claims import calls, judged, runs, verdicts

# --- the rules ---


@pytest.mark.parametrize(
    ("points", "level", "x"),
    [
        ([(1, 1), (100, 100)], 10, 10),  # straight where both axes are logarithmic
        ([(1, 2), (4, 8), (16, 32)], 8, 4),
        # the last passage: from there on it stays above
        ([(1, 1), (2, 20), (3, 5), (6, 20)], 10, 3 * 2**0.5),
        ([(1, 10), (2, 20)], 10, 0),
        ([(1, 20), (2, 9)], 10, math.inf),
        ([(1, 1), (2, 10)], 10, 2),
    ],
)
def test_where_a_curve_passes_a_level(points, level, x):
    assert verdicts.crossing(points, level) == pytest.approx(x)


def test_every_repeat_has_its_own_crossing():
    series = {1.0: [1.0, 20.0, 1.0], 100.0: [100.0, 30.0, 5.0]}
    assert verdicts.crossings(series, 10) == pytest.approx([10, 0, math.inf])
    assert verdicts.passage([10.0, 0.0, math.inf], [1.0, 100.0]) == "10 (< 1 - > 100)"
    assert verdicts.passage([12.34], [1.0, 100.0]) == "12"
    assert verdicts.passage([math.inf, math.inf], [1.0, 8192.0]) == "> 8192"


@pytest.mark.parametrize(
    ("values", "low", "high", "times"),
    [
        ([31.0, 31.0, 900.0], 2, 10, 1),  # half an order of magnitude above, in the median
        ([33.0], 2, 10, 3.3),
        ([0.64], 2, 10, 1),
        ([0.5, 0.5, 5.0], 2, 10, 0.25),
        ([1e-9], 0, 10, 1),  # what is claimed to be small may be smaller
    ],
)
def test_about_is_half_an_order_of_magnitude(values, low, high, times):
    assert verdicts.times_off(values, low, high) == pytest.approx(times)


@pytest.mark.parametrize(
    ("ratios", "word"),
    [
        ([1.2, 1.05, 1.3], "faster"),
        ([1.2, 0.99, 1.3], "as fast"),  # not in every pair
        ([1.05, 1.04, 1.09], "as fast"),  # not by a tenth
        ([0.8, 0.97, 0.7], "slower"),
        ([0.8, 1.01, 0.7], "as fast"),
        ([0.95, 0.92, 0.93], "as fast"),
    ],
)
def test_faster_is_by_a_tenth_and_in_every_pair(ratios, word):
    assert verdicts.pace(ratios) == word


@pytest.mark.parametrize(
    ("begin", "per_round", "other_begin", "other_per_round", "rounds"),
    [
        (10, 1, 4, 3, 3),
        (4, 1, 10, 3, 0),  # ahead from the start
        (10, 3, 4, 3, math.inf),
        (4, 3, 10, 1, math.inf),  # ahead for a few rounds only
        (4, 3, 4, 3, 0),
    ],
)
def test_start_up_is_paid_back_where_two_lines_cross(
    begin, per_round, other_begin, other_per_round, rounds
):
    assert verdicts.paid_back(begin, per_round, other_begin, other_per_round) == rounds


def test_two_lengths_of_a_run_give_what_a_round_costs_and_what_all_else_does():
    parts = runs.beginning(20.0, [5.0, 7.0, 9.0, 11.0])
    assert parts == {runs.COMMAND: 20.0, runs.ROUND: 2.0, runs.BEGIN: 12.0}
    assert runs.beginning(20.0, [5.0]) == {runs.COMMAND: 20.0}  # one length tells nothing of that


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.000345, "0.00034"), (1.26, "1.3"), (12.6, "13"), (4539.2, "4539")],
)
def test_figures_have_two_digits_or_all_before_the_point(value, text):
    assert verdicts.rounded(value) == text


def test_a_range_is_shown_if_there_is_one():
    assert verdicts.span([3.0, 1.0, 2.0]) == "2.0 (1.0 - 3.0)"
    assert verdicts.span([1.0, 1.0, 2.0]) == "1.0 (1.0 - 2.0)"
    assert verdicts.span([431.2, 431.3], 3) == "431"


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_lists_in_words(names, text):
    assert verdicts.several(names) == text


# --- what is read from a run ---


def lane(pss_bytes, **seconds):
    return {"seconds": seconds, "pss_bytes": pss_bytes}


def result_of(backend, worker_bytes):
    workers = [{"publish_s": 0.5, "receive_s": 0.25, "wall_s": wall_s} for wall_s in (3.0, 2.0)]
    lanes = [
        lane(worker_bytes, compute=6.0, gil_wait=2.0),
        lane(worker_bytes, compute=8.0),
        lane(7_000_000, wait=99.0),
    ]
    processes = [
        {"who": "manager", "pss_bytes": 1_000_000},
        {"who": "main", "pss_bytes": 7_000_000},
    ]
    return {
        "config": {"backend": {"name": backend}},
        "rounds_completed": 5,
        "workers": workers,
        "account": lanes,
        "memory": {"processes": processes if backend == "process" else processes[1:]},
    }


def test_a_run_of_processes_has_the_memory_of_all_of_them():
    figures = runs.figures(result_of("process", 2_000_000))
    assert figures[runs.MEMORY] == 7 + 1 + 2 * 2
    assert figures[runs.PUBLISH] == 100
    assert figures[runs.EXCHANGE] == 150
    assert figures[runs.GIL_WAIT] == 2 / 16  # of the workers' time
    assert figures[runs.TRAINING] == 2


def test_a_run_of_threads_has_the_memory_of_one_process():
    assert runs.figures(result_of("thread", None))[runs.MEMORY] == 7


def test_a_platform_that_does_not_tell_memory_leaves_it_out():
    assert runs.MEMORY not in runs.figures(result_of("process", None))


# --- two worlds ---


def world(*, cost, thread_pace, process_pace, process_command_s, worker_mb):
    """Figures of two repeats. `cost`: times the claim; `paces`: times as fast as serial N."""

    def twice(**figures):
        return {name: [value, value * 1.01] for name, value in figures.items()}

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
    found = {judged.CALLS: twice(**single)}
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
    writes = all_hold[judged.CALLS]
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
    assert row["turns"] == "2.4 workers"  # 1.8 is three quarters of it


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
    assert row["turns"] == "batch 2607"  # where it is 1.1, on the way from 1.05 to 1.2


def test_memory_that_is_not_told_leaves_a_gap(all_hold):
    del all_hold["seed_process"][runs.MEMORY]
    assert set(cells(all_hold)["processes need more memory, for their copies"].values()) == {"-"}


# --- what is measured ---


def test_a_write_is_measured_with_and_without_threads_that_train():
    figures = calls.thread_writes((2_000,), (0, 1))
    assert set(figures) == {
        calls.call_name("copy", 2_000),
        calls.call_name("copy", calls.JOB_FLOATS, 1),
        calls.call_name("reference", calls.JOB_FLOATS),
        calls.call_name("reference", calls.JOB_FLOATS, 1),
    }
    assert all(value > 0 for value in figures.values())


def test_a_write_to_a_manager_is_measured():
    assert calls.manager_writes((2_000,))[calls.call_name("manager", 2_000)] > 0
