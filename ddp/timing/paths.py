"""The names of spans: phases, kinds inside them, and the paths that both form."""

from array import array

OTHER = "other"  # what no span covers
START = "start"  # of a worker, up to its first round
TELL = "tell"  # a worker's messages

# The outermost spans, which add up to the wall, and the kinds of cost inside them.
WORKER_PHASES = ("compute", "evaluate", "publish", "wait", "receive", TELL, OTHER)
AGGREGATOR_PHASES = ("wait", "gather", "average", "broadcast", "evaluate", "record", OTHER)
# before the first round, or after the last
OUTSIDE_PHASES = (START, "data", "imports", "stop", "save", "reference")
EXCHANGE_KINDS = ("lock_wait", "lock_hold", "serialise", "transfer", "deserialise", "copy")
OFF_CORE_KINDS = ("gil_wait", "run_queue", "off_cpu")
KINDS = (*EXCHANGE_KINDS, *OFF_CORE_KINDS)
START_KINDS = ("interpreter", "imports", "data", "kernel")
RECORD_KINDS = ("checkpoint", "log")
# Whoever sleeps in another span waits for what that is named after, or for a disk. In these there
# is nothing to sleep for.
BUSY = {
    *("compute", "evaluate", "publish", "receive", "gather", "average", "broadcast", OTHER),
    *("lock_hold", "serialise", "deserialise", "copy"),
}

_PHASES = tuple(dict.fromkeys([*WORKER_PHASES, *AGGREGATOR_PHASES, *OUTSIDE_PHASES]))
# All paths that there are: as numbers they need no pickle.
PATHS = (
    *_PHASES,
    "publish/wait",
    *(f"{phase}/{kind}" for phase in _PHASES for kind in (*KINDS, *START_KINDS, *RECORD_KINDS)),
)
PATH_NUMBERS = {path: number for number, path in enumerate(PATHS)}


def read_slices(content: bytes) -> list[tuple[str, float, float]]:
    """Slices as (path, start, seconds): the start on the clock of `time.perf_counter`, which all
    processes of a machine share.
    """
    numbers = array("d", content)
    return [
        (PATHS[int(numbers[n])], numbers[n + 1], numbers[n + 2]) for n in range(0, len(numbers), 3)
    ]
