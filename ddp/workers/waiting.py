"""The wait of a worker that reads no aggregate, and must only not get far ahead of the others."""

from ddp.counting import round_of
from ddp.workers.exchange import Exchange
from ddp.workers.job import Job


def wait_until_gathered(job: Job, exchange: Exchange, round_index: int) -> None:
    """Waits until the aggregator has this worker's update of a round, and those of all others.

    A round before the first one of the job needs no wait. Raises TimeoutError.
    """
    timeout_s = job.config.round_timeout
    if round_index >= job.first_round and not exchange.wait(round_index, timeout_s):
        raise TimeoutError(
            f"its update of round {round_of(round_index)} was not averaged within"
            f" round_timeout={timeout_s:g} s"
        )
