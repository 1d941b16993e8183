"""For `trainer=autograd`: torch, and all that torch.optim loads late."""

import gc

import torch

import ddp.backends.make
import ddp.trainers.autograd
import ddp.workers.worker  # noqa: F401

torch.optim.SGD([torch.zeros(1)], lr=1.0)  # imports torch._dynamo
gc.collect()
# what is here stays: a worker's collector need not write into these pages, so they stay shared
gc.freeze()
