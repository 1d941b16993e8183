"""Made-up ratings, splits of them, and the cases that hypothesis draws."""

import numpy as np
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from ddp.config.split import DirichletSplit, Split
from ddp.errors import UserError
from ddp.ratings.arrays import IndexArray, Ratings
from ddp.ratings.holdout import PARTS
from ddp.ratings.splits import DEALERS, Deal, make_split

HOLDOUTS = ("random", "user", "time", "files")
laws = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def ratings_of(users, items, values, timestamps=None, files=None) -> Ratings:
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    return Ratings(
        name="made",
        users=users,
        items=items,
        ratings=np.asarray(values, np.float32),
        user_ids=np.arange(users.max(initial=-1) + 1),
        item_ids=np.arange(items.max(initial=-1) + 1),
        rating_min=1.0,
        rating_max=5.0,
        timestamps=None if timestamps is None else np.asarray(timestamps, np.int64),
        files=None if files is None else np.asarray(files, np.int16),
    )


def random_ratings(
    num_rows, *, seed=0, num_users=20, num_items=20, workers=1, continuous=False
) -> Ratings:
    rng = np.random.default_rng(seed)
    values = rng.normal(3, 1, num_rows) if continuous else rng.integers(1, 6, num_rows)
    users, items = rng.integers(num_users, size=num_rows), rng.integers(num_items, size=num_rows)
    return ratings_of(
        users,
        items,
        values,
        rng.integers(num_rows, size=num_rows),
        rng.integers(workers, size=num_rows),
    )


def split_of(
    name="iid", holdout="random", test=0.2, valid=0.05, alpha=0.5, seed=None, fold=None
) -> Split:
    fields = {"name": name, "holdout": holdout, "test_fraction": test, "valid_fraction": valid}
    fields |= {"seed": seed, "fold": fold}
    fields["test_file"] = "test.csv" if holdout == "files" else None
    return DirichletSplit(**fields, alpha=alpha) if name == "dirichlet" else Split(**fields)


@st.composite
def cases(draw, names=tuple(DEALERS), holdouts=HOLDOUTS, max_rows=200):
    """(ratings, split, workers, seed, test_rows): the arguments of make_split."""
    num_rows, workers = draw(st.integers(1, max_rows)), draw(st.integers(1, 12))
    ratings = random_ratings(
        num_rows,
        seed=draw(st.integers(0, 10**6)),
        num_users=draw(st.integers(1, 60)),
        num_items=draw(st.integers(1, 60)),
        workers=workers,
        continuous=draw(st.booleans()),
    )
    name, holdout, fraction = (
        draw(st.sampled_from(names)),
        draw(st.sampled_from(holdouts)),
        st.floats(0.01, 0.9),
    )
    split = split_of(
        name,
        holdout,
        draw(fraction),
        draw(st.just(0.0) | fraction),
        draw(st.sampled_from([1e-9, 0.1, 1, 1e6])),
    )
    test_rows = None
    if holdout == "files":
        test_rows = np.random.default_rng(num_rows).permutation(num_rows)[
            : draw(st.integers(1, num_rows))
        ]
    return ratings, split, workers, draw(st.integers(0, 2**32)), test_rows


def split_or_skip(case) -> Deal:
    """The split of a case; some drawn cases cannot be split (`test_split_refusals.py`)."""
    try:
        return make_split(*case)
    except UserError:
        assume(False)
        raise


def shards_of(deal: Deal, part) -> list[IndexArray]:
    return [deal.rows(part, worker) for worker in range(deal.workers)]


def sizes_of(deal: Deal, part) -> list[int]:
    return [deal.size(part, worker) for worker in range(deal.workers)]


def rows_of(deal: Deal) -> list[list[int]]:
    return [rows.tolist() for part in PARTS for rows in (deal.rows(part), *shards_of(deal, part))]
