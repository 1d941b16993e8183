"""The times that a round of exchange is compared with: copies of memory, and gloo."""

import math
import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import torch

from benchmarks.exchange.rounds import ROUND, WARM_UP
from benchmarks.harness import Figures
from ddp.machine.cores import num_cores


def copies_needed(workers: int) -> float:
    """Copies of a vector, one after another, that a round needs at least."""
    at_a_time = min(workers, num_cores())
    return 2 * math.ceil(workers / at_a_time) + (workers + 1) / 2


def copy(size: int, rounds: int, times: float) -> Figures:
    """Time of one copy of the floats, and of `times` copies."""
    source, target = np.ones(size, np.float32), np.ones(size, np.float32)
    marks = [time.perf_counter()]
    for _ in range(WARM_UP + rounds):
        np.copyto(target, source)
        marks.append(time.perf_counter())
    once_ms = statistics.median(np.diff(marks)[WARM_UP:]) * 1e3
    return {"one copy, ms": once_ms, ROUND: once_ms * times}


def all_reduce(size: int, workers: int, rounds: int) -> Figures:
    """Time of gloo in spawned processes: of the slowest rank, the median over the rounds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool,
    ):
        meeting_point = Path(folder, "ranks").as_uri()
        ranks = pool.map(
            _rank,
            range(workers),
            repeat(workers),
            repeat(size),
            repeat(WARM_UP + rounds),
            repeat(meeting_point),
        )
        slowest_s = np.max(list(ranks), axis=0)
    return {ROUND: statistics.median(slowest_s[WARM_UP:]) * 1e3}


def _rank(rank: int, workers: int, size: int, rounds: int, meeting_point: str) -> list[float]:
    """Seconds of each all_reduce of one rank."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=meeting_point, rank=rank, world_size=workers
    )
    vector, seconds = torch.ones(size), []
    for _ in range(rounds):
        torch.distributed.barrier()
        began = time.perf_counter()
        torch.distributed.all_reduce(vector)
        seconds.append(time.perf_counter() - began)
        vector.fill_(1)
    torch.distributed.destroy_process_group()
    return seconds
