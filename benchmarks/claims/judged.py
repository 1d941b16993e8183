"""The claims, and a judgement of each. Every word of it follows from the figures."""

from collections.abc import Callable

from benchmarks.claims.found import Cells, Found
from benchmarks.claims.of_exchange import process_write, round_of, thread_write
from benchmarks.claims.of_memory import memory
from benchmarks.claims.of_training import in_total, parallel, sequential
from benchmarks.harness import MISSING

CLAIMS: dict[str, Callable[[Found], Cells]] = {
    "threads: a write takes about 0.001 ms": thread_write,
    "processes: a write takes 10 - 50 ms": process_write,
    "threads: a round of exchange takes 0.04 ms": round_of("thread", 0, 0.04),
    "processes: a round of exchange takes 2000 ms": round_of("process", 2000, 2000),
    "threads train sequentially, without a speed-up": sequential,
    "processes train in parallel, in 1/N of the time": parallel,
    "in total processes are fast, threads slow": in_total,
    "processes need more memory, for their copies": memory,
}


def judged(found: Found) -> list[list[str]]:
    """The body of the table."""
    body = []
    for says, judge in CLAIMS.items():
        measured, holds, turns = judge(found)
        body.append([says, in_a_word(holds), measured, holds, turns])
    return body


def in_a_word(holds: str) -> str:
    """Whether a claim holds. `holds` says where it does, after a semicolon where it does not."""
    if holds.startswith("does not hold"):
        return "no"
    return MISSING if holds == MISSING else "in part" if ";" in holds else "yes"
