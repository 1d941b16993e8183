"""Files of runs for reports, written by hand, so that every figure is known."""

import csv
import json

KINDS = {
    "startup": 0.25,
    "compute": 1.0,
    "gil_wait": 0.125,
    "run_queue": 0.0625,
    "wait": 0.5,
    "other": 0.0625,
}
AGGREGATOR_KINDS = {"wait": 1.0, "average": 0.5, "evaluate": 0.25, "checkpoint": 0.25}
VERSIONS = {"torch": "9.8.7", "numpy": "1.2.3"}
COLUMNS = (
    *("round", "who", "valid_rmse", "test_rmse", "elapsed_s"),
    *("wall_s", "pickled_bytes", "copied_bytes"),
)


DATA = {
    "num_ratings": 1234, "num_users": 56, "num_items": 78, "fill_percent": 28.25,
    "scale": [1.0, 5.0], "found": [1.0, 4.5], "mean": 3.25,
    "time": ["1997-09-20T03:05:10Z", "1998-04-22T23:10:38Z"],
    "format": {"separator": ["tab", "recognised"], "columns": ["who, what, stars", "given"]},
    "left_out": {"not rated": 12}, "notes": ["a note"],
}  # fmt: skip
EVERYTHING = ("account", "memory", "rounds", "trace", "data")


def write_run(directory, *, parts=EVERYTHING, also=None, **changes):
    """A run that ended well: a thread's, 2 workers, 2 rounds.

    `changes`: of its config, or of `values`; `also`: of its result.
    """
    values = {"status": "ok", "error": None, "rmse": 0.95, "train_s": 2.0, "total_s": 4.0}
    values |= {"command": ["train.py", "workers=2"]}
    values |= {name: changes.pop(name) for name in list(changes) if name in values}
    config = {"workers": 2, "rounds": 2, "local_epochs": 1, "seed": 0, "backend": "thread"}
    config |= {"lr": 0.02} | changes
    config |= {
        "backend": {"name": config["backend"]},
        "trainer": {"name": "fused", "lr": config.pop("lr")},
    }
    workers = [f"worker_{number}" for number in range(config["workers"])]
    result = result_of(config, values, workers)
    if "account" in parts:
        own = 200_000_000 if config["backend"]["name"] in ("process", "shm") else None
        result["account"] = [lane(who, KINDS, {"aggregator": 0.25}, own) for who in workers]
        result["account"].append(lane("aggregator", AGGREGATOR_KINDS, {workers[-1]: 0.75}))
    if "memory" in parts:
        main = {"who": "main", "peak_rss_bytes": 500_000_000, "pss_bytes": 400_000_000}
        result["memory"] = {"shared_bytes": 23_000_000, "processes": [main]}
    if "data" in parts:
        result["data"] = DATA
    directory.mkdir(parents=True)
    (directory / "result.json").write_text(json.dumps(result | (also or {})))
    if "rounds" in parts:
        write_rounds(directory / "rounds.csv", workers, config["rounds"], values["rmse"])
    if "trace" in parts:
        (directory / "trace.json").write_text(json.dumps(trace(workers, config["rounds"])))
    return directory


def result_of(config, values, workers):
    """The parts that each result.json has."""
    return {
        "format": 2, "status": values["status"], "error": values["error"], "warnings": [],
        "command": values["command"],
        "config": config, "rmse": {"test": values["rmse"], "valid": values["rmse"]},
        "seconds": {"train": values["train_s"], "total": values["total_s"]},
        "workers": [{"startup_s": 0.25, "compute_s": 1.0, "wait_s": 0.5} for _ in workers],
        "peak_rss_bytes": 300_000_000,
        "environment": {"python": "3.11.1", "cpu_count": 2, "versions": VERSIONS},
    }  # fmt: skip


def lane(who, seconds, waits_for, memory=None, *, closed=True):
    return {
        "who": who, "wall_s": sum(seconds.values()), "closed": closed, "seconds": dict(seconds),
        "waits_for": waits_for,
        "bytes": {"pickled": 0, "copied": 4_000_000}, "peak_rss_bytes": memory,
        "pss_bytes": memory and memory // 2,
    }  # fmt: skip


def write_rounds(path, workers, rounds, rmse):
    """Each row has pickled 1 MB and copied 2 MB."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for index in range(rounds):
            for who in (*workers, "aggregated"):
                row = {"round": index + 1, "who": who}
                row |= {"test_rmse": rmse + 0.01 * (rounds - 1 - index)}
                row |= {"pickled_bytes": 1_000_000, "copied_bytes": 2_000_000}
                writer.writerow(row | ({"elapsed_s": index + 1.0} if who == "aggregated" else {}))


def trace(workers, rounds):
    """Rounds of 100 ms, one after the other; only the aggregator has begun the last one."""
    lanes = ["aggregator", *workers]
    events = [
        {"ph": "M", "name": "thread_name", "pid": 0, "tid": tid, "args": {"name": who}}
        for tid, who in enumerate(lanes)
    ]
    for index in range(rounds):
        for tid in range(len(lanes)):
            for kind, offset_us, length_us in (
                ("wait" if tid == 0 else "compute", 0, 75_000),
                ("evaluate", 75_000, 25_000),
            ):
                events.append(
                    piece(kind, tid, index * 100_000 + offset_us, length_us, {"round": index + 1})
                )
    events.append(piece("wait", 0, rounds * 100_000, 50_000, {"round": rounds + 1}))
    events.append(piece("exit", 1, rounds * 100_000, 50_000, {}))
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"format": 2}}


def piece(kind, tid, start_us, length_us, args):
    return {
        "ph": "X",
        "name": kind,
        "cat": kind,
        "pid": 0,
        "tid": tid,
        "ts": start_us,
        "dur": length_us,
        "args": args,
    }


def write_sweep(directory):
    """Two backends, 1, 2 and 4 workers, 1 and 5 local epochs, and runs that failed.

    So every part of a page has content.
    """
    number = 0
    for backend in ("thread", "process"):
        for workers in (1, 2, 4):
            for local_epochs in (1, 5):
                write_run(
                    directory / str(number), backend=backend, workers=workers,
                    local_epochs=local_epochs,
                    train_s=8.0 / workers,
                    total_s=10.0 / workers
                    + 3.0 * (backend == "process")
                    + 0.25 * (local_epochs == 5),
                    rmse=0.95 - 0.004 * local_epochs + 0.002 * workers,
                )  # fmt: skip
                number += 1
    write_run(
        directory / str(number),
        parts=(),
        status="failed",
        error="WorkerError: worker 1 diverged",
        rmse=None,
        lr=1e30,
    )
    (directory / str(number + 1)).mkdir()
    (directory / str(number + 1) / "result.json").write_text('{"status": "o')
    return directory
