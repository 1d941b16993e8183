"""The last module that the fork server imports, after that of the trainer: what every worker needs,
so that each worker finds it loaded. The trainer warms up here.
"""

import gc

import ddp.backends.make
import ddp.workers.worker  # noqa: F401
from ddp.trainers.trainer import Trainer

for trainer in Trainer.__subclasses__():
    trainer.warm_up()
gc.collect()
# These objects stay, so a worker's collector need not write into their pages: they stay shared.
gc.freeze()
