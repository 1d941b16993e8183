"""What each kind of seconds in an account is, for those who see it for the first time."""

from ddp.timing.spans import OTHER

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
