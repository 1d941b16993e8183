"""Measures the fields of `Training` about the phases of gibbs or als, with small runs of a worker.

| constants | measured as |
|---|---|
| `rating_s`, `product_s`, ..., `turned_s` | `fit` of an epoch's `compute` to its `Amounts` |
| `phase_s` | `compute` of an epoch with serial, minus that with threads, per phase |

With threads a compiled call does whole epochs. Span `compute` of the rounds after the first gives
the seconds of an epoch; of all rounds of all runs of the same config the least counts.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ddp.advice.measuring.pilot import (
    ITEMS,
    SERIAL,
    THREAD,
    USERS,
    Pilots,
    least,
    pilot_config,
    with_core_s,
)
from ddp.advice.measuring.trainer_costs import fit
from ddp.advice.sizes import sizes_of
from ddp.advice.sweep_costs import AMOUNT_S, Amounts, Phase, phases_of
from ddp.config.data import SyntheticData
from ddp.config.schema import Config
from ddp.config.trainer import GibbsTrainer, TrainerOptions
from ddp.ratings.load import load_ratings

if TYPE_CHECKING:
    from ddp.results.run_result import RunResult

ROUNDS, EPOCHS = 5, 4
# Users, items and ratings: rows decide the seconds of an epoch of the first, ratings of the second.
SIZES = {"rows": (USERS, ITEMS, 2_000), "ratings": (400, 300, 60_000)}
DIMS = {"rows": (8, 16, 32, 64), "ratings": (8, 32, 64)}
KNOWN_DIMS = {"rows": (8, 32), "ratings": (8, 32)}  # with implicit feedback
IN_A_CALL, IN_PYTHON = "rows 8", "rows 8, serial"


def sweep_configs(trainer: TrainerOptions) -> dict[str, Config]:
    """The runs to measure with."""
    found = {
        f"{many} {dim}": _config(trainer, many, dim) for many, dims in DIMS.items() for dim in dims
    }
    if isinstance(trainer, GibbsTrainer):
        both = replace(trainer, implicit="both")
        for many, dims in KNOWN_DIMS.items():
            found |= {f"{many} {dim}, known": _config(both, many, dim) for dim in dims}
    return found | {IN_PYTHON: replace(found[IN_A_CALL], backend=SERIAL)}


def _config(trainer: TrainerOptions, many: str, dim: int) -> Config:
    config = pilot_config(THREAD, trainer, dim, ROUNDS, EPOCHS)
    users, items, ratings = SIZES[many]
    assert isinstance(config.data, SyntheticData)
    data = replace(config.data, num_users=users, num_items=items, num_ratings=ratings)
    return replace(config, workers=1, data=data)


def sweep_constants(
    configs: Mapping[str, Config], pilots: Mapping[str, Pilots]
) -> dict[str, float]:
    """The fields of `Training` about phases. `configs`: those of `sweep_configs`."""
    seconds = {name: least(pilots[name], _epoch_s) for name in configs}
    in_python_s = seconds.pop(IN_PYTHON)
    amounts = [_amounts(configs[name]) for name in seconds]
    constants = dict(zip(AMOUNT_S, fit(amounts, list(seconds.values())), strict=True))
    around_s = max(0.0, in_python_s - seconds[IN_A_CALL])
    return {**constants, "phase_s": around_s / len(_phases(configs[IN_A_CALL]))}


def _phases(config: Config) -> list[Phase]:
    ratings = load_ratings(config.data, config.data_seed)
    return phases_of(sizes_of(config, ratings), config.model.dim, worker=0)


def _amounts(config: Config) -> Amounts:
    """Those of an epoch."""
    each = zip(*(phase.amounts for phase in _phases(config)), strict=True)
    return Amounts(*map(sum, each))


def _epoch_s(run: "RunResult") -> float:
    """Seconds of an epoch of the quickest round, without evaluations and waits."""
    later = (row.account for row in run.history.worker(0) if row.round_index > 0)
    return min(with_core_s(account, "compute") for account in later) / EPOCHS
