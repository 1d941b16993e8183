"""The cells of benchmarks.quality.grid."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.quality.ways import MOMENTUM, Way

EPOCHS = 60
LEARNING_RATES = (0.015, 0.05, 0.1)
AGGREGATIONS = {
    "uniform": ("aggregation=uniform",),
    "inverse_loss": ("aggregation=inverse_loss",),
    "rows": ("aggregation=rows",),
    "rows + momentum": ("aggregation=rows", *MOMENTUM, "aggregation.outer_beta1=0.5"),
}
SPLITS = ("iid", "user", "item")
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the grid.

    `averaged`: the aggregation, or None where the split is stratified.
    """

    workers: int
    local_epochs: int
    split: str
    averaged: str | None

    def way(self) -> Way:
        """The way to train it."""
        how = () if self.averaged is None else AGGREGATIONS[self.averaged]
        overrides = (f"workers={self.workers}", f"split={self.split}", *how)
        return Way(
            overrides=overrides,
            tried={"trainer.lr": LEARNING_RATES},
            local_epochs=self.local_epochs,
            epochs=EPOCHS,
        )

    def bytes_per_round(self, num_users: int, num_items: int, width: int) -> int:
        """Bytes of all workers together. `width`: floats of a row."""
        state = (num_users + num_items) * width * FLOAT_BYTES
        if self.averaged is not None:
            return 2 * self.workers * state
        turns = self.local_epochs * self.workers if self.workers > 1 else 0
        return turns * num_items * width * FLOAT_BYTES + state


def cells(workers: Sequence[int], local_epochs: Sequence[int]) -> list[Cell]:
    """All cells. One worker has nothing to average: one cell per number of local epochs."""
    found = []
    for number in workers:
        for epochs in local_epochs:
            found.append(
                Cell(workers=number, local_epochs=epochs, split="stratified", averaged=None)
            )
            if number > 1:
                found += [
                    Cell(workers=number, local_epochs=epochs, split=split, averaged=averaged)
                    for split in SPLITS
                    for averaged in AGGREGATIONS
                ]
    return found
