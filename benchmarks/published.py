"""Our trainers beside published figures of deep models. `python -m benchmarks.published`

| data   | test part                                                                            |
| ------ | ------------------------------------------------------------------------------------ |
| ml100k | the canonical folds u1 to u5: u1 alone, and the mean of the five; a seed of the       |
|        | model per repeat                                                                     |
| ml1m   | a random tenth, another one per repeat                                               |

Validation chooses hyper-parameters and the number of epochs, for each test part anew, on a
twentieth of its training part. Then everything is trained again on the whole training part, and the
test part is read once. A published figure is its paper's own; its authors' code says how they came
to their number of epochs, and one of them took the epoch that was best on the test part.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.harness import MISSING, Row, Table, Unavailable, command_line, report
from benchmarks.quality.fits import choose, fit
from benchmarks.quality.protocols import HeldOut
from benchmarks.quality.ways import Way, told
from benchmarks.train_runs import compose_config
from ddp.config.split import FOLDS
from ddp.errors import DataError
from ddp.ratings.load import load_ratings

U1, MEAN, TENTH = "u1, test RMSE", "mean of u1 to u5, test RMSE", "test RMSE"
SECONDS = "fit, s"

WAYS = {
    "fused": Way(
        overrides=("workers=1",),
        tried={
            "trainer.lr": (0.015, 0.03),
            "trainer.lr_decay": (0.95, 0.98),
            "trainer.reg_factors": (0.08, 0.09, 0.1),
            "model.dim": (64, 256),
        },
    ),
    "autograd": Way(
        overrides=("trainer=autograd", "workers=1"),
        tried={"trainer.lr": (0.002, 0.005), "trainer.weight_decay": (2e-4, 3e-4, 5e-4)},
        epochs=40,
    ),
    "als": Way(
        overrides=("trainer=als", "workers=2"),
        tried={"trainer.reg": (0.05, 0.1, 0.2), "model.dim": (8, 16)},
        epochs=30,
    ),
    "gibbs, ids alone": Way(
        overrides=("trainer=gibbs", "trainer.implicit=none", "workers=2"),
        tried={"model.dim": (8, 16)},
        local_epochs=20,
        epochs=200,
    ),
    "gibbs": Way(
        overrides=("trainer=gibbs", "workers=2"),
        tried={"model.dim": (12, 16), "model.init_std": (0.15, 0.3)},
        local_epochs=20,
        epochs=200,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A figure as its paper has it; `chosen`: how its authors' code chooses the epoch."""

    model: str
    rmse: str
    chosen: str


Measured = tuple[dict[str, list[float]], str]  # figures, and the values that validation chose first


def on_folds(way: Way, repeats: int) -> Measured:
    """A way on the canonical folds of MovieLens 100K; values and seconds are those of u1."""
    folds: list[HeldOut] = [(f"split.fold={fold}",) for fold in range(1, FOLDS + 1)]
    chosen = [choose(way, fold) for fold in folds]
    figures: dict[str, list[float]] = {U1: [], MEAN: [], SECONDS: []}
    for seed in range(repeats):
        lasts = [
            fit(way, values, fold, valid_fraction=0, epochs=epochs, seed=seed)[-1]
            for fold, (values, epochs) in zip(folds, chosen, strict=True)
        ]
        figures[U1].append(lasts[0].test.rmse)
        figures[MEAN].append(statistics.mean(last.test.rmse for last in lasts))
        figures[SECONDS].append(lasts[0].elapsed_s)
    values, epochs = chosen[0]
    return figures, told({**values, "epochs": epochs})


