"""The kinds of time: one table. Every column, chart, colour and legend is made from it.

A new kind is one more line of the table; `with spans(its name):` then times it anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Groups of kinds that rounds.csv has a column for. TensorBoard has a chart of each EXCHANGE kind.
EXCHANGE, OFF_CORE = "exchange", "off core"
OTHER = "other"  # time that no span covers


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of time: each second of a worker or of the aggregator is of exactly one kind.

    | field | |
    |---|---|
    | `name` | in paths of spans, columns, tags and legends |
    | `light`, `dark` | its colour on a light and on a dark page; TensorBoard's pictures are light |
    | `meaning` | its line in the report's legend |
    | `group` | EXCHANGE, OFF_CORE, or "" for none |
    | `column` | its column in tables of workers, which ends with the unit; "": it has none |
    | `busy` | True: in such a span a thread has no reason to sleep but a wait for the GIL |
    """

    name: str
    light: str
    dark: str
    meaning: str
    group: str = ""
    column: str = ""
    busy: bool = False


# In the order of legends and stacked bars.
_TABLE = (
    Kind("startup", "#8c6d46", "#8c6d46", "from its start until it is ready", column="startup_s"),
    Kind("data", "#c9ad7f", "#c9ad7f", "reading ratings, getting its shard"),
    Kind("compute", "#0072b2", "#2f8fd0", "training, on a core", column="compute_s", busy=True),
    Kind(
        "gil_wait",
        "#ef6f18",
        "#da5401",
        "ready, but another thread had the GIL",
        OFF_CORE,
        "gil_wait_s",
    ),
    Kind("run_queue", "#f2a36b", "#f2a36b", "ready, but every core was taken", OFF_CORE),
    Kind("off_cpu", "#ab3102", "#c86b50", "on no core, for an unknown reason", OFF_CORE),
    Kind("lock_wait", "#aa3377", "#d545a8", "waiting for the lock", EXCHANGE, "lock_wait_ms"),
    Kind(
        "lock_hold",
        "#e09cc4",
        "#e09cc4",
        "holding the lock that guards the exchange",
        EXCHANGE,
        busy=True,
    ),
    Kind("serialise", "#a6812b", "#aba033", "states to bytes", EXCHANGE, "pickle_ms", busy=True),
    Kind("transfer", "#e3b505", "#e3b505", "handing states over", EXCHANGE, "transfer_ms"),
    Kind("deserialise", "#f3dc72", "#f3dc72", "bytes to states", EXCHANGE, "pickle_ms", busy=True),
    Kind("copy", "#4d6013", "#546405", "copying states within memory", EXCHANGE, busy=True),
    Kind("wait", "#a4a9b0", "#747a82", "waiting for the others of the round", column="wait_s"),
    Kind("average", "#008a64", "#008a64", "making the aggregate", busy=True),
    Kind("evaluate", "#63c5a5", "#63c5a5", "measuring errors", busy=True),
    Kind("checkpoint", "#3d2e80", "#5f4fae", "writing the checkpoint that resume= reads"),
    Kind("log", "#a79fdb", "#a79fdb", "sending messages, writing files"),
    Kind("exit", "#5c452a", "#68594a", "from its last message until it has ended"),
    Kind(OTHER, "#d5d8dc", "#4a5057", "the rest", busy=True),
)
KINDS = {kind.name: kind for kind in _TABLE}

# Spans that are not named after a kind, and the kind that their own seconds count as.
COUNTS_AS = {
    **dict.fromkeys(("start", "interpreter", "imports", "kernel"), "startup"),
    **dict.fromkeys(("publish", "receive", "gather", "broadcast"), "transfer"),
    **dict.fromkeys(("tell", "record", "save"), "log"),
    "stop": "exit",
    "metrics": "evaluate",
    "reference": OTHER,
}
# Spans without a reason to sleep: a thread that is off its core there waits for the GIL or a core.
BUSY = {"publish", "receive", "gather", "broadcast"} | {
    name for name, kind in KINDS.items() if kind.busy
}

EXCHANGE_KINDS = tuple(name for name, kind in KINDS.items() if kind.group == EXCHANGE)
OFF_CORE_KINDS = tuple(name for name, kind in KINDS.items() if kind.group == OFF_CORE)
PICKLE_KINDS = tuple(name for name, kind in KINDS.items() if kind.column == "pickle_ms")
# Columns of tables of workers, those in seconds first.
TABLE_COLUMNS = tuple(
    dict.fromkeys(
        sorted(
            (kind.column for kind in _TABLE if kind.column),
            key=lambda column: column.endswith("_ms"),
        )
    )
)


def unit_of(column: str) -> tuple[str, str, float]:
    """Takes a column of a table apart: the key of its seconds, its unit, and the factor to it.

    "lock_wait_ms" gives ("lock_wait_s", "ms", 1000.0).
    """
    name, _, unit = column.rpartition("_")
    return f"{name}_s", unit, {"s": 1.0, "ms": 1e3}[unit]


def in_columns(seconds: Mapping[str, float]) -> dict[str, float]:
    """The seconds of each of TABLE_COLUMNS, by the key of its seconds (`unit_of`).

    `seconds`: by kind. A screen that shows these columns and `summary` tells the same seconds.
    """
    columns = {unit_of(column)[0]: 0.0 for column in TABLE_COLUMNS}
    for kind in _TABLE:
        if kind.column:
            columns[unit_of(kind.column)[0]] += seconds.get(kind.name) or 0.0
    return columns


def summary(seconds: Mapping[str, float], least: float = 0.02) -> str:
    """The shares of the kinds that take at least `least` of all: "compute 61%  wait 30%".

    `seconds`: by kind.
    """
    whole = sum(seconds.values())
    named = {kind: value for kind, value in seconds.items() if whole and value / whole >= least}
    ordered = sorted(named, key=lambda kind: -named[kind])
    return "  ".join(f"{kind.replace('_', ' ')} {named[kind] / whole:.0%}" for kind in ordered)
