"""How long does a sweep take, beside other libraries? `python -m benchmarks.sweeps`

A sweep makes all users anew, and then all items. Here all make as many of them, with the same
embedding size, on the same ratings. myFM begins with factors as large as ours, which settle faster
than its default.

| model | ours                                                  | other libraries   |
| ----- | ----------------------------------------------------- | ----------------- |
| gibbs | trainer=gibbs from ids alone, with one noise for all  | myFM              |
| als   | trainer=als                                           | LensKit, implicit |

implicit is for implicit feedback: it takes a rating as the weight of a pair and predicts a
preference, so it has no RMSE here. It solves for a row as ours does, or approaches the solution in
three steps of conjugate gradients, which is its default.

`fit, s` is a whole training. The seconds of a sweep are those of the second half of the sweeps: of
the second of two rounds of ours; a library trains with all sweeps and with half of them, and the
difference counts. Ours also predict the test part after each sweep that counts; the libraries
predict it afterwards, on nobody's time.
"""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import isnan

import numpy as np

from benchmarks.data_sets import MILLION
from benchmarks.harness import (
    Figures,
    Labels,
    Row,
    Unavailable,
    add_overrides,
    add_ratio,
    command_line,
    in_turn,
    report,
    table_of,
)
from benchmarks.peers import INSTALL
from benchmarks.quality.factor_machines import myfm
from benchmarks.quality.others import fit_other
from benchmarks.quality.recommenders import Predictor, Recommender, Sizes, Values, lenskit
from benchmarks.train_runs import aggregates, compose_config, last_of_each
from ddp.config.schema import Config
from ddp.config.trainer import AlsTrainer
from ddp.counting import counted
from ddp.ratings.arrays import Part
from ddp.ratings.load import load_ratings
from ddp.workers.prepare import prepare

DATA = {"million": MILLION, "ml1m": ("data=ml1m",)}
JOB = (
    "model=small",
    "rounds=2",
    "local_epochs=10",
    "split.valid_fraction=0",
    "split.test_fraction=0.2",
    "select_on=last",
    "reference=false",
    "display=none",
)
# The samples of myFM count from its sixth sweep on.
MODELS = {
    "gibbs": (
        "trainer=gibbs",
        "trainer.implicit=none",
        "trainer.noise=common",
        "trainer.burn_in=5",
        "model.init_std=0.2",
    ),
    "als": ("trainer=als", "trainer.reg=0.1"),
}
OURS = {
    "one worker": ("workers=1", "backend=thread"),
    "2 threads": ("workers=2", "backend=thread"),
    "2 shm workers": ("workers=2", "backend=shm"),
}
FIT, SWEEP, RMSE, SPEED_UP = "fit, s", "ms per sweep", "test RMSE", "speed-up"


def implicit(train: Part, sizes: Sizes, values: Values, seed: int, *, use_cg: bool) -> Predictor:
    """implicit's ALS. Its predictions are no ratings: they are NaN here."""
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from scipy import sparse
    except ImportError as error:
        raise Unavailable(f"implicit: {INSTALL}") from error
    shape = (sizes.num_users, sizes.num_items)
    weights = sparse.csr_matrix((train.ratings, (train.users, train.items)), shape)
    model = AlternatingLeastSquares(
        factors=int(values["k"]),
        regularization=values["reg"],
        iterations=int(values["epochs"]),
        use_cg=use_cg,
        num_threads=int(values["threads"]),
        random_state=seed,
    )
    model.fit(weights, show_progress=False)
    return lambda pairs: np.full(len(pairs), np.nan, np.float32)


# model -> library -> its function, and the numbers of threads that it can use
PEERS: dict[str, dict[str, tuple[Recommender, tuple[int, ...]]]] = {
    "gibbs": {"myFM": (myfm, (1,))},
    "als": {
        "LensKit": (lenskit, (1, 2)),
        "implicit": (partial(implicit, use_cg=False), (1, 2)),
        "implicit, gradients": (partial(implicit, use_cg=True), (1, 2)),
    },
}


