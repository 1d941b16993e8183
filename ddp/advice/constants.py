"""What the cost model knows of a machine: few numbers, each measured. `calibration` gets them,
`measure` measures them.
"""

from dataclasses import dataclass

# floats: a batch's temporaries of more than these 2 MB are new pages each time, and leave the
# caches ...
SPILLING = 1 << 19
# ... about so often: gathered, multiplied, summed, and back (ddp/model/torch_module.py)
PASSES = 12


def spilled_bytes(num_floats: int) -> int:
    """Through memory, by a batch of so many ratings x dimensions that leaves the caches."""
    return 4 * PASSES * num_floats if num_floats > SPILLING else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Of one backend, of a vector on its way in one direction. Measured: the medians of rounds of
    runs with two sizes of model.

    `message_s`: to say something to the aggregator; `vector_s`: a vector, however short; `float_s`:
    each of its floats. `epoch_s`: an epoch of the fused trainer with split=stratified, two workers
    and hardly any ratings: all that a worker does to get rows, to train and to hand them on.
    """

    message_s: float
    vector_s: float
    float_s: float
    epoch_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges:
    """What does not depend on the trainer: seconds, measured in small runs of the command's own
    `run` with `fused`.
    """

    serial: Exchange
    thread: Exchange
    shm: Exchange
    process: Exchange
    heard_s: float  # to listen to a message, by the main process (measured with process)
    average_float_s: float  # to average, per float of each worker's state
    log_s: float  # to tell of a round
    checkpoint_s: float  # to save a checkpoint, waiting for the disk included
    checkpoint_float_s: float  # the same, per float
    save_s: float  # after the last round: the model
    save_float_s: float  # the same, per float
    # no seconds: standard deviation of the logarithm of one worker's rounds: how unequal equal work
    # is
    jitter: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Of one trainer (and optimizer), on one core, seconds. Training is measured with the trainer
    alone, for several sizes of batch and model: `batch_s` + `parameter_s` per learned parameter
    in each batch, `rating_s` + `element_s` per dimension for each rating. A batch of the fused
    trainer is an epoch.
    """

    batch_s: float  # of torch all is taken to be Python's, holding the GIL
    parameter_s: float
    rating_s: float
    element_s: float
    # what each rating and dimension of a batch costs more beyond SPILLING of them
    spilled_element_s: float
    evaluation_s: float  # to evaluate a part, however small
    evaluated_rating_s: float  # per rating of it
    evaluated_element_s: float  # per rating and dimension
    # of memory, bytes/s, that such batches of two threads get together; 0: as much as they want
    bandwidth: float
    handoff_s: float  # what a batch takes longer beside a second thread, on a core of its own
    handoff_growth: float  # with n threads (n / 2) ** this times as much: from two threads and four
    # what the main process imports or compiles first if it trains itself (serial, thread)
    imports_s: float
    # by how much the imports of the server that workers are forked from take longer than the
    # command's own
    server_s: float
    fork_s: float  # from a fork to the worker's first epoch
    forked_s: float  # what its first round takes longer than its others
    spawn_s: float  # a new interpreter with all its imports, to the worker's first epoch
    spawned_s: float  # what its first round takes longer than its others
    exit_s: float  # such an interpreter's end
    manager_s: float  # to start the process of a `Manager().dict()`: backend=process


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """A machine, as the model knows it. `cores`: that a process may use."""

    cores: int
    exchanges: Exchanges
    training: Training
