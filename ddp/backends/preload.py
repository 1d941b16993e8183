"""The last module that the fork server imports, after that of the trainer.

It imports the rest that workers need, so that each finds it loaded, and warms the trainer up.
"""

import gc

import ddp.backends.process
import ddp.backends.shm
import ddp.workers.worker  # noqa: F401
from ddp.trainers.trainer import Trainer

for trainer in Trainer.__subclasses__():
    trainer.warm_up()
gc.collect()
# These objects stay, so a worker's collector need not write into their pages: they stay shared.
gc.freeze()