def main() -> None:
    """The command."""
    parser = command_line("sweeps", __doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--data", choices=DATA, default="million", help="default: %(default)s")
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=list(MODELS), help="only these"
    )
    add_overrides(parser)
    arguments = parser.parse_intermixed_args()
    rows: list[Row] = []
    tables = []
    for model in arguments.models:
        overrides = last_of_each(
            (*DATA[arguments.data], *JOB, *MODELS[model], *arguments.overrides)
        )
        measured = measure(model, overrides, arguments.repeats)
        rows += measured
        config = compose_config(overrides)
        title = (
            f"{model}: {counted(config.rounds * config.local_epochs, 'sweep')}, embedding size"
            f" {config.model.dim}: median (lowest - highest)"
        )
        figures = (FIT, SWEEP, RMSE, SPEED_UP, *map(ratio, OURS))
        tables.append(table_of(title, measured, ("by",), figures))
    report("sweeps", arguments, rows, tables)


def measure(model: str, overrides: list[str], repeats: int) -> list[Row]:
    """A row for each of ours and of the libraries."""
    candidates: list[tuple[Labels, Callable[[], Figures]]] = [
        ({"model": model, "by": name}, partial(ours, (*overrides, *more)))
        for name, more in OURS.items()
    ]
    config = compose_config(overrides)
    for name, (recommender, numbers) in PEERS[model].items():
        for threads in numbers:
            by = f"{name}, {counted(threads, 'thread')}"
            candidates.append(
                ({"model": model, "by": by}, partial(peer, recommender, config, threads))
            )
    rows = in_turn(candidates, repeats)
    own, libraries = rows[: len(OURS)], rows[len(OURS) :]
    add_ratio(own, SPEED_UP, SWEEP, own[0], faster=True)
    for row in own:
        add_ratio(libraries, ratio(str(row.labels["by"])), SWEEP, row, faster=False)
    return rows


def ratio(name: str) -> str:
    """The name of the ratio of a library's seconds to those of one of ours."""
    return f"times {name}"


def ours(overrides: tuple[str, ...]) -> Figures:
    """Runs ours once."""
    config = compose_config(overrides)
    *_, before, last = aggregates(config)
    sweep_s = (last.elapsed_s - before.elapsed_s) / config.local_epochs
    return {FIT: last.elapsed_s, SWEEP: 1e3 * sweep_s, RMSE: last.test.rmse}


def peer(recommender: Recommender, config: Config, threads: int) -> Figures:
    """Runs a library in a process of its own: LensKit's threads are those of its first use."""
    os.environ |= {"LK_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peer, recommender, config, threads).result()


def _peer(recommender: Recommender, config: Config, threads: int) -> Figures:
    prepared = prepare(config, load_ratings(config.data, config.data_seed))
    ratings, test_rows = prepared.ratings, prepared.deal.rows("test")
    train = ratings.part(np.setdiff1d(np.arange(len(ratings)), test_rows))
    sizes = Sizes(
        num_users=ratings.num_users,
        num_items=ratings.num_items,
        rating_min=ratings.rating_min,
        rating_max=ratings.rating_max,
    )
    values = {"k": config.model.dim, "init_std": config.model.init_std, "threads": threads}
    if isinstance(config.trainer, AlsTrainer):
        values["reg"] = config.trainer.reg

    def fit(epochs: int) -> tuple[float, float]:
        pairs = ratings.part(test_rows)
        return fit_other(recommender, train, pairs, sizes, values | {"epochs": epochs}, config.seed)

    fit(1)  # loads the library
    num_epochs = config.rounds * config.local_epochs
    (_, half_s), (rmse, all_s) = fit(num_epochs // 2), fit(num_epochs)
    figures = {FIT: all_s, SWEEP: 1e3 * (all_s - half_s) / (num_epochs - num_epochs // 2)}
    return figures if isnan(rmse) else figures | {RMSE: rmse}


if __name__ == "__main__":
    main()
