"""A machine with round numbers, for tests of predictions."""

import dataclasses
import json

from ddp.advice.constants import Constants, Exchange, Exchanges, Training
from ddp.advice.measuring.calibration import FORMAT, machine

FUSED = Training(
    batch_s=1e-5, gil_share=0.0,
    parameter_s=0.0, rating_s=1e-8, element_s=2e-10, spilled_element_s=0.0,
    bandwidth=0.0,
    evaluation_s=1e-5, evaluated_rating_s=4e-9, evaluated_element_s=1e-10, handoff_s=0.0,
    handoff_growth=0.0,
    imports_s=0.01, server_s=0.02, fork_s=0.02, forked_s=0.001, spawn_s=0.5, spawned_s=0.01,
    exit_s=0.2, manager_s=0.1,
)  # fmt: skip
ADAM = Training(
    batch_s=3e-4, gil_share=1.0,
    parameter_s=5e-10, rating_s=1.5e-7, element_s=2e-9, spilled_element_s=2e-9,
    bandwidth=2e10,
    evaluation_s=1e-4, evaluated_rating_s=1e-8, evaluated_element_s=2e-9, handoff_s=4.5e-4,
    handoff_growth=0.7,
    imports_s=1.0, server_s=0.8, fork_s=0.03, forked_s=0.01, spawn_s=2.2, spawned_s=0.01,
    exit_s=0.7, manager_s=0.1,
)  # fmt: skip
EXCHANGES = Exchanges(
    serial=Exchange(message_s=2e-5, vector_s=2e-6, float_s=4e-10, epoch_s=1e-4),
    thread=Exchange(message_s=4e-5, vector_s=4e-5, float_s=4e-10, epoch_s=1e-4),
    shm=Exchange(message_s=4e-5, vector_s=2e-5, float_s=4e-10, epoch_s=1e-4),
    process=Exchange(message_s=6e-5, vector_s=4e-4, float_s=9e-9, epoch_s=1e-3),
    heard_s=4e-5,
    average_float_s=4e-10, log_s=1e-3, checkpoint_s=2e-3, checkpoint_float_s=1e-8, save_s=0.01,
    save_float_s=1e-9, jitter=0.01,
)  # fmt: skip
SWEEPING = dataclasses.replace(
    FUSED, rating_s=4e-9, product_s=3e-11, row_s=3e-7, cell_s=1e-9, system_s=3e-12,
    entry_s=1e-10, line_s=1e-7, turned_s=2e-10, phase_s=5e-5,
)  # fmt: skip
TRAINING = {"fused": FUSED, "adam": ADAM, "gibbs": SWEEPING, "als": SWEEPING}


def constants(trainer="fused", cores=2, **changed):
    """The constants of the machine; `changed`: fields of `Training` with other values."""
    return Constants(
        cores=cores, exchanges=EXCHANGES, training=dataclasses.replace(TRAINING[trainer], **changed)
    )


def write_calibration(file, **busy):
    """A calibration file with these constants for this machine.

    `busy`: the share of it that other programs used while a part was measured.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    training = {name: dataclasses.asdict(one) for name, one in TRAINING.items()}
    known = {
        "format": FORMAT,
        "machine": machine(),
        "training": training,
        "exchanges": dataclasses.asdict(EXCHANGES),
        "busy": dict.fromkeys(("exchanges", *TRAINING), 0.0) | busy,
    }
    file.write_text(json.dumps(known), encoding="utf-8")
