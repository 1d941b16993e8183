"""The figures of benchmarks.claims: those of whole runs, and of single calls."""

from benchmarks.claims import calls, runs


def test_two_lengths_of_a_run_give_what_a_round_costs_and_what_all_else_does():
    parts = runs.beginning(20.0, [5.0, 7.0, 9.0, 11.0])
    assert parts == {runs.COMMAND: 20.0, runs.ROUND: 2.0, runs.BEGIN: 12.0}
    assert runs.beginning(20.0, [5.0]) == {runs.COMMAND: 20.0}  # one length gives no round


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
