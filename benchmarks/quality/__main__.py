"""How much accuracy does averaging cost? `python -m benchmarks.quality`

Ours with one worker, and ways to train with several, on MovieLens 100K with the compiled trainer.
`--peers` adds other libraries (`make benchmark-peers` installs them). Never compare two protocols:

| protocol | test part                                                                          |
| -------- | ---------------------------------------------------------------------------------- |
| random   | a fifth of the ratings, drawn by `default_rng(seed)`, a seed per repeat             |
| folds    | the data's own u1 - u5 if they are there, else a seeded permutation cut in five     |
| time     | the latest fifth of each user's ratings, a seed of the model per repeat             |

Validation chooses hyper-parameters and the number of epochs, on a twentieth of the training part of
the first repeat. Then everything is trained again on the whole training part of each repeat, and
its test part is read once.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, Table, Unavailable, command_line, compose_config, report
from benchmarks.quality.recommenders import CANDIDATES, RECOMMENDERS, Sizes, Values
from ddp.config.data import MovieLensData
from ddp.errors import AggregationError, WorkerError
from ddp.experiment import train
from ddp.ratings.arrays import IndexArray, Part, Ratings
from ddp.ratings.load import load_ratings, read_pairs
from ddp.tracking.messages import AggregateRound
from ddp.workers.prepare import prepare

PROTOCOLS = ("random", "folds", "time")
TEST, GAP, SECONDS = "test RMSE", "gap to one worker", "fit, s"
VALID_FRACTION = 0.05
EPOCHS = 100
BASE = (
    "data=ml100k",
    "trainer=fused",
    "select_on=last",
    "reference=false",
    "tensorboard=false",
    "display=none",
)
# One worker, and every row owned by one worker: the learning rate may be the same.
LOSSLESS = {
    "trainer.lr": (0.01, 0.015),
    "trainer.lr_decay": (0.98, 0.99),
    "trainer.reg_factors": (0.08, 0.09, 0.1),
    "model.dim": (64, 256),
    "model.init_std": (0.01, 0.05),
}
AVERAGED = {
    "trainer.lr": (0.02, 0.05, 0.1),
    "trainer.lr_decay": (0.98, 0.99),
    "trainer.reg_factors": (0.06, 0.08, 0.1),
    "model.dim": (64,),
}
MOMENTUM = ("aggregation.outer=nesterov",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to train. `overrides`: of a run; `tried`: option -> values to choose from."""

    overrides: tuple[str, ...]
    tried: Mapping[str, Sequence[float]]
    local_epochs: int = 1
    epochs: int = EPOCHS  # at most this many


ONE = "one worker"
WAYS = {
    ONE: Way(overrides=("workers=1", "split=stratified"), tried=LOSSLESS),
    "2 workers, stratified": Way(overrides=("workers=2", "split=stratified"), tried=LOSSLESS),
    "5 workers, stratified": Way(overrides=("workers=5", "split=stratified"), tried=LOSSLESS),
    "16 workers, stratified": Way(overrides=("workers=16", "split=stratified"), tried=LOSSLESS),
    "5 workers, ensemble": Way(
        overrides=("workers=5", "split=copies", "aggregation=ensemble"),
        tried=LOSSLESS
        | {
            "trainer.lr": (0.015, 0.02),
            "trainer.reg_factors": (0.05, 0.06, 0.07),
            "model.init_std": (0.02, 0.03),
        },
    ),
    "5 workers, iid, 10 local epochs, uniform": Way(
        overrides=("workers=5", "split=iid", "aggregation=uniform"),
        tried=AVERAGED,
        local_epochs=10,
        epochs=300,
    ),
    "5 workers, iid, 10 local epochs, rows": Way(
        overrides=("workers=5", "split=iid", "aggregation=rows"),
        tried=AVERAGED,
        local_epochs=10,
        epochs=300,
    ),
    "5 workers, iid, 10 local epochs, rows + momentum": Way(
        overrides=("workers=5", "split=iid", "aggregation=rows", *MOMENTUM),
        tried=AVERAGED
        | {"trainer.lr": (0.01, 0.02, 0.05), "aggregation.outer_beta1": (0.3, 0.6, 0.8)},
        local_epochs=10,
        epochs=300,
    ),
    "5 workers, by user, 1 local epoch, uniform": Way(
        overrides=("workers=5", "split=user", "aggregation=uniform"), tried=AVERAGED
    ),
    "5 workers, by user, 1 local epoch, rows": Way(
        overrides=("workers=5", "split=user", "aggregation=rows"), tried=AVERAGED
    ),
}