def on_tenths(way: Way, repeats: int) -> Measured:
    """A way on random tenths of MovieLens 1M. Raises Unavailable if no source has the set."""
    try:
        load_ratings(compose_config(["data=ml1m"]).data, seed=0)
    except DataError as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise Unavailable(f"{reason} (python train.py data=ml1m inspect=true says why)") from None
    figures: dict[str, list[float]] = {TENTH: [], SECONDS: []}
    chosen = []
    for seed in range(repeats):
        tenth = ("data=ml1m", "split.test_fraction=0.1", f"split.seed={seed}")
        values, epochs = choose(way, tenth)
        last = fit(way, values, tenth, valid_fraction=0, epochs=epochs, seed=seed)[-1]
        figures[TENTH].append(last.test.rmse)
        figures[SECONDS].append(last.elapsed_s)
        chosen.append(told({**values, "epochs": epochs}))
    return figures, chosen[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Data with a test part that papers share; `figures`: those that `measure` gives."""

    title: str
    figures: tuple[str, ...]
    measure: Callable[[Way, int], Measured]
    published: tuple[Published, ...]


FIXED = "a fixed number of epochs, in its code"
ON_TEST = "the best epoch on the test part, in its code"
GC_MC = "GC-MC (van den Berg et al., 2017)"
GC_MC_FEATURES = "GC-MC with features (van den Berg et al., 2017)"
IGMC = "IGMC (Zhang and Chen, ICLR 2020)"
GLOCAL_K = "GLocal-K (Han et al., CIKM 2021)"
DIVISIONS = {
    "ml100k": Division(
        title="MovieLens 100K, canonical folds: median (lowest - highest)",
        figures=(U1, MEAN, SECONDS),
        measure=on_folds,
        published=(
            Published(model=GC_MC, rmse="0.910", chosen=FIXED),
            Published(model=GC_MC_FEATURES, rmse="0.905", chosen=FIXED),
            Published(model=IGMC, rmse="0.905", chosen=FIXED),
            Published(model=GLOCAL_K, rmse="0.8889", chosen=ON_TEST),
        ),
    ),
    "ml1m": Division(
        title="MovieLens 1M, a random tenth held out: median (lowest - highest)",
        figures=(TENTH, SECONDS),
        measure=on_tenths,
        published=(
            Published(model=GC_MC, rmse="0.832", chosen=FIXED),
            Published(model=GLOCAL_K, rmse="0.8227", chosen=ON_TEST),
        ),
    ),
}


def measure(data: str, arguments: argparse.Namespace) -> list[Row]:
    """A row per way."""
    division, rows = DIVISIONS[data], []
    for name in arguments.ways:
        began = time.perf_counter()
        row = Row(labels={"data": data, "way": name, "chosen": ""})
        try:
            row.figures, chosen = division.measure(WAYS[name], arguments.repeats)
            row.labels = {**row.labels, "chosen": chosen}
        except Unavailable as reason:
            row.note = str(reason)
        rows.append(row)
        cells = [row.cell(figure) for figure in division.figures]
        took = f"({time.perf_counter() - began:.0f} s)"
        print(f"{data}: {name}:", *cells, took, file=sys.stderr, flush=True)
    return rows


def table_of(division: Division, rows: Sequence[Row]) -> Table:
    """Ours, and the published figures below."""
    own = [
        [
            str(row.labels["way"]),
            *(row.cell(figure) for figure in division.figures),
            f"on validation: {row.labels['chosen']}" if row.figures else MISSING,
        ]
        for row in rows
    ]
    unknown = [MISSING] * (len(division.figures) - 1)
    others = [[each.model, each.rmse, *unknown, each.chosen] for each in division.published]
    return Table(title=division.title, header=["", *division.figures, "chosen"], cells=own + others)


def main() -> None:
    """The command."""
    parser = command_line("published", __doc__)
    parser.add_argument(
        "--data", nargs="+", choices=DIVISIONS, default=list(DIVISIONS), help="only these sets"
    )
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=list(WAYS), help="only these trainers"
    )
    arguments = parser.parse_args()
    rows: list[Row] = []
    tables = []
    for data in arguments.data:
        measured = measure(data, arguments)
        rows += measured
        tables.append(table_of(DIVISIONS[data], measured))
    report("published", arguments, rows, tables)


if __name__ == "__main__":
    main()
