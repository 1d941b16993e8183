"""One seed, many named random streams. Nothing in ddp/ draws from a global generator.

A stream is addressed by a name and integer keys, so what worker 3 draws in round 7 does not depend
on what anybody else drew, on which backend it runs, or on the order in which threads were
scheduled.
"""

import zlib

import numpy as np


def stream(seed: int, name: str, *keys: int) -> np.random.Generator:
    """The generator that belongs to `name` and `keys` under `seed`; equal arguments give equal
       draws.

    Names in use: "data" with 0, 1, 2 (synthetic: truth, pairs, noise), "holdout", "shards", "init"
    (first model; with worker: each one's own, in an ensemble), "layout" with worker (in what order
    its ratings lie in memory), "order" with (worker, round) (in what order a worker visits its
    ratings), "items" (groups of split=stratified) and "turns" with epoch (how they go round).
    """
    spawn_key = (zlib.crc32(name.encode()), *keys)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=spawn_key))
