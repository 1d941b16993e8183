"""The constants of a machine: the measured numbers that a prediction computes with.

The docstring of the module that measures a constant says how; the docstring of the module that uses
it has the formula. The modules that measure are in `measuring/`.

| class | its constants belong to | measured by | used by |
|---|---|---|---|
| `Exchange` | one backend | `exchange_costs` | `worker_costs`, `cost_model` |
| `Exchanges` | all backends together | `exchange_costs` | `cost_model`; `scripts`: `jitter` |
| `Training` | one trainer: batches, evaluations | `trainer_costs` | `worker_costs` |
| | threads beside each other | `trainer_costs` | `machine_model` |
| | start and end of its workers | `start_costs` | `scripts` |
| | phases of an epoch (gibbs, als) | `sweep_costs` | `sweep_costs` |
"""

from dataclasses import dataclass

BACKENDS = ("serial", "thread", "process", "shm")
FLOAT_BYTES = 4
# Ratings x dimensions of a batch, 2 MB as floats. A batch of more is large: its temporaries are new
# pages each time, and spill from the caches into RAM.
SPILLING = 1 << 19
# A large batch moves each of its floats through RAM about so many times: the forward pass gathers,
# multiplies and sums them, and the backward pass goes through the same (ddp/model/torch_module.py).
PASSES = 12


def spilled_bytes(num_floats: int) -> int:
    """The bytes that a batch moves through RAM: 0 unless it is large.

    `num_floats`: its ratings x dimensions.
    """
    return FLOAT_BYTES * PASSES * num_floats if num_floats > SPILLING else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The constants of one backend.

    | field | seconds |
    |---|---|
    | `message_s` | of a message between a worker and the aggregator |
    | `vector_s` | of publishing or receiving a vector, without its floats |
    | `float_s` | more per float of the vector |
    | `epoch_s` | of a compiled epoch of one of two workers with hardly any ratings and |
    |           | split=stratified: receiving rows, training, and passing rows on |
    """

    message_s: float
    vector_s: float
    float_s: float
    epoch_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges:
    """The constants that do not depend on the trainer.

    | field | seconds, where not said otherwise |
    |---|---|
    | `serial`, `thread`, `shm`, `process` | an `Exchange` per backend |
    | `heard_s` | in which the main process reads a message |
    | `average_float_s` | of averaging, per float of each worker's state |
    | `log_s` | in which the trackers write a round |
    | `checkpoint_s`, `checkpoint_float_s` | of a checkpoint on the disk; more per float |
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

    A batch of the fused trainer is a whole epoch. A part is the training, validation or test part
    of the ratings.

    | field | seconds, where not said otherwise |
    |---|---|
    | `batch_s` | of a batch, without the next three |
    | `gil_share` | share of the Python around the kernels in which a thread holds the GIL: 1 with |
    |             | torch, 0 for compiled epochs and for a Python without a GIL |
    | `parameter_s` | more per learned parameter |
    | `rating_s` | more per rating of the batch |
    | `element_s` | more per rating and dimension of the batch |
    | `spilled_element_s` | more per rating and dimension that a large batch has above SPILLING |
    | `evaluation_s` | of evaluating a part, without the next two |
    | `evaluated_rating_s` | more per rating of the part |
    | `evaluated_element_s` | more per rating and dimension of the part |
    | `bandwidth` | bytes per second that large batches in two threads move through RAM |
    |             | together; 0: RAM does not slow them down |
    | `handoff_s` | more per batch beside a second thread on another core |
    | `handoff_growth` | with n threads, `handoff_s` grows to (n / 2) ** `handoff_growth` times |
    | `imports_s` | of imports and compiling in a main process that trains (serial, thread) |
    | `server_s` | in which the forkserver still imports when the command has imported all |
    | `fork_s` | from the fork of a worker to its first epoch |
    | `forked_s` | more of the first round of a forked worker than of a later one |
    | `spawn_s` | from the start of a worker's new interpreter to its first epoch |
    | `spawned_s` | more of the first round of a spawned worker than of a later one |
    | `exit_s` | in which the interpreter of a spawned worker ends |
    | `manager_s` | in which the manager's process starts (backend=process) |
    | `product_s`, `row_s`, | only with gibbs and als, else 0: more per amount of these in a |
    | `cell_s`, `system_s`, | phase (ddp/advice/sweep_costs.py), which has `rating_s` too |
    | `entry_s`, `line_s`, `turned_s` | |
    | `phase_s` | likewise: of a phase whose compiled calls Python joins (serial, process) |
    """

    batch_s: float
    gil_share: float
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
    product_s: float = 0.0
    row_s: float = 0.0
    cell_s: float = 0.0
    system_s: float = 0.0
    entry_s: float = 0.0
    line_s: float = 0.0
    turned_s: float = 0.0
    phase_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """The constants of a machine. `cores`: those that a process may use."""

    cores: int
    exchanges: Exchanges
    training: Training
