"""The constants of a machine: the few measured numbers that the cost model computes with.

`calibration` gets them from a file, or has `measure` measure them.
"""

from dataclasses import dataclass

BACKENDS = ("serial", "thread", "process", "shm")
FLOAT_BYTES = 4
# Floats (2 MB). The temporaries of a larger batch are new pages each time and leave the caches.
SPILLING = 1 << 19
# A large batch moves its floats through RAM about so often: it gathers, multiplies and sums them,
# and goes back (ddp/model/torch_module.py).
PASSES = 12


def spilled_bytes(num_floats: int) -> int:
    """The bytes that a batch moves through RAM; 0 for a batch that stays in the caches.

    `num_floats`: its ratings x dimensions.
    """
    return FLOAT_BYTES * PASSES * num_floats if num_floats > SPILLING else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The constants of one backend: medians of the rounds of small runs with two sizes of model.

    | field | seconds |
    |---|---|
    | `message_s` | of a message to the aggregator |
    | `vector_s` | of a vector in one direction, without its floats |
    | `float_s` | of each float of a vector |
    | `epoch_s` | of a compiled epoch with split=stratified, two workers and hardly any ratings: |
    |           | getting rows, training, and passing rows on |
    """

    message_s: float
    vector_s: float
    float_s: float
    epoch_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges:
    """The constants that do not depend on the trainer, measured in small runs with `fused`.

    | field | seconds, where not said otherwise |
    |---|---|
    | `serial`, `thread`, `shm`, `process` | of each backend, see `Exchange` |
    | `heard_s` | in which the main process reads a message (measured with process) |
    | `average_float_s` | of averaging, per float of each worker's state |
    | `log_s` | in which the trackers write down a round |
    | `checkpoint_s` | of a checkpoint, with its wait for the disk |
    | `checkpoint_float_s` | more per float of the checkpoint |
    | `save_s`, `save_float_s` | of saving the model after the last round; more per float |
    | `jitter` | standard deviation of the logarithm of the seconds that equal work takes |
    """

    serial: Exchange
    thread: Exchange
    shm: Exchange
    process: Exchange
    heard_s: float
    average_float_s: float
    log_s: float
    checkpoint_s: float
    checkpoint_float_s: float
    save_s: float
    save_float_s: float
    jitter: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The constants of one trainer (and optimizer) on one core.

    A batch costs `batch_s`, `parameter_s` per learned parameter, `rating_s` per rating, and
    `element_s` per rating and dimension. They are measured with the trainer alone, for several
    sizes of batch and model. A batch of the fused trainer is an epoch.

    | field | seconds, where not said otherwise |
    |---|---|
    | `batch_s` | as above; with torch all of it counts as Python that holds the GIL |
    | `spilled_element_s` | more per rating and dimension of a batch beyond SPILLING of them |
    | `evaluation_s` | of evaluating a part, however small |
    | `evaluated_rating_s` | more per rating of the part |
    | `evaluated_element_s` | more per rating and dimension of the part |
    | `bandwidth` | bytes per second through RAM that large batches of two threads get together; |
    |             | 0: RAM does not slow them down |
    | `handoff_s` | by which a batch takes longer beside a second thread on another core |
    | `handoff_growth` | with n threads that is (n / 2) ** `handoff_growth` times as much |
    | `imports_s` | of imports and compiling in a main process that trains (serial, thread) |
    | `server_s` | by which the forkserver imports for longer than the command itself |
    | `fork_s` | from a fork to the worker's first epoch |
    | `forked_s` | by which its first round takes longer than its others |
    | `spawn_s` | of a new interpreter with its imports, up to the worker's first epoch |
    | `spawned_s` | by which its first round takes longer than its others |
    | `exit_s` | of the end of such an interpreter |
    | `manager_s` | of starting the manager's process (backend=process) |
    """

    batch_s: float
    parameter_s: float
    rating_s: float
    element_s: float
    spilled_element_s: float
    evaluation_s: float
    evaluated_rating_s: float
    evaluated_element_s: float
    bandwidth: float
    handoff_s: float
    handoff_growth: float
    imports_s: float
    server_s: float
    fork_s: float
    forked_s: float
    spawn_s: float
    spawned_s: float
    exit_s: float
    manager_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """The constants of a machine. `cores`: those that a process may use."""

    cores: int
    exchanges: Exchanges
    training: Training
