"""The rules that join `split`, `aggregation` and `trainer`.

A split deals shards, and an aggregation joins the states of workers.

| `trainer`     | `split`    | `aggregation`  | the aggregate of a round                       |
|---------------|------------|----------------|------------------------------------------------|
| autograd,     | stratified | none           | each row from the worker that holds it         |
| fused         | any other  | any other      | the mean of the workers' states or predictions |
|               | auto       | none           | as with stratified                             |
|               | auto       | any other      | as with iid                                    |
| gibbs, als    | both, auto | none           | each row from the worker that makes it         |

All others are refused: a setting would have no effect, or nothing would join the states.
"""

from dataclasses import replace

from ddp.config.aggregation import Aggregation
from ddp.config.split import Split
from ddp.config.trainer import TrainerOptions
from ddp.errors import ConfigError

STRATIFIED, BOTH, NONE = "stratified", "both", "none"


def taken_split(split: Split, aggregation: Aggregation, trainer: TrainerOptions) -> Split:
    """The split, or in the place of auto the one that goes with aggregation and trainer."""
    if split.name != "auto":
        return split
    return replace(split, name=BOTH if trainer.sweeps else fitting_split(aggregation.name))


def fitting_split(aggregation: str) -> str:
    """The split that auto stands for with this aggregation, for a trainer without sweeps."""
    return STRATIFIED if aggregation == NONE else "iid"


def check_sweeps(split: Split, aggregation: Aggregation, trainer: TrainerOptions) -> None:
    """Refuses split=both without a trainer that sweeps, and such a trainer with anything else."""
    if trainer.sweeps and split.name != BOTH:
        raise ConfigError(
            "split",
            split.name,
            f"trainer={trainer.name} makes the rows of whole users and of whole items: write"
            f" python train.py trainer={trainer.name}, which takes split={BOTH}",
        )
    if split.name == BOTH and not trainer.sweeps:
        raise ConfigError(
            "split",
            BOTH,
            f"is for trainer=gibbs and trainer=als, and trainer={trainer.name} needs another:"
            f" write python train.py split={STRATIFIED}, or python train.py trainer=gibbs",
        )
    if trainer.sweeps and aggregation.name != NONE:
        raise ConfigError(
            "aggregation",
            aggregation.name,
            f"has no effect with trainer={trainer.name}, where each row has one owner and nothing"
            f" is averaged; write python train.py trainer={trainer.name} aggregation={NONE}",
        )


def check_averaging(split: Split, aggregation: Aggregation) -> None:
    """Refuses an aggregation that has no effect, and shards whose states nothing joins."""
    if split.name == BOTH:
        return
    averages = aggregation.name != NONE
    nothing = f"python train.py split={STRATIFIED} aggregation={NONE}"
    if averages and split.name == STRATIFIED:
        dealt = "copies" if aggregation.name == "ensemble" else "iid"
        raise ConfigError(
            "aggregation",
            aggregation.name,
            f"has no effect with split={STRATIFIED}, where nothing is averaged; write"
            f" python train.py split={dealt} aggregation={aggregation.name}, or {nothing}",
        )
    if not averages and split.name != STRATIFIED:
        joined = "ensemble" if split.copies else "rows"
        raise ConfigError(
            "split",
            split.name,
            f"gives each worker a model of its own, and with aggregation={NONE} nothing joins them;"
            f" write python train.py split={split.name} aggregation={joined}, or {nothing}",
        )


def in_words(split: Split, aggregation: Aggregation) -> str:
    """The split that a run takes and what becomes of the workers' states, for the terminal."""
    if split.name in (STRATIFIED, BOTH):
        return f"{split.name}; aggregation={NONE}, because each row of the model has one owner"
    what = "predictions" if aggregation.name == "ensemble" else "states"
    return f"{split.name}; aggregation={aggregation.name} averages the {what} of the workers"
