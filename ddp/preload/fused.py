"""For `trainer=fused`: the compiled kernels, and no torch."""

import gc

import ddp.backends
import ddp.trainers.fused
import ddp.worker  # noqa: F401

gc.collect()
gc.freeze()  # what is here stays: a worker's collector need not write into these pages, so they stay shared
