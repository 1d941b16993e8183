"""The plots of benchmarks.quality.grid."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.grid_cells import Cell
from ddp.tracking.messages import AggregateRound

Curve = tuple[Cell, list[AggregateRound]]


def plot(curves: Sequence[Curve], sizes: tuple[int, int, int], folder: Path) -> list[Path]:
    """Plots validation RMSE against seconds and against bytes, a panel per number of workers.

    It shows the cells with iid or stratified and the most local epochs. `sizes`: users, items, and
    floats of a row.
    """
    from matplotlib.figure import Figure

    written = []
    for what in ("seconds", "MB exchanged"):
        most = max(cell.local_epochs for cell, _ in curves)
        numbers = sorted({cell.workers for cell, _ in curves} - {1})
        figure = Figure(figsize=(4.5 * len(numbers), 4), layout="constrained")
        for panel, number in enumerate(numbers):
            axes = figure.add_subplot(1, len(numbers), panel + 1)
            for cell, rows in curves:
                if (
                    cell.workers not in (1, number)
                    or cell.split not in ("stratified", "iid")
                    or cell.local_epochs != most
                ):
                    continue
                per_round = cell.bytes_per_round(*sizes) / 1e6
                x = [
                    row.elapsed_s if what == "seconds" else per_round * (row.round_index + 1)
                    for row in rows
                ]
                label = "one worker" if cell.workers == 1 else cell.averaged or "stratified"
                axes.plot(x, [row.valid.rmse for row in rows], label=label, marker=".")
            axes.set(title=f"{number} workers", xlabel=what, xscale="log")
            axes.set_ylabel("validation RMSE" if panel == 0 else "")
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, fontsize="small")
        written.append(folder / f"quality_{what.split()[0].lower()}.png")
        figure.savefig(written[-1], dpi=120)
    return written
