"""The charts of TensorBoard's Custom Scalars tab.

Each chart has one line per run, so that a sweep can be read too. The aggregate's stand first, and
the other groups of charts are folded.
"""

from ddp.timing.paths import ROUND_PHASES
from ddp.tracking.points import (
    ACCOUNT_TAG,
    ALL_KINDS,
    FEW_KINDS,
    LOSS_TAG,
    MEAN,
    RMSE_TAG,
    TIME_TAG,
)
from ddp.tracking.who import (
    AGGREGATED,
    AGGREGATOR,
    KEPT,
    LAST_SAMPLE,
    ONE_WORKER,
    PARTS,
    POOLED,
    worker_name,
)

PER_ROUND = "ms per round"
# title of a group -> title of a chart -> the pattern of its tags
Layout = dict[str, dict[str, str]]


def layout(num_workers: int, *, full: bool = False) -> Layout:
    """The charts of a run. `full`: also those of every kind of time."""
    workers = [worker_name(worker) for worker in range(num_workers)]
    beside = f"({AGGREGATED}|{KEPT}|{LAST_SAMPLE}|{POOLED}|{ONE_WORKER})"
    groups: Layout = {
        "RMSE of the aggregate": {
            f"{part} RMSE": RMSE_TAG.format(part=part, who=AGGREGATED) for part in reversed(PARTS)
        },
        "The aggregate beside the workers together, and beside one worker": {
            f"{part} RMSE, compared": RMSE_TAG.format(part=part, who=beside)
            for part in reversed(PARTS)
        },
    }
    for part in reversed(PARTS):
        groups[f"{part} RMSE of each worker"] = {
            f"{who}: {part} RMSE": RMSE_TAG.format(part=part, who=who) for who in workers
        }
    groups["Training"] = {"mean squared error, mean of workers": LOSS_TAG.format(who=MEAN)}
    for kind in FEW_KINDS:
        groups[f"{_words(kind)} of each worker ({PER_ROUND})"] = {
            f"{who}: {_words(kind)}": TIME_TAG.format(kind=kind, who=who) for who in workers
        }
    return groups | (_of_every_kind(workers) if full else {})


def _of_every_kind(workers: list[str]) -> Layout:
    kinds = dict.fromkeys([*ROUND_PHASES, *ALL_KINDS])
    return {
        f"Where each one's time goes ({PER_ROUND})": {
            who: ACCOUNT_TAG.format(kind="[a-z_]+", who=who) for who in (*workers, AGGREGATOR)
        },
        f"Each kind of time ({PER_ROUND})": {
            _words(kind): TIME_TAG.format(kind=kind, who="[a-z_0-9]+") for kind in kinds
        },
    }


def _words(kind: str) -> str:
    return kind.replace("_", " ")
