"""One seed, many named random streams. Nothing in ddp/ draws from a global generator.

A name and integer keys address a stream. So the draws of worker 3 in round 7 depend neither on the
draws of others, nor on the backend, nor on the schedule of the threads.
"""

import zlib

import numpy as np


def stream(seed: int, name: str, *keys: int) -> np.random.Generator:
    """The generator of stream `name` with `keys` under `seed`. Equal arguments give equal draws.

    | name      | keys            | draws                                                        |
    |-----------|-----------------|--------------------------------------------------------------|
    | "data"    | 0, 1 or 2       | synthetic ratings: the true model, the pairs, the noise (*)  |
    | "holdout" |                 | the test and validation rows (*)                             |
    | "shards"  |                 | the deal of rows to workers                                  |
    | "items"   |                 | the groups of items of split=stratified                      |
    | "init"    | none, or worker | the first model; with worker: a member's of an ensemble      |
    | "layout"  | worker          | the order in which a worker's ratings lie in memory          |
    | "order"   | worker, round   | the order in which a worker visits its ratings               |
    | "turns"   | epoch           | the order in which groups go round with split=stratified     |

    (*) under `split.seed` if it is set; all others under the run's seed.
    """
    spawn_key = (zlib.crc32(name.encode()), *keys)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=spawn_key))
