"""Finds the reference of a run: the errors of one worker.

This worker trains on the ratings of all shards, for as many epochs. It trains once per config; a
file keeps its errors.
"""

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from ddp.config.aggregation import Averaging
from ddp.config.schema import OFF, Config
from ddp.config.split import Split
from ddp.errors import AggregationError, WorkerError
from ddp.machine.files import atomic_file
from ddp.ratings.arrays import Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.splits import Deal
from ddp.results.run_directory import reference_file
from ddp.tracking.messages import Reference

CHEAP_VISITS = 20_000_000  # ratings: about a second with the compiled trainer
# of one state; the name of the file depends on every value here
ONE = Averaging(
    name="uniform", outer="none", outer_lr=1.0, outer_beta1=0.0, outer_beta2=0.0, outer_tau=1.0
)


def reference_config(config: Config) -> Config:
    """The same job for one worker.

    Holdout, model, trainer, first state and number of epochs are the same. `keep` is best if the
    run keeps its best round, whatever `select_on` is.
    """
    split = {field.name: getattr(config.split, field.name) for field in dataclasses.fields(Split)}
    return dataclasses.replace(
        config,
        **OFF,  # a setting that changes no number must not change the name of the file either
        workers=1,
        torch_threads=1,
        select_on="last" if config.has_owners else config.select_on,
        keep="best" if config.keeps_best else "last",
        split=Split(**split | {"name": "iid"}),
        aggregation=ONE,
    )


def find_reference(
    config: Config, ratings: Ratings, deal: Deal, train: Callable[[Config], Reference]
) -> Reference | None:
    """The errors of the reference; None if there are none.

    They come from its file, or else from `train` if the setting `reference` allows it. There are
    none if the setting does not allow it, or if the reference diverges.
    """
    if config.reference == "false" or config.trainer.sweeps:  # one worker has the same bits
        return None
    alone = reference_config(config)
    file = reference_file(_fingerprint(alone, ratings, deal))
    with suppress(OSError, ValueError, TypeError):  # the file is absent or damaged
        return Reference(**json.loads(file.read_text(encoding="utf-8")))
    visits = deal.size("train") * config.rounds * config.local_epochs
    if config.reference == "auto" and not (config.trainer.compiled and visits <= CHEAP_VISITS):
        return None
    try:
        reference = train(alone)
    except AggregationError:
        return None
    except WorkerError as error:
        if not error.diverged:
            raise
        return None
    # the run has ended and is saved: a cache must not make it fail
    with suppress(OSError), atomic_file(file) as out:
        out.write(json.dumps(dataclasses.asdict(reference)).encode())
    return reference


def _fingerprint(config: Config, ratings: Ratings, deal: Deal) -> str:
    """A hash of everything that decides the errors: config, ratings and holdout."""
    checksum = 0
    for column in (*ratings.deciding(), *map(deal.rows, PARTS)):
        checksum = zlib.crc32(np.ascontiguousarray(column).data, checksum)
    told = json.dumps([dataclasses.asdict(config), checksum], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:24]
