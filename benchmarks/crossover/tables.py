"""The tables of benchmarks.crossover: errors of predictions, and regret."""

import statistics
from collections.abc import Sequence

from benchmarks.crossover.jobs import BACKENDS, Cell
from benchmarks.harness import MISSING, Row, Table

PREDICTED, MEASURED, ERROR, OTHERS = "predicted, s", "measured, s", "error, %", "others, %"
GOOD_REGRET, GOOD_ERROR, GOOD_SHARE = 1.10, 15.0, 0.9  # the advice is to be this good


def error(row: Row) -> float:
    """Error of the prediction against the measured median, %."""
    return (row.figures[PREDICTED][0] / statistics.median(row.figures[MEASURED]) - 1.0) * 100.0


def recommended(rows: Sequence[Row]) -> Row:
    """The backend that `advise` names first."""
    return min(rows, key=lambda row: row.figures[PREDICTED][0])


def fastest(rows: Sequence[Row]) -> Row:
    """The backend with the lowest median."""
    return min(rows, key=lambda row: statistics.median(row.figures[MEASURED]))


def regret(rows: Sequence[Row]) -> float:
    """Time of the recommended backend, divided by that of the fastest."""
    chosen, best = (
        statistics.median(row.figures[MEASURED]) for row in (recommended(rows), fastest(rows))
    )
    return chosen / best


def of_job(rows: Sequence[Row], cell: Cell) -> list[Row]:
    """The rows of a job that was measured."""
    return [row for row in rows if row.labels["job"] == cell.job and row.figures]


def table(title: str, cells: Sequence[Sequence[Row]]) -> Table:
    """A line per job: prediction and measurement of each backend, and the regret."""
    names = [
        name
        for name in BACKENDS
        if any(row.labels["backend"] == name for rows in cells for row in rows)
    ]
    body = []
    for rows in cells:
        if not rows:
            continue
        shown = {
            str(
                row.labels["backend"]
            ): f"{row.cell(PREDICTED)} / {row.cell(MEASURED)} [{error(row):+.0f} %]"
            for row in rows
        }
        best = [
            str(recommended(rows).labels["backend"]),
            str(fastest(rows).labels["backend"]),
            f"{regret(rows):.2f}",
        ]
        body.append(
            [str(rows[0].labels["job"]), *(shown.get(name, MISSING) for name in names), *best]
        )
    return Table(
        title=title, header=["job", *names, "recommended", "fastest", "regret"], cells=body
    )


def summary(cells: Sequence[Sequence[Row]], *, advised: bool) -> Table:
    """The errors of all jobs; where the advice counts (`advised`) also its regret."""
    rows = [row for cell in cells for row in cell]
    if not rows:
        return Table(title="Nothing was measured", header=["", ""], cells=[])
    errors = [abs(error(row)) for row in rows]
    regrets = [regret(cell) for cell in cells if cell]
    good = sum(value <= GOOD_REGRET for value in regrets)
    others = [share for row in rows for share in row.figures[OTHERS]]
    body = [
        ["median error, %", f"{statistics.median(errors):.1f}", f"below {GOOD_ERROR:g}"],
        ["largest error, %", f"{max(errors):.1f}", ""],
        [
            "used by others before a run, median (highest), %",
            f"{statistics.median(others):.0f} ({max(others):.0f})",
            "below 10",
        ],
    ]
    if advised:
        asked = f"{GOOD_SHARE:.0%}"
        body.insert(
            2,
            [
                f"recommended is within {GOOD_REGRET - 1:.0%} of the fastest",
                f"{good} of {len(regrets)}",
                asked,
            ],
        )
    return Table(title="In short", header=["", "found", "wanted"], cells=body)
