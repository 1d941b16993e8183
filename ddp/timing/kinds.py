"""Kinds of time: what each second of a worker or of the aggregator counts as."""

from collections.abc import Mapping
from functools import cache

from ddp.timing.paths import OTHER
from ddp.timing.spans import Account

# In the order in which they are shown.
ACCOUNT_KINDS = (
    *("startup", "data", "compute", "gil_wait", "run_queue", "off_cpu", "lock_wait", "lock_hold"),
    *(
        "serialise",
        "transfer",
        "deserialise",
        "copy",
        "wait",
        "average",
        "evaluate",
        "checkpoint",
        "log",
        "exit",
        "other",
    ),
)
# What is left of a phase beside the kinds that are named inside it; of all others it is their own
# name.
PHASE_KINDS = {
    **dict.fromkeys(("start", "imports"), "startup"),
    **dict.fromkeys(("publish", "receive", "gather", "broadcast"), "transfer"),
    **dict.fromkeys(("tell", "record", "save"), "log"),
    "stop": "exit",
    "reference": "other",
}
STARTUP = ("interpreter", "imports", "kernel")


@cache
def kind_of(path: str) -> str:
    """The kind that a span's own seconds belong to."""
    phase, _, inner = path.partition("/")
    if inner in STARTUP:
        return "startup"
    return inner if inner in ACCOUNT_KINDS else PHASE_KINDS.get(phase, phase)


def by_kind(account: Account) -> dict[str, float]:
    """Its seconds, kind by kind, in order; those that there are."""
    seconds = dict.fromkeys(ACCOUNT_KINDS, 0.0)
    for path, value in account.seconds.items():
        seconds[kind_of(path)] += value
    return {kind: value for kind, value in seconds.items() if value != 0}


def summary(seconds: Mapping[str, float], least: float = 0.02) -> str:
    """Shares of the whole, the kinds that take at least `least` of it: "compute 61%  wait 30%"."""
    whole = sum(seconds.values())
    named = {kind: value for kind, value in seconds.items() if whole and value / whole >= least}
    ordered = sorted(named, key=lambda kind: -named[kind])
    return "  ".join(f"{kind.replace('_', ' ')} {named[kind] / whole:.0%}" for kind in ordered)


MEANING = {
    "startup": "from when its start was begun until it is ready",
    "data": "reading ratings, getting its shard",
    "compute": "training, on a core",
    "gil_wait": "ready to run, but another thread had the GIL",
    "run_queue": "ready to run, but every core was taken",
    "off_cpu": "on no core, for a reason that is not known",
    "lock_wait": "waiting for the lock of the exchange",
    "lock_hold": "holding that lock",
    "serialise": "turning states into bytes",
    "transfer": "handing them over",
    "deserialise": "turning bytes into states",
    "copy": "copying states within memory",
    "wait": "for the others of the round",
    "average": "making the aggregate",
    "evaluate": "measuring errors",
    "checkpoint": "keeping what resume= goes on from",
    "log": "writing down what happened",
    "exit": "from its last word until it is gone",
    OTHER: "the rest",
}
