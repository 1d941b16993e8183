"""The kinds of seconds in an account, in the order in which they are shown, and what each of them is."""

OTHER = "other"
MEANING = {
    "startup": "from the parent's decision to start it until it is ready",
    "data": "getting its shard",
    "compute": "training, on a core",
    "gil_wait": "ready to run, but another thread had the GIL",
    "run_queue": "ready to run, but every core was taken",
    "off_cpu": "not on a core: the GIL or the cores, which this platform cannot tell apart",
    "lock_wait": "waiting for the lock of the exchange",
    "lock_hold": "holding that lock",
    "serialise": "turning states into bytes",
    "transfer": "moving those bytes between processes",
    "deserialise": "turning bytes into states",
    "copy": "copying states within memory",
    "wait": "for the others of the round",
    "average": "making the aggregate",
    "evaluate": "measuring errors",
    "checkpoint": "keeping what resume= goes on from",
    "log": "telling the terminal and TensorBoard",
    "exit": "from its last word until it is gone",
    OTHER: "the rest",
}
KINDS = tuple(MEANING)
