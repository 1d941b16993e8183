"""Too little data: each backend works, or refuses it with a reason."""

import json
from dataclasses import replace

import numpy as np
import pytest
from composing import composed
from jobs import BACKENDS, USUAL
from limits import JOB, SPLITS, WITHOUT_VALIDATION

from ddp.errors import ConfigError, UserError
from ddp.experiment import run
from ddp.launch.composed import load_config

pytestmark = pytest.mark.usefixtures("server_of_programs")

# 12 users, 8 items, 48 ratings: without validation 38 of them are for training.
GRID = [
    (user, item, 1 + (user * 3 + item * 5) % 5)
    for user in range(12)
    for item in range(8)
    if (user + item) % 2
]
ONE_USER = [(0, item, 1 + item % 5) for item in range(20)]
ONE_ITEM = [(item, user, rating) for user, item, rating in ONE_USER]
# every user and item has one rating; 8 are for training
SQUARE = [(each, each, 1 + each % 5) for each in range(10)]
FEW = [(0, 0, 3), (1, 1, 4)]
TOO_MANY = "workers={}: must be at most {}: the data have {} training rating"
WHOLE = (
    "workers={}: split=stratified deals whole {kind}s, and there are training ratings of only {}"
    " {kind}"
)
# ratings, workers, the reasons of a refusal with split=stratified and with iid (None: it works)
SMALL = {
    "more workers than ratings": (
        GRID,
        39,
        TOO_MANY.format(39, 38, 38),
        TOO_MANY.format(39, 38, 38),
    ),
    "more workers than users": (GRID, 20, WHOLE.format(20, 12, kind="user"), None),
    "more workers than items": (GRID, 10, WHOLE.format(10, 8, kind="item"), None),
    "as many workers as items": (GRID, 8, None, None),
    "one training rating per worker": (SQUARE, 8, None, None),
    "a user with one rating": ([*GRID, (99, 0, 3)], 3, None, None),
    "an item with one rating": ([*GRID, (0, 99, 3)], 3, None, None),
    "one user": (ONE_USER, 1, None, None),
    "one user, three workers": (ONE_USER, 3, WHOLE.format(3, 1, kind="user"), None),
    "one item": (ONE_ITEM, 1, None, None),
    "one item, three workers": (ONE_ITEM, 3, WHOLE.format(3, 1, kind="item"), None),
    "two ratings": (FEW, 1, None, None),
    "two ratings, two workers": (FEW, 2, TOO_MANY.format(2, 1, 1), TOO_MANY.format(2, 1, 1)),
    "one rating": (
        FEW[:1],
        1,
        *["csv holds 1 rating: a training and a test part need at least 2"] * 2,
    ),
}


@pytest.fixture
def of_ratings(tmp_path):
    """`of_ratings(rows, *overrides)`: the config of a small job on them."""

    def make(rows, *overrides):
        file = tmp_path / "ratings.csv"
        file.write_text(
            "user,item,rating\n"
            + "".join(f"{user},{item},{rating}\n" for user, item, rating in rows)
        )
        data = (
            "data=csv",
            f"data.path='{file}'",
            "data.user=user",
            "data.item=item",
            "data.rating=rating",
            "data.cache=null",
        )
        stratified = ("aggregation=none",) if "split=stratified" in overrides else ()
        return load_config(composed(*JOB, *data, *overrides, *stratified))

    return make


@pytest.fixture(scope="module")
def backends(make_config):
    """The options of each backend."""
    return {name: make_config(*BACKENDS[name]).backend for name in USUAL}


EVERYWHERE = ("as many workers as items", "one training rating per worker")


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("case", "names"),
    [
        *((case, USUAL if case in EVERYWHERE else ("serial",)) for case in SMALL),
        *(
            pytest.param(case, ("serial", "thread", "shm"), marks=pytest.mark.slow)
            for case in SMALL
            if case not in EVERYWHERE
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_small_data_works_on_every_backend_or_is_refused(
    of_ratings, backends, tmp_path, case, names, split
):
    rows, workers, *reasons = SMALL[case]
    composed = of_ratings(rows, f"workers={workers}", f"split={split}", *WITHOUT_VALIDATION)
    reason = reasons[SPLITS.index(split)]
    vectors = {}
    for name in names:
        config = replace(composed, backend=backends[name])
        if reason is not None:
            with pytest.raises(UserError) as caught:
                run(config, tmp_path / name, [])
            assert str(caught.value).startswith(reason)
            assert json.loads((tmp_path / name / "result.json").read_text())["status"] == "failed"
            continue
        result = run(config, tmp_path / name, [])
        assert (result.status, len(result.history.aggregate_rounds)) == ("ok", 2)
        assert result.history.aggregate_rounds[-1].test.count == max(1, round(len(rows) * 0.2))
        vectors[name] = result.state.vector
        assert np.isfinite(vectors[name]).all()
        assert vectors[name].tobytes() == vectors["serial"].tobytes()


@pytest.mark.parametrize("name", USUAL)
def test_a_worker_without_validation_ratings_is_refused_where_it_would_choose_by_them(
    of_ratings, tmp_path, name
):
    config = of_ratings(SQUARE, "workers=7", "split=iid", *BACKENDS[name])
    told = (
        r"^workers=7: worker 1's shard has 1 training rating but none in its valid part;"
        " use fewer workers, "
    )
    with pytest.raises(ConfigError, match=told):
        run(config, tmp_path / "run", [])
