"""For `trainer=fused`: the compiled kernels, and no torch."""

import gc

import ddp.backends.make
import ddp.workers.worker  # noqa: F401
from ddp.trainers.fused import warm_up

warm_up()

gc.collect()
# what is here stays: a worker's collector need not write into these pages, so they stay shared
gc.freeze()
