"""The last module that the fork server imports, after that of the trainer.

It imports the other modules that workers need, and warms the trainer up. A forked worker has both.
"""

import gc

import ddp.backends.process
import ddp.backends.shm
import ddp.workers.worker  # noqa: F401
from ddp.trainers.trainer import Trainer

for trainer in Trainer.__subclasses__():
    trainer.warm_up()
gc.collect()
# The collector skips frozen objects. So a worker does not write into their pages, and shares them.
gc.freeze()
