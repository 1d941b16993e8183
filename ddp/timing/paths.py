"""The names of spans: phases, and the paths that spans inside them form."""

from array import array
from functools import cache

from ddp.timing.kinds import COUNTS_AS, KINDS, OTHER

START = "start"  # of a worker, up to its first round
TELL = "tell"  # a worker sends its messages

# A phase is an outermost span. The phases of a round add up to its wall.
WORKER_PHASES = ("compute", "evaluate", "publish", "wait", "receive", TELL, OTHER)
AGGREGATOR_PHASES = ("wait", "gather", "average", "broadcast", "evaluate", "record", OTHER)
ROUND_PHASES = tuple(dict.fromkeys([*WORKER_PHASES, *AGGREGATOR_PHASES]))
# Before the first round, or after the last.
OUTSIDE_PHASES = (START, "data", "imports", "stop", "save", "metrics", "reference")

_PHASES = (*ROUND_PHASES, *OUTSIDE_PHASES)
# A span inside a phase is named after a kind, or after a stage of a start.
_INNER = (*KINDS, "interpreter", "imports", "kernel")
# All paths. As numbers they travel without pickle.
PATHS = (*_PHASES, *(f"{phase}/{name}" for phase in _PHASES for name in _INNER))
PATH_NUMBERS = {path: number for number, path in enumerate(PATHS)}


@cache
def phase_of(path: str) -> str:
    """The outermost span of a path."""
    return path.partition("/")[0]


@cache
def innermost_of(path: str) -> str:
    """The innermost span of a path."""
    return path.rpartition("/")[-1]


@cache
def kind_of(path: str) -> str:
    """The kind that a span's own seconds count as."""
    name = innermost_of(path)
    return COUNTS_AS.get(name, name)


def read_slices(content: bytes) -> list[tuple[str, float, float]]:
    """The slices of an account as (path, start, seconds).

    `start` is a reading of `time.perf_counter`, a clock that all processes of a machine share.
    """
    numbers = array("d", content)
    return [
        (PATHS[int(numbers[n])], numbers[n + 1], numbers[n + 2]) for n in range(0, len(numbers), 3)
    ]