# --- protocols ---


def test_parts(
    protocol: str, data: MovieLensData, ratings: Ratings, repeats: int
) -> Iterator[IndexArray]:
    """The rows of the test part of each repeat."""
    if protocol == "random":
        for seed in range(repeats):
            yield np.random.default_rng(seed).permutation(len(ratings))[: len(ratings) // 5]
    elif protocol == "folds":
        own = [Path(data.root) / "ml-100k" / f"u{fold}.test" for fold in range(1, 6)]
        if all(file.exists() for file in own):
            yield from (read_pairs(file, data, ratings) for file in own)
            return
        yield from np.array_split(np.random.default_rng(0).permutation(len(ratings)), 5)
    else:
        assert ratings.timestamps is not None
        order = np.lexsort((ratings.timestamps, ratings.users))
        counts = np.bincount(ratings.users, minlength=ratings.num_users)
        # a rating's place among those of its user, by time
        place = np.arange(len(ratings)) - np.repeat(np.cumsum(counts) - counts, counts)
        latest = order[place >= np.repeat(counts - counts // 5, counts)]
        for _ in range(repeats):
            yield latest


def write_rows(ratings: Ratings, rows: IndexArray, file: Path) -> None:
    """Writes rows for `split.test_file`: the data's own ids, in the format of u.data."""
    columns = (ratings.user_ids[ratings.users[rows]], ratings.item_ids[ratings.items[rows]])
    lines = (
        f"{user}\t{item}\t{rating:g}\t0\n"
        for user, item, rating in zip(*columns, ratings.ratings[rows], strict=True)
    )
    file.write_text("".join(lines), encoding="utf-8")


# --- ours ---


def fit(
    way: Way, values: Values, test_file: Path, *, valid_fraction: float, epochs: int, seed: int
) -> list[AggregateRound]:
    """The aggregates of one run."""
    chosen = [f"{key}={value:g}" for key, value in values.items()]
    rounds = max(1, epochs // way.local_epochs)
    config = compose_config(
        [
            *(
                *BASE,
                *way.overrides,
                *chosen,
                f"rounds={rounds}",
                f"local_epochs={way.local_epochs}",
                f"seed={seed}",
            ),
            *(
                "split.holdout=files",
                f"split.test_file={test_file}",
                f"split.valid_fraction={valid_fraction}",
            ),
        ]
    )
    prepared = prepare(config, load_ratings(config.data, config.seed))
    return [done.row for done in train(prepared)]


def choose(way: Way, test_file: Path) -> tuple[Values, int]:
    """The values and the number of epochs with the lowest validation RMSE."""
    best, epochs = math.inf, 0
    chosen: Values = {}
    for values in (
        dict(zip(way.tried, tried, strict=True)) for tried in product(*way.tried.values())
    ):
        try:
            rows = fit(
                way, values, test_file, valid_fraction=VALID_FRACTION, epochs=way.epochs, seed=0
            )
        except AggregationError:  # the run diverges
            continue
        except WorkerError as error:
            if not error.diverged:
                raise
            continue
        row = min(rows, key=lambda row: row.valid.mse)
        if row.valid.rmse < best:
            best, chosen, epochs = row.valid.rmse, values, (row.round_index + 1) * way.local_epochs
    return chosen, epochs


# --- others ---


def choose_other(name: str, ratings: Ratings, sizes: Sizes, train_rows: IndexArray) -> Values:
    """The candidate with the lowest validation RMSE."""
    shuffled = np.random.default_rng(0).permutation(train_rows)
    num_valid = round(len(shuffled) * VALID_FRACTION)
    valid, rest = ratings.part(shuffled[:num_valid]), ratings.part(shuffled[num_valid:])
    return min(CANDIDATES[name], key=lambda values: rmse(name, rest, valid, sizes, values, 0))


def rmse(name: str, known: Part, pairs: Part, sizes: Sizes, values: Values, seed: int) -> float:
    """RMSE of another library's predictions, clipped to the scale."""
    predicted = np.clip(
        RECOMMENDERS[name](known, pairs, sizes, values, seed), sizes.rating_min, sizes.rating_max
    )
    return float(np.sqrt(np.mean((predicted.astype(np.float64) - pairs.ratings) ** 2)))


# --- the table ---


def measure(protocol: str, arguments: argparse.Namespace, folder: Path) -> list[Row]:
    """A row per way and per other library."""
    config = compose_config(BASE)
    assert isinstance(config.data, MovieLensData)
    ratings = load_ratings(config.data, config.seed)
    sizes = Sizes(
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        rating_min=ratings.rating_min,
        rating_max=ratings.rating_max,
    )
    parts = list(test_parts(protocol, config.data, ratings, arguments.repeats))
    files = []
    for repeat, part in enumerate(parts):
        files.append(folder / f"{protocol}{repeat}.tsv")
        write_rows(ratings, part, files[-1])
    rows: list[Row] = []

    def add(name: str, run: Callable[[], tuple[dict[str, list[float]], str]]) -> None:
        began = time.perf_counter()
        row = Row(labels={"protocol": protocol, "way": name, "chosen": ""})
        try:
            row.figures, chosen = run()
            row.labels = {**row.labels, "chosen": chosen}
        except Unavailable as reason:
            row.note = str(reason)
        rows.append(row)
        print(
            f"{protocol}: {name}: {row.cell(TEST)} ({time.perf_counter() - began:.0f} s)",
            file=sys.stderr,
            flush=True,
        )

    for name in arguments.ways:
        add(name, partial(_ours, WAYS[name], files))
    for name in RECOMMENDERS if arguments.peers else ():
        add(name, partial(_other, name, ratings, sizes, parts))
    if rows[0].labels["way"] == ONE:
        _add_gaps(rows, rows[0].figures[TEST])
    return rows


def _add_gaps(rows: Sequence[Row], of_one: Sequence[float]) -> None:
    """Adds to each row how much larger its errors are than those of one worker."""
    for row in rows:
        if TEST in row.figures:
            row.figures[GAP] = [
                own - one for own, one in zip(row.figures[TEST], of_one, strict=True)
            ]


def _ours(way: Way, files: Sequence[Path]) -> tuple[dict[str, list[float]], str]:
    values, epochs = choose(way, files[0])
    figures: dict[str, list[float]] = {TEST: [], SECONDS: []}
    for seed, file in enumerate(files):
        last = fit(way, values, file, valid_fraction=0, epochs=epochs, seed=seed)[-1]
        figures[TEST].append(last.test.rmse)
        figures[SECONDS].append(last.elapsed_s)
    return figures, _told({**values, "epochs": epochs})


def _other(
    name: str, ratings: Ratings, sizes: Sizes, parts: Sequence[IndexArray]
) -> tuple[dict[str, list[float]], str]:
    everything = np.arange(len(ratings))
    values = choose_other(name, ratings, sizes, np.setdiff1d(everything, parts[0]))
    figures: dict[str, list[float]] = {TEST: [], SECONDS: []}
    for seed, rows in enumerate(parts):
        began = time.perf_counter()
        known, pairs = ratings.part(np.setdiff1d(everything, rows)), ratings.part(rows)
        figures[TEST].append(rmse(name, known, pairs, sizes, values, seed))
        figures[SECONDS].append(time.perf_counter() - began)
    return figures, _told(values)


def _told(values: Values) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} {value:g}" for key, value in values.items())


def _arguments() -> argparse.Namespace:
    parser = command_line("quality", __doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument(
        "--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="only these"
    )
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=WAYS,
        default=list(WAYS),
        metavar="WAY",
        help="only these; the first should be one worker",
    )
    parser.add_argument("--peers", action="store_true", help="add the other libraries")
    return parser.parse_args()


def main() -> None:
    """The command."""
    arguments = _arguments()
    rows: list[Row] = []
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for protocol in arguments.protocols:
            measured = measure(protocol, arguments, Path(folder))
            rows += measured
            cells = [
                [
                    str(row.labels["way"]),
                    row.cell(TEST),
                    row.cell(GAP),
                    row.cell(SECONDS),
                    str(row.labels["chosen"]),
                ]
                for row in measured
            ]
            tables.append(
                Table(
                    title=f"{protocol}: median (lowest - highest)",
                    header=["", TEST, GAP, SECONDS, "chosen on validation"],
                    cells=cells,
                )
            )
    report("quality", arguments, rows, tables)


if __name__ == "__main__":
    main()
