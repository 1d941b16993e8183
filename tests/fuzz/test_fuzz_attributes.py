"""Any file of attributes gives a whole matrix, or a DataError."""

from dataclasses import replace

import numpy as np
import pytest
from csv_files import ODD, PIECES
from hypothesis import given
from hypothesis import strategies as st
from inputs import damaged, fuzzed, no_hang

from ddp.config.defaults import default_option
from ddp.errors import DataError
from ddp.ratings.arrays import Ratings
from ddp.ratings.sources.attributes import with_features

IDS = {"numbers": np.array([1, 2, 7]), "text": np.array(["1", "b", "\xe9"])}
AMOUNTS = ("0.5", "2", "1e308", "-1e308", "5e-324", "NA")

cells = st.sampled_from([*AMOUNTS, "1", "b", "\xe9", "", "a|b", *ODD])


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    separator = draw(st.sampled_from([",", ";", "\t", "::"]))
    names = ["id", "x", "kind", "age"][: draw(st.integers(2, 4))]
    columns = [draw(st.sampled_from([cells, st.sampled_from(AMOUNTS)])) for _ in names[1:]]
    others = draw(st.sampled_from([["b", "\xe9"], ["7", "8"]]))
    ids = draw(st.permutations(["1", "2", *others, *map(str, range(10, 20))]))
    rows = [[one, *(draw(column) for column in columns)] for one in ids]
    return "\n".join(separator.join(row) for row in [names, *rows]).encode("utf-8", "replace")


@pytest.mark.parametrize("known", IDS)
@fuzzed()
@given(content=damaged(tables(), PIECES))
def test_any_file(tmp_path, known, content):
    path = tmp_path / "users.csv"
    path.write_bytes(content)
    ids = IDS[known]
    column = np.arange(3, dtype=np.int32)
    ratings = Ratings(
        name="csv", users=column, items=column, ratings=np.ones(3, np.float32), user_ids=ids,
        item_ids=ids, rating_min=1, rating_max=2,
    )  # fmt: skip
    data = replace(default_option("data", "ml1m"), root=str(tmp_path), user_features=str(path))
    with no_hang():
        try:
            told = with_features(ratings, data)
        except DataError:
            return
    check(told)
    assert np.isin(ids, told.user_ids).all()
    assert told.user_ids[told.users].tolist() == ids.tolist()


def check(ratings: Ratings) -> None:
    features = ratings.user_features
    assert features is not None
    assert (ratings.user_ids[1:] > ratings.user_ids[:-1]).all()
    assert len(features.starts) == len(features.names) + 1 > 1
    assert (np.diff(features.starts) > 1).all()
    assert features.starts[-1] == len(features.rows) == len(features.values)
    assert np.isfinite(features.values).all()
    assert 0 <= features.rows.min() <= features.rows.max() < ratings.num_users
    for begin, end in zip(features.starts[:-1], features.starts[1:], strict=True):
        assert (np.diff(features.rows[begin:end]) > 0).all()
