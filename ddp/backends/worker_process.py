"""The life of a worker's process, from its start to its end (process and shm)."""

import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from ddp.errors import Stopped
from ddp.machine.child import serve_parent
from ddp.tracking.messages import Asking
from ddp.trainers.trainer import trainer_for
from ddp.workers.exchange import Exchange
from ddp.workers.job import Job
from ddp.workers.worker import run_worker

# Runs in the worker: takes its job from the pipe, and makes its end of the exchange. The number is
# the moment at which the worker's stopwatch began.
Connect = Callable[[Connection, float], tuple[Job, Exchange]]
Wrap = Callable[[int, Exchange], Exchange]


def run_process(
    arrived_at: float,
    began: float,
    worker: int,
    pipe: Connection,
    connect: Connect,
    wrap: Wrap,
) -> None:
    """The whole life of a worker process.

    `began`: the moment at which the parent began to start it. `arrived_at`: the moment at which its
    interpreter was up. Both are readings of `time.perf_counter`.
    """
    imported_at = time.perf_counter()
    serve_parent()
    try:
        pipe.send(Asking(worker=worker))
        job, exchange = connect(pipe, began)
        spans = exchange.spans
        spans.book("start/interpreter", arrived_at)
        spans.book("start/imports", imported_at)
        spans.book("start/data")
        trainer_for(job.config.trainer).set_threads(job.config.torch_threads)
        spans.book("start/imports")
        run_worker(job, wrap(worker, exchange))
    except (Stopped, EOFError, BrokenPipeError):
        return  # the parent is gone, or stops the run
