"""The rules that join `split` and `aggregation`: one deals shards, the other joins the states.

| `split`    | `aggregation`  | the aggregate of a round                                |
|------------|----------------|---------------------------------------------------------|
| stratified | none           | each row of the model from the worker that holds it     |
| any other  | any other      | the mean of the workers' states, or of their predictions |
| auto       | none           | as with stratified                                      |
| auto       | any other      | as with iid                                             |

All other pairs are refused: one of the two settings would have no effect.
"""

from dataclasses import replace

from ddp.config.aggregation import Aggregation
from ddp.config.split import Split
from ddp.errors import ConfigError

STRATIFIED, NONE = "stratified", "none"


def taken_split(split: Split, aggregation: Aggregation) -> Split:
    """The split, or in the place of auto the one that goes with the aggregation."""
    if split.name != "auto":
        return split
    return replace(split, name=fitting_split(aggregation.name))


def fitting_split(aggregation: str) -> str:
    """The split that auto stands for with this aggregation."""
    return STRATIFIED if aggregation == NONE else "iid"


def check_averaging(split: Split, aggregation: Aggregation) -> None:
    """Refuses an aggregation that has no effect, and shards whose states nothing joins."""
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
    if split.name == STRATIFIED:
        return f"{STRATIFIED}; aggregation={NONE}, because each row of the model has one owner"
    what = "predictions" if aggregation.name == "ensemble" else "states"
    return f"{split.name}; aggregation={aggregation.name} averages the {what} of the workers"
